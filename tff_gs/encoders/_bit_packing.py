"""Bits in bytes, most significant first, in vectorised TensorFlow operations."""

from __future__ import annotations

import numpy as np

from tff_gs._tensorflow import tf

#: The widest field of `read_fields`: with it a field touches at most 4 bytes.
MAX_FIELD_BITS = 25

_BITS_OF_BYTE = np.unpackbits(np.arange(256, dtype=np.uint8)[:, np.newaxis], axis=1)
_GATHER_BITS = sum(2 ** (63 - 9 * i) for i in range(8)) - 2**64


def bytes_for(bits: tf.Tensor) -> tf.Tensor:
    """How many bytes hold `bits` bits."""
    return (bits + 7) // 8


def unpack_bits(packed: tf.Tensor) -> tf.Tensor:
    """The bits, uint8 [8 n], of `packed`, uint8 [n]."""
    return tf.reshape(tf.gather(_BITS_OF_BYTE, tf.cast(packed, tf.int32)), [-1])


def pack_bits(bits: tf.Tensor) -> tf.Tensor:
    """Packs `bits`, bool [n], into uint8 [ceil(n / 8)]; the last byte zero-padded."""
    padded = tf.pad(bits, [[0, -tf.size(bits) % 8]])
    words = tf.bitcast(tf.reshape(tf.cast(padded, tf.uint8), [-1, 8]), tf.int64)
    # The product has the bit of byte i of a word at 63 - i, and no carries.
    packed = tf.bitwise.right_shift(words * _GATHER_BITS, 56)
    return tf.cast(tf.bitwise.bitwise_and(packed, 255), tf.uint8)


def set_bits(positions: tf.Tensor, num_bytes: tf.Tensor) -> tf.Tensor:
    """Bytes in which only the bits at `positions` are 1.

    Args:
      positions: int32 [n], distinct; negative ones are left out.
      num_bytes: int32 scalar.

    Returns:
      uint8 [num_bytes].
    """
    bit = tf.bitwise.right_shift(128, tf.bitwise.bitwise_and(positions, 7))
    byte = tf.bitwise.right_shift(positions, 3)
    return tf.cast(tf.math.unsorted_segment_sum(bit, byte, num_bytes), tf.uint8)


def write_fields(
    values: tf.Tensor, offsets: tf.Tensor, widths: tf.Tensor, num_bytes: tf.Tensor
) -> tf.Tensor:
    """Writes unsigned numbers of varying width into a bit string.

    Args:
      values: int32 [n], each below 2**width.
      offsets: int32 [n], where the fields begin, in bits; they must not overlap.
      widths: int32 [n] or scalar, in bits, at most `MAX_FIELD_BITS`.
      num_bytes: int32 scalar, the length of the result.

    Returns:
      uint8 [num_bytes], zero outside the fields.
    """
    # A field and the bits before it in its first word of 32 bits fit into 64 bits,
    # so it is two sums by words; sums of disjoint bits are disjunctions.
    skipped = tf.bitwise.bitwise_and(offsets, 31)
    window = tf.bitwise.left_shift(
        tf.cast(values, tf.int64), tf.cast(64 - widths - skipped, tf.int64)
    )
    first = tf.bitwise.right_shift(offsets, 5)
    # One word more for what is beyond a first word, and for a last field of no width.
    num_words = num_bytes // 4 + 2
    upper, lower = (
        tf.math.unsorted_segment_sum(tf.cast(part, tf.int32), first, num_words)
        for part in (
            tf.bitwise.right_shift(window, 32),
            tf.bitwise.bitwise_and(window, 2**32 - 1),
        )
    )
    words = upper + tf.pad(lower[:-1], [[1, 0]])
    big_endian = tf.reverse(tf.bitcast(words, tf.uint8), axis=[1])
    return tf.reshape(big_endian, [-1])[:num_bytes]


def read_fields(packed: tf.Tensor, offsets: tf.Tensor, widths: tf.Tensor) -> tf.Tensor:
    """Reads what `write_fields` wrote.

    Args:
      packed: uint8 [bytes].
      offsets: int32 [n], in bits; every field must lie inside `packed`.
      widths: int32 [n] or scalar, in bits, at most `MAX_FIELD_BITS`.

    Returns:
      int32 [n].
    """
    padded = tf.cast(tf.pad(packed, [[0, 4]]), tf.int32)
    num_bytes = tf.size(packed)
    # The 32 bits that begin at each byte; gathered once per field.
    windows = padded[: num_bytes + 1]
    for ahead in (1, 2, 3):
        windows = tf.bitwise.bitwise_or(
            tf.bitwise.left_shift(windows, 8), padded[ahead : num_bytes + 1 + ahead]
        )
    window = tf.gather(windows, tf.bitwise.right_shift(offsets, 3))
    skipped = tf.bitwise.bitwise_and(offsets, 7)
    mask = tf.bitwise.left_shift(1, widths) - 1
    return tf.bitwise.bitwise_and(
        tf.bitwise.right_shift(window, 32 - widths - skipped), mask
    )


def pack_numbers(values: tf.Tensor, bits: int) -> tf.Tensor:
    """Packs `values`, int32 [n] below 2**bits with 1 <= bits <= 8, without gaps.

    Returns:
      uint8 [ceil(n * bits / 8)].
    """
    if bits == 8:
        return tf.cast(values, tf.uint8)
    # Eight numbers are exactly `bits` bytes.
    groups = tf.reshape(tf.pad(values, [[0, -tf.size(values) % 8]]), [-1, 8])
    shifts = np.arange(7 * bits, -1, -bits, dtype=np.int64)
    words = tf.reduce_sum(
        tf.bitwise.left_shift(tf.cast(groups, tf.int64), shifts), axis=1
    )
    parts = tf.bitwise.right_shift(
        words[:, tf.newaxis], np.arange(8 * (bits - 1), -1, -8, dtype=np.int64)
    )
    packed = tf.cast(tf.bitwise.bitwise_and(parts, 255), tf.uint8)
    return tf.reshape(packed, [-1])[: bytes_for(tf.size(values) * bits)]


def unpack_numbers(packed: tf.Tensor, count: tf.Tensor, bits: int) -> tf.Tensor:
    """The `count` numbers, int32, that `pack_numbers` packed into `packed`."""
    if bits == 8:
        return tf.cast(packed, tf.int32)
    groups = tf.reshape(tf.pad(packed, [[0, -tf.size(packed) % bits]]), [-1, bits])
    words = tf.reduce_sum(
        tf.bitwise.left_shift(
            tf.cast(groups, tf.int64),
            np.arange(8 * (bits - 1), -1, -8, dtype=np.int64),
        ),
        axis=1,
    )
    values = tf.bitwise.bitwise_and(
        tf.bitwise.right_shift(
            words[:, tf.newaxis], np.arange(7 * bits, -1, -bits, dtype=np.int64)
        ),
        2**bits - 1,
    )
    return tf.cast(tf.reshape(values, [-1])[:count], tf.int32)


def zero_padded(packed: tf.Tensor, used_bits: tf.Tensor) -> tf.Tensor:
    """Whether the bits of the last byte of `packed` beyond `used_bits` are zero.

    Args:
      packed: uint8 [bytes].
      used_bits: int32 scalar; `packed` has `bytes_for(used_bits)` bytes.

    Returns:
      bool scalar.
    """
    last = tf.reduce_sum(tf.cast(packed[-1:], tf.int32))
    padding = tf.bitwise.left_shift(1, -used_bits % 8) - 1
    return tf.equal(tf.bitwise.bitwise_and(last, padding), 0)
