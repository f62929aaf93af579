"""The interface of an index code: which entries a message holds, as bytes."""

import abc
import math
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

import tensorflow as tf

from tff_gs.encoders import names


class Plan(NamedTuple):
    """What has to be known before indices are written.

    Attributes:
      num_bytes: int32 scalar, the exact length that `write` will give, or the
        largest int32 where it cannot write these indices.
      tensors: What `write` needs besides, so that nothing is computed twice.
    """

    num_bytes: tf.Tensor
    tensors: tuple[tf.Tensor, ...] = ()


class Indices(NamedTuple):
    """What was read.

    Attributes:
      indices: int32 [count], strictly ascending and in [0, D) where `error` is 0;
        otherwise of any length and content.
      error: int32 scalar, an error number (see `names.ERRORS`).
    """

    indices: tf.Tensor
    error: tf.Tensor


class IndexCode(abc.ABC):
    """Writes ascending indices below a fixed dimension D.

    Attributes:
      tag: The number by which a message's header names the code, 0 to 15.
      needs_tensor_sizes: Whether the code must know the model's tensors.
      writes_any: Whether the code can write all ascending indices below D.
    """

    tag: ClassVar[int]
    needs_tensor_sizes: ClassVar[bool] = False
    writes_any: ClassVar[bool] = True

    def __init__(
        self, dimension: int, tensor_sizes: Sequence[int] | None = None
    ) -> None:
        """Initializes the code.

        Args:
          dimension: D.
          tensor_sizes: How many of the D coordinates each tensor of the model
            has, in order; they sum to D.
        """
        self._dimension = dimension
        self._tensor_sizes = tensor_sizes

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
