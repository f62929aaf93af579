"""What methods are compared over: time, rounds or traffic."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from launch import time_label
from launch.comparison import measures, plan, results


class Abscissa(NamedTuple):
    """Where the values of a run lie.

    Attributes:
      positions: From a complete run to where each of its rounds ended, ascending.
      label: What that is, with its unit.
      scale: Of an axis, "linear" or "log".
    """

    positions: Callable[[results.Result], pd.Series]
    label: str
    scale: str = "linear"


def build(over: str, runs: Sequence[plan.Run]) -> Abscissa:
    """The abscissa of some runs.

    Args:
      over: One of `preset.OVER`.
      runs: What is compared.
    """
    return _BUILDERS[over](runs)


def label_of_time(runs: Sequence[plan.Run]) -> str:
    """What the time of the runs is, with its unit."""
    labels = {time_label.TIME_LABELS[run.completed["cost"]] for run in runs}
    return labels.pop() if len(labels) == 1 else "time (each run in its own unit)"


def _time(runs: Sequence[plan.Run]) -> Abscissa:
    return Abscissa(lambda result: result.metrics["time"], label_of_time(runs))


def _rounds(runs: Sequence[plan.Run]) -> Abscissa:
    del runs
    return Abscissa(lambda result: result.metrics["round"], "rounds")


def _traffic(runs: Sequence[plan.Run]) -> Abscissa:
    del runs

    def positions(result: results.Result) -> pd.Series:
        up, down = measures.sent_megabytes(result.metrics)
        return up + down + result.initial_megabytes

    # Dense methods send a hundred times as much as sparse ones.
    return Abscissa(positions, "traffic (megabytes up and down, of all clients)", "log")


_BUILDERS: Mapping[str, Callable[[Sequence[plan.Run]], Abscissa]] = {
    "time": _time,
    "rounds": _rounds,
    "traffic": _traffic,
}
