"""Stochastic rounding of a real-valued k."""

from __future__ import annotations

from tff_gs._tensorflow import tf


def stochastic_round(value: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """Floor or ceiling of `value`, its expectation being `value`.

    Args:
      value: float64, non-negative and below 2^31.
      uniform: float64 in [0, 1), of the same shape: the ceiling is taken where it
        is below the fraction of `value`, so that integers stay.

    Returns:
      int32, of the same shape.
    """
    floor = tf.floor(value)
    up = tf.cast(uniform < value - floor, tf.float64)
    return tf.cast(floor + up, tf.int32)
