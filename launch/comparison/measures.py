"""What is read off a run's metrics: values at a time, time to a target, traffic."""

import statistics
from collections.abc import Sequence

import numpy as np
import pandas as pd

from launch import targets as targets_lib
from launch import traffic

_BITS_A_MEGABYTE = 8e6


def value_at(values: pd.Series, positions: pd.Series, position: float) -> float:
    """The value of the last evaluation at or before a position.

    Args:
      values: Of each round, at least one: `test_accuracy` or `test_loss`, NaN where
        it was not evaluated.
      positions: Where each round ended, such as its time; ascending.
      position: Such as a time.

    Returns:
      The value; NaN where the run ended before that position, or was not evaluated
      until then.
    """
    if positions.iloc[-1] < position:
        return float("nan")
    values = values[positions <= position].dropna()
    return float(values.iloc[-1]) if len(values) else float("nan")


def time_to(metrics: pd.DataFrame, targets: Sequence[targets_lib.Target]) -> float:
    """The time of the first evaluation that reaches all targets; NaN where none does.

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
    up, down = traffic.bits_up(metrics), traffic.bits_down(metrics)
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
