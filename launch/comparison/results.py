"""The complete runs of a comparison, and what is read off their metrics."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from launch import csv_table, metrics_rows, run_directory
from launch import targets as targets_lib
from launch.comparison import plan, preset, standing
from tasks import Metric
from tff_gs.costs.registry import COSTS

_BITS_A_MEGABYTE = 8e6


class Result(NamedTuple):
    """What a complete run left.

    Attributes:
      seed: The run's seed.
      metrics: The rows of metrics.csv.
      contributed: float64 [N], ascending: each client's selected entries in a
        round, the mean over the run.
      dimension: D.
      initial_megabytes: The dense download of all clients.
    """

    seed: int
    metrics: pd.DataFrame
    contributed: np.ndarray
    dimension: int
    initial_megabytes: float


class Line(NamedTuple):
    """A line of the comparison.

    Attributes:
      name: The method's name.
      label: What it is called.
      results: One for each seed whose run is complete.
      runs: How many runs there should be.
    """

    name: str
    label: str
    results: list[Result]
    runs: int


def collect(methods: Sequence[preset.Method], runs: Sequence[plan.Run]) -> list[Line]:
    """The lines of the methods that are shown and have runs, in their order.

    Args:
      methods: The methods.
      runs: The runs of the comparison, complete or not.

    Raises:
      ValueError: If a file of a run is missing or is not what it should be.
    """
    lines = []
    for method in methods:
        own = [run for run in runs if run.method == method]
        if method.shown and own:
            found = [result for run in own if (result := _read(run)) is not None]
            lines.append(Line(method.name, method.label, found, len(own)))
    return lines


def _read(run: plan.Run) -> Result | None:
    result = standing.read_result(run)
    if result is None:
        return None
    files = run_directory.RunDirectory(run.directory)
    try:
        # Runs of earlier versions have none.
        for name, checksum in result.get("checksums", {}).items():
            if run_directory.checksum(run.directory / name) != checksum:
                raise ValueError(f"{name} is not as the run left it")
        metrics = csv_table.read_frame(files.metrics)
        contributed = csv_table.read_frame(files.clients)["contributed"]
        return Result(
            seed=run.seed,
            metrics=metrics,
            contributed=np.sort(contributed.to_numpy(np.float64)) / len(metrics),
            dimension=result["dimension"],
            initial_megabytes=initial_megabytes(
                result["initial_bits"], result["clients"]
            ),
        )
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"Expected the files of a complete run in {run.directory}, found: {error}."
        ) from error


def value_at(values: pd.Series, positions: pd.Series, position: float) -> float:
    """The value of the last evaluation at or before a position.

    Args:
      values: Of each round, at least one: such as `test_loss`, NaN if it was not
        evaluated.
      positions: Where each round ended, such as its time; ascending.
      position: Such as a time.

    Returns:
      The value; NaN if the run ended before that position, or was not evaluated
      until then.
    """
    if positions.iloc[-1] < position:
        return float("nan")
    values = values[positions <= position].dropna()
    return float(values.iloc[-1]) if len(values) else float("nan")


def time_to(metrics: pd.DataFrame, targets: Sequence[targets_lib.Target]) -> float:
    """The time of the first evaluation that reaches all targets; NaN if none does.

    Args:
      metrics: The rows of metrics.csv.
      targets: What is to be reached.
    """
    reached = np.logical_and.reduce([t.is_reached(metrics) for t in targets])
    times = metrics["time"][reached]
    return float(times.iloc[0]) if len(times) else float("nan")


def sent_megabytes(metrics: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Megabytes up and down by the end of every round, over all clients.

    The dense download of all clients before the first round is not among them.
    """
    up, down = metrics_rows.bits_up(metrics), metrics_rows.bits_down(metrics)
    return up.cumsum() / _BITS_A_MEGABYTE, down.cumsum() / _BITS_A_MEGABYTE


def initial_megabytes(bits: int, clients: int) -> float:
    """Megabytes of the dense download of all clients, each of `bits`."""
    return bits * clients / _BITS_A_MEGABYTE


def quarters(ends: Sequence[float]) -> tuple[float, ...]:
    """The quarters of what half of the runs have reached, to two digits.

    Args:
      ends: Where each run ended, such as a time; at least one, above 0.
    """
    # Of all: one run with few rounds, or little traffic, would leave nothing to see.
    end = statistics.median_low(ends)
    unit = 10.0 ** (np.floor(np.log10(end)) - 1)
    parts = (np.floor(end * part / unit) * unit for part in (0.25, 0.5, 0.75, 1.0))
    return tuple(dict.fromkeys(float(f"{part:.6g}") for part in parts if part > 0))


class Abscissa(NamedTuple):
    """Where the values of a run lie.

    Attributes:
      positions: From a complete run to where each of its rounds ended, ascending.
      label: What that is, with its unit.
      scale: Of an axis, "linear" or "log".
    """

    positions: Callable[[Result], pd.Series]
    label: str
    scale: str = "linear"


def build_abscissa(over: str, runs: Sequence[plan.Run]) -> Abscissa:
    """The abscissa of some runs.

    Args:
      over: One of `preset.OVER`.
      runs: What is compared.
    """
    return _BUILDERS[over](runs)


def label_of_time(runs: Sequence[plan.Run]) -> str:
    """What the time of the runs is, with its unit."""
    labels = {COSTS[run.completed["cost"]].time_label for run in runs}
    return labels.pop() if len(labels) == 1 else "time (each run in its own unit)"


def measures_of(runs: Sequence[plan.Run]) -> tuple[Metric, ...]:
    """What the tasks of all runs measure, the loss last."""
    first, *others = (run.task.measures() for run in runs)
    names = [{measure.name for measure in measures} for measures in others]
    return tuple(m for m in first if all(m.name in known for known in names))


def label_of_loss(runs: Sequence[plan.Run]) -> str:
    """What the loss of the runs is, with its unit."""
    labels = {run.task.loss_label for run in runs}
    return labels.pop() if len(labels) == 1 else "loss (each task's own)"


def _time(runs: Sequence[plan.Run]) -> Abscissa:
    return Abscissa(lambda result: result.metrics["time"], label_of_time(runs))


def _rounds(runs: Sequence[plan.Run]) -> Abscissa:
    del runs
    return Abscissa(lambda result: result.metrics["round"], "rounds")


def _traffic(runs: Sequence[plan.Run]) -> Abscissa:
    del runs

    def positions(result: Result) -> pd.Series:
        up, down = sent_megabytes(result.metrics)
        return up + down + result.initial_megabytes

    # Dense methods send a hundred times as much as sparse ones.
    return Abscissa(positions, "traffic (megabytes up and down, of all clients)", "log")


_BUILDERS: Mapping[str, Callable[[Sequence[plan.Run]], Abscissa]] = {
    "time": _time,
    "rounds": _rounds,
    "traffic": _traffic,
}
