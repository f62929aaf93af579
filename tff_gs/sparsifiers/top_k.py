"""Exact top-k by magnitude, in time linear in D.

Non-negative float32 numbers keep their order when their bits are read as int32.
So the k-th largest magnitude is found digit by digit, most significant first, by
one histogram a digit over the numbers that share the digits so far; nothing is
sorted.
"""

from __future__ import annotations

from tff_gs._tensorflow import tf

# A magnitude has 31 bits. Small digits keep the histograms in the cache.
_DIGIT_SHIFTS = (20, 10, 0)
_DIGIT_SIZES = (1 << 11, 1 << 10, 1 << 10)


def magnitude_bits(vector: tf.Tensor) -> tf.Tensor:
    """|vector| as int32 numbers of the same order (float32 [n] to int32 [n])."""
    return tf.bitcast(tf.abs(vector), tf.int32)


def _where(mask: tf.Tensor) -> tf.Tensor:
    """The positions where `mask` holds, int32, ascending."""
    return tf.cast(tf.where(mask)[:, 0], tf.int32)


def _digit_of_kth(
    digits: tf.Tensor, k: tf.Tensor, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """The digit of the k-th largest entry, and k less the entries of larger digits."""
    # The raw op: tf.math.bincount would first scan for the range of the digits.
    counts = tf.raw_ops.DenseBincount(
        input=digits, size=size, weights=tf.constant([], tf.int32)
    )
    at_or_above = tf.cumsum(counts, reverse=True)
    digit = tf.reduce_sum(tf.cast(at_or_above >= k, tf.int32)) - 1
    return digit, k - (at_or_above[digit] - counts[digit])


def top_k_indices(vector: tf.Tensor, k: tf.Tensor | int) -> tf.Tensor:
    """The positions of the k entries of largest magnitude.

    Ties go to the lower index. NaN ranks above every number.

    Args:
      vector: float32 [D].
      k: int32 scalar, k >= 0; if it exceeds D, all D positions are returned.

    Returns:
      int32 [min(k, D)], ascending.
    """
    bits = magnitude_bits(vector)
    k = tf.minimum(tf.cast(k, tf.int32), tf.size(bits))
    shift, size = _DIGIT_SHIFTS[0], _DIGIT_SIZES[0]
    digit, rest = _digit_of_kth(tf.bitwise.right_shift(bits, shift), k, size)
    kth = tf.bitwise.left_shift(digit, shift)
    candidates = _where(bits >= kth)
    bits = tf.gather(bits, candidates)
    alike = bits
    for next_shift, size in zip(_DIGIT_SHIFTS[1:], _DIGIT_SIZES[1:], strict=True):
        same = tf.equal(
            tf.bitwise.right_shift(alike, shift), tf.bitwise.right_shift(kth, shift)
        )
        alike = tf.gather(alike, _where(same))
        digits = tf.bitwise.right_shift(alike, next_shift)
        digit, rest = _digit_of_kth(
            tf.bitwise.bitwise_and(digits, size - 1), rest, size
        )
        shift = next_shift
        kth = tf.bitwise.bitwise_or(kth, tf.bitwise.left_shift(digit, shift))
    # `rest` entries that equal the k-th are still to be taken, lowest index first.
    # (Of none the maximum is negative, and none is taken.)
    last_tie = tf.reduce_max(_where(tf.equal(bits, kth))[:rest])
    position = tf.range(tf.size(bits))
    kept = (bits > kth) | (tf.equal(bits, kth) & (position <= last_tie))
    return tf.gather(candidates, _where(kept))
