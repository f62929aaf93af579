"""The interface of a codec: an index-value list as bytes, and back."""

from __future__ import annotations

import abc
from typing import ClassVar, NamedTuple

from tff_gs import sparse_vector
from tff_gs._tensorflow import tf
from tff_gs.encoders import names


class Encoded(NamedTuple):
    """A message, and what it will be read as.

    Attributes:
      message: uint8 [bytes].
      received: float32 [n], the values that a receiver decodes, to the bit; what
        they lack of the values that were encoded is left to error feedback. Not
        meaningful if a value was not finite: then the message is refused.
    """

    message: tf.Tensor
    received: tf.Tensor


class Decoded(NamedTuple):
    """What a receiver makes of a message.

    Attributes:
      vector: The decoded `SparseVector`; empty if the message was refused.
      error: int32 scalar: 0 if the message was accepted, otherwise the number of
        the reason (see `Codec.ERRORS`).
    """

    vector: sparse_vector.SparseVector
    error: tf.Tensor


class Sizes(NamedTuple):
    """Where the bits of a message go; int64 scalars.

    Attributes:
      index_bits: What says which entries, the code's parameters included.
      value_bits: What says their values, scales included.
      overhead_bits: Header and checksum.
    """

    index_bits: tf.Tensor
    value_bits: tf.Tensor
    overhead_bits: tf.Tensor


class Codec(abc.ABC):
    """Writes a `SparseVector` of a known dimension D as bytes.

    All methods are TensorFlow code, to be traced inside TFF computations; a
    message is a uint8 tensor of shape [None].

    Attributes:
      ERRORS: The reasons that `decode` gives, indexed by error number; number 0
        is "accepted".
    """

    ERRORS: ClassVar[tuple[str, ...]] = names.ERRORS

    @abc.abstractmethod
    def encode(self, vector: sparse_vector.SparseVector, seed: tf.Tensor) -> Encoded:
        """Encodes `vector`.

        Args:
          vector: The entries to send, indices ascending.
          seed: int32 [2], for value codes that round stochastically.

        Returns:
          The message, with the values that it holds after rounding.
        """

    @abc.abstractmethod
    def decode(self, message: tf.Tensor, max_count: tf.Tensor) -> Decoded:
        """Decodes and checks `message`; never raises on malformed bytes.

        Args:
          message: uint8 [bytes], of any length and content.
          max_count: int32 scalar, the most entries that are accepted.
        """

    def max_bytes(self) -> tf.Tensor:
        """No message that `decode` accepts is longer, int32 scalar.

        Unless a codec knows better: more than TensorFlow can index.
        """
        return tf.constant(tf.int32.max - 1)

    @abc.abstractmethod
    def estimate_bits(self, count: tf.Tensor) -> tf.Tensor:
        """The expected size, float64 bits, of a message of `count` entries."""

    @abc.abstractmethod
    def sizes(self, message: tf.Tensor) -> Sizes:
        """The parts of `message`, which must be one that `decode` accepts."""

    def without_indices(self) -> Codec:
        """The codec of the same values for messages with the indices 0 to n - 1.

        Unless a codec has one that is cheaper: itself.
        """
        return self

    def without_values(self) -> Codec:
        """The codec of the same indices for messages in which nobody reads a value.

        Unless a codec has one that is cheaper: itself.
        """
        return self
