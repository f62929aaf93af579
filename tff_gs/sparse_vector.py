"""The index-value list: what every sparse message means."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tff_gs._tensorflow import tf


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
    return SparseVector(indices, take(vector, indices))


def to_dense(sparse: SparseVector, dimension: int) -> tf.Tensor:
    """The float32 [dimension] vector that `sparse` stands for."""
    return put(tf.zeros([dimension], tf.float32), sparse.indices, sparse.values)


def among(indices: tf.Tensor, others: tf.Tensor, size: int | tf.Tensor) -> tf.Tensor:
    """Which of `indices` are among `others`, bool [n].

    Args:
      indices: int32 [n].
      others: int32 [m], in any order.
      size: All of both are below it.
    """
    mask = put(tf.zeros([size], tf.bool), others, tf.ones_like(others, tf.bool))
    return take(mask, indices)


def take(vector: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """The entries of `vector` ([D], of any type) at `indices` (int32 [n]).

    Like `put` and `subtract`, it is quick if these are all entries in order: to
    gather or scatter a whole vector takes ten times as long as to look at it.
    """
    return _choose(
        indices,
        vector,
        lambda: tf.convert_to_tensor(vector),
        lambda: tf.gather(vector, indices),
    )


def put(vector: tf.Tensor, indices: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """`vector` with other entries at `indices`.

    Args:
      vector: [D], of any type.
      indices: int32 [n], distinct, in any order.
      values: [n], of the same type as `vector`.
    """
    replaced = _choose(
        indices,
        vector,
        lambda: tf.convert_to_tensor(values),
        lambda: tf.tensor_scatter_nd_update(vector, indices[:, tf.newaxis], values),
    )
    # An operation in the branch, such as `tf.ensure_shape`, would tell TensorFlow's
    # graph optimizer that there always are D values, so D indices.
    replaced.set_shape(vector.shape)
    return replaced


def subtract(vector: tf.Tensor, indices: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """`vector` less `values` at `indices`; arguments as of `put`."""
    difference = _choose(
        indices,
        vector,
        lambda: vector - values,
        lambda: tf.tensor_scatter_nd_sub(vector, indices[:, tf.newaxis], values),
    )
    # Known anyway, except if D is 1 and `values` might be broadcast.
    difference.set_shape(vector.shape)
    return difference


def _choose(
    indices: tf.Tensor,
    vector: tf.Tensor,
    everything: Callable[[], tf.Tensor],
    some: Callable[[], tf.Tensor],
) -> tf.Tensor:
    """What to do with all entries in order, or else with some of them."""
    entries, size = (tf.TensorShape(t.shape).num_elements() for t in (indices, vector))
    # Both ways are traced, and the first has no meaning for fewer entries.
    if None not in (entries, size) and entries != size:
        return some()
    return tf.cond(_is_everything(indices, vector), everything, some)


def _is_everything(indices: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
    """Whether `indices` are those of all entries of `vector`, in order."""
    size = tf.size(vector)
    return tf.cond(
        tf.equal(tf.size(indices), size),
        lambda: tf.reduce_all(tf.equal(indices, tf.range(size))),
        lambda: tf.constant(False),
    )
