"""Vectors that grow while TFF aggregates: the empty start and the concatenation."""

from __future__ import annotations

from typing import TypeVar

from tff_gs._tensorflow import tf

_Columns = TypeVar("_Columns", bound=tuple)


def open_length(rows: tf.Tensor) -> tf.Tensor:
    """The same tensor [n, ...], its static number of rows forgotten."""
    shape = [None, *rows.shape[1:]]
    return tf.raw_ops.PlaceholderWithDefault(input=rows, shape=shape)


def empty(dtype: tf.DType) -> tf.Tensor:
    """An empty vector whose static length is open.

    TFF wants one type for the accumulator of an aggregation, from its zero on; a
    plain empty constant would fix the length at 0.
    """
    return no_rows(tf.TensorSpec([], dtype))


def no_rows(spec: tf.TensorSpec) -> tf.Tensor:
    """An empty column [n, ...] of entries of that type, likewise."""
    return open_length(tf.zeros([0, *spec.shape], spec.dtype))


def concat(first: _Columns, second: _Columns) -> _Columns:
    """The vectors of two NamedTuples of vectors, joined field by field."""
    joined = (tf.concat(pair, axis=0) for pair in zip(first, second, strict=True))
    return type(first)(*joined)


def add(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """The sum of two vectors; the shorter one is zero beyond its end."""
    sizes = tf.size(first), tf.size(second)
    longest = tf.maximum(*sizes)
    padded = (
        tf.pad(vector, [[0, longest - size]])
        for vector, size in zip((first, second), sizes, strict=True)
    )
    return tf.add(*padded)
