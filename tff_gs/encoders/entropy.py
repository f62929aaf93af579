"""The entropy bound: how few bits can say which entries were sent."""

import math

import tensorflow as tf


def entropy_bits(count: tf.Tensor, dimension: int) -> tf.Tensor:
    """log2 C(D, k), the bits that a uniformly random k-subset of D needs.

    Args:
      count: k, numeric scalar in [0, D].
      dimension: D.

    Returns:
      float64 scalar, for the whole subset (not per index).
    """
    count = tf.cast(count, tf.float64)
    size = tf.constant(dimension, tf.float64)
    log_choose = (
        tf.math.lgamma(size + 1)
        - tf.math.lgamma(count + 1)
        - tf.math.lgamma(size - count + 1)
    )
    return tf.maximum(log_choose, 0.0) / math.log(2)
