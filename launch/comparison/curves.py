"""Curves of several seeds as one: a mean between the least and the largest."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

POINTS = 200


class Band(NamedTuple):
    """A curve of one or several seeds; float64 arrays of one length.

    Attributes:
      x: Where the curve is known, ascending.
      mean: The mean over the seeds.
      low: The least.
      high: The largest.
    """

    x: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def band(
    curves: Sequence[tuple[np.ndarray, np.ndarray]], grid: np.ndarray | None = None
) -> Band:
    """The band of the seeds' curves.

    Between its points a curve is taken to be linear. The band reaches as far as all
    curves do; one curve alone stays as it is.

    Args:
      curves: The x (ascending) and y of each seed, at least one; points whose y is
        not finite are left out.
      grid: Where to take the values; by default `POINTS` places at equal distances.
    """
    curves = [(x[np.isfinite(y)], y[np.isfinite(y)]) for x, y in curves]
    if len(curves) == 1:
        x, y = curves[0]
        return Band(x, y, y, y)
    if any(len(x) == 0 for x, _ in curves):
        return Band(*[np.zeros(0)] * 4)
    start, end = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    if grid is None:
        grid = np.unique(np.linspace(start, end, POINTS if start <= end else 0))
    inside = np.asarray(grid, np.float64)
    inside = inside[(inside >= start) & (inside <= end)]
    values = np.stack([np.interp(inside, x, y) for x, y in curves])
    return Band(inside, values.mean(axis=0), values.min(axis=0), values.max(axis=0))


def distribution(samples: Sequence[np.ndarray]) -> Band:
    """The cumulative distribution over clients, of several seeds.

    Args:
      samples: float64 [N] of each seed, ascending; at least one, of equal N.

    Returns:
      The share of the clients as `x`, from 1 / N to 1, and the values of which that
      share has at most as many, as `mean`, `low` and `high`.
    """
    values = np.stack(samples)
    count = values.shape[1]
    shares = np.arange(1, count + 1) / count
    return Band(shares, values.mean(axis=0), values.min(axis=0), values.max(axis=0))
