"""The interface of a value code: the values of a message's entries, as bytes.

A code of one's own is a `ValueCode` with a tag that is free (see `registry`).
"""

from __future__ import annotations

import abc
from typing import ClassVar, NamedTuple

from tff_gs._tensorflow import tf
from tff_gs.configuration import Configuration


class Written(NamedTuple):
    """Values as bytes.

    Attributes:
      payload: uint8 [num_bytes(count)].
      received: float32 [count], what `read` gives for `payload`, to the bit.
    """

    payload: tf.Tensor
    received: tf.Tensor


class ValueCode(Configuration, abc.ABC):
    """Writes float32 values; the length depends on how many there are, alone.

    A value code never writes an infinity for a finite value. What is not finite
    stays so, for the receiver to refuse it. The first sentence of its docstring is
    its line of help.

    Attributes:
      tag: The number by which a message's header names the code, 0 to 15.
    """

    tag: ClassVar[int]

    @abc.abstractmethod
    def num_bytes(self, count: tf.Tensor) -> tf.Tensor:
        """How many bytes `count` values take, int32 scalar."""

    @abc.abstractmethod
    def write(self, values: tf.Tensor, seed: tf.Tensor) -> Written:
        """The bytes for `values`.

        Args:
          values: float32 [count].
          seed: int32 [2], for stochastic rounding.
        """

    @abc.abstractmethod
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """The values, float32 [count], in `payload`, uint8 [num_bytes(count)]."""


def float32_bytes(number: tf.Tensor) -> tf.Tensor:
    """The four little-endian bytes of `number`, float32 scalar."""
    return tf.bitcast(number, tf.uint8)


def bytes_float32(payload: tf.Tensor) -> tf.Tensor:
    """The float32 scalar in the first four bytes of `payload`."""
    return tf.bitcast(tf.reshape(payload[:4], [4]), tf.float32)
