"""The interface of an index code: which entries a message holds, as bytes.

A code of one's own is an `IndexCode` with a tag that is free (see `registry`).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple, Self

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.configuration import Configuration
from tff_gs.encoders import names


class Plan(NamedTuple):
    """What has to be known before indices are written.

    Attributes:
      num_bytes: int32 scalar, the exact length that `write` will give, or the
        largest int32 if it cannot write these indices.
      tensors: What `write` also needs, to compute nothing twice.
    """

    num_bytes: tf.Tensor
    tensors: tuple[tf.Tensor, ...] = ()


class Indices(NamedTuple):
    """What was read.

    Attributes:
      indices: int32 [count], strictly ascending and in [0, D) if `error` is 0;
        otherwise of any length and content.
      error: int32 scalar, an error number (see `names.ERRORS`).
    """

    indices: tf.Tensor
    error: tf.Tensor


class IndexChoice(Configuration, abc.ABC):
    """What a message's indices may be written in: a code, or the best of several."""

    @property
    @abc.abstractmethod
    def alternatives(self) -> tuple[IndexCode, ...]:
        """The codes; of several, the smallest is taken for each message."""


class IndexCode(IndexChoice):
    """Writes ascending indices below a fixed dimension D.

    It is made from its options, and bound to D before anything else is asked of it.
    The first sentence of its docstring is its line of help.

    Attributes:
      tag: The number by which a message's header names the code, 0 to 15.
      needs_tensor_sizes: Whether the code must know the model's tensors.
      writes_any: Whether the code can write all ascending indices below D.
    """

    tag: ClassVar[int]
    needs_tensor_sizes: ClassVar[bool] = False
    writes_any: ClassVar[bool] = True

    @property
    @override
    def alternatives(self) -> tuple[IndexCode, ...]:
        return (self,)

    def bind(
        self, *, dimension: int, tensor_sizes: Sequence[int] | None = None
    ) -> Self:
        """The code for the messages of a model.

        Args:
          dimension: D.
          tensor_sizes: How many of the D coordinates each tensor of the model
            has, in order; they sum to D.
        """
        sizes = None if tensor_sizes is None else tuple(tensor_sizes)
        return self._bound(_dimension=dimension, _tensor_sizes=sizes)

    @abc.abstractmethod
    def plan(self, indices: tf.Tensor) -> Plan:
        """Measures what `write` will write for `indices`, int32 [count]."""

    @abc.abstractmethod
    def write(self, indices: tf.Tensor, plan: Plan) -> tf.Tensor:
        """The bytes, uint8 [plan.num_bytes], for `indices`."""

    @abc.abstractmethod
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> Indices:
        """Reads `count` indices from `payload`; never raises on malformed bytes.

        Args:
          payload: uint8 [bytes], at most `max_bytes(count)` of them.
          count: int32 scalar in [0, D].
        """

    @abc.abstractmethod
    def max_bytes(self, count: tf.Tensor) -> tf.Tensor:
        """No payload of `count` indices is longer; int32 scalar."""

    @abc.abstractmethod
    def estimate_bits(self, count: tf.Tensor) -> tf.Tensor:
        """Expected float64 bits for a uniformly random subset of `count` indices.

        Args:
          count: float64 scalar.
        """


def check_order(indices: tf.Tensor, dimension: int) -> tf.Tensor:
    """The error number of `indices` that should ascend strictly below `dimension`."""
    in_range = tf.reduce_all((indices >= 0) & (indices < dimension))
    ascending = tf.reduce_all(indices[1:] > indices[:-1])
    return tf.where(
        in_range,
        tf.where(ascending, names.ACCEPTED, names.UNSORTED_INDICES),
        names.INDEX_OUT_OF_RANGE,
    )


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
