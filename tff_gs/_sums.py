"""Sums that are the same whatever computes them."""

from __future__ import annotations

from tff_gs._tensorflow import tf


def running_sums(values: tf.Tensor) -> tf.Tensor:
    """The sums of the first 0, 1, ..., n rows, so the last is the sum of all.

    One row after another is added, so the sums never depend on threads.

    Args:
      values: Floats, [n, ...], of a known rank.

    Returns:
      [n + 1, ...], of the same type.
    """
    others = [[0, 0]] * (values.shape.rank - 1)
    return tf.cumsum(tf.pad(values, [[1, 0], *others]))
