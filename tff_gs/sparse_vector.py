"""The index-value list: what every sparse message means."""

from typing import NamedTuple

import tensorflow as tf


class SparseVector(NamedTuple):
    """Some entries of a vector of D float32 values; the others are zero.

    Attributes:
      indices: int32 [n], strictly ascending, each in [0, D).
      values: float32 [n], the entries at `indices`.
    """

    indices: tf.Tensor
    values: tf.Tensor


def gather(vector: tf.Tensor, indices: tf.Tensor) -> SparseVector:
    """The entries of `vector` (float32 [D]) at ascending `indices` (int32 [n])."""
    return SparseVector(indices, tf.gather(vector, indices))


def to_dense(sparse: SparseVector, dimension: int) -> tf.Tensor:
    """The float32 [dimension] vector that `sparse` stands for."""
    return tf.tensor_scatter_nd_update(
        tf.zeros([dimension], tf.float32), sparse.indices[:, tf.newaxis], sparse.values
    )
