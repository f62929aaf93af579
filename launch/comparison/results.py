"""The complete runs of a comparison, line by line."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from launch import run_directory
from launch.comparison import measures, plan, preset, standing


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
        metrics = pd.read_csv(files.metrics)
        contributed = pd.read_csv(files.clients)["contributed"]
        return Result(
            seed=run.seed,
            metrics=metrics,
            contributed=np.sort(contributed.to_numpy(np.float64)) / len(metrics),
            dimension=result["dimension"],
            initial_megabytes=measures.initial_megabytes(
                result["initial_bits"], result["clients"]
            ),
        )
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(
            f"Expected the files of a complete run in {run.directory}, found: {error}."
        ) from error
