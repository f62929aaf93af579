"""The interface of a message encoder: an index-value list as bytes, and back."""

import abc
from typing import NamedTuple

import tensorflow as tf

from tff_gs import sparse_vector


class Decoded(NamedTuple):
    """What a receiver makes of a message.

    Attributes:
      vector: The decoded `SparseVector`; empty where the message was refused.
      error: int32 scalar: 0 where the message was accepted, else the number of
        the reason (see `Encoder.ERRORS`).
    """

    vector: sparse_vector.SparseVector
    error: tf.Tensor


class Encoder(abc.ABC):
    """Writes a `SparseVector` of a known dimension D as bytes.

    All methods are TensorFlow code, to be traced inside TFF computations; a
    message is a uint8 tensor of shape [None].
    """

    @abc.abstractmethod
    def encode(self, vector: sparse_vector.SparseVector, seed: tf.Tensor) -> tf.Tensor:
        """Encodes `vector`.

        Args:
          vector: The entries to send, indices ascending.
          seed: int32 [2], for value codes that round stochastically.

        Returns:
          The message, uint8 [bytes].
        """

    @abc.abstractmethod
    def decode(self, message: tf.Tensor, max_count: tf.Tensor) -> Decoded:
        """Decodes and checks `message`; never raises on malformed bytes.

        Args:
          message: uint8 [bytes], of any length and content.
          max_count: int32 scalar, the most entries that are accepted.
        """

    @abc.abstractmethod
    def estimate_bits(self, count: tf.Tensor) -> tf.Tensor:
        """The expected size, float64 bits, of a message of `count` entries."""
