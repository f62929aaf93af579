"""Vectors that grow while TFF aggregates: the empty start and the concatenation."""

from typing import TypeVar

import tensorflow as tf

_Columns = TypeVar("_Columns", bound=tuple)


def empty(dtype: tf.DType) -> tf.Tensor:
    """An empty vector whose static length is open.

    TFF wants one type for the accumulator of an aggregation, from its zero on; a
    plain empty constant would fix the length at 0.
    """
    return tf.raw_ops.PlaceholderWithDefault(input=tf.zeros([0], dtype), shape=[None])


def concat(first: _Columns, second: _Columns) -> _Columns:
    """The vectors of two NamedTuples of vectors, joined field by field."""
    joined = (tf.concat(pair, axis=0) for pair in zip(first, second, strict=True))
    return type(first)(*joined)
