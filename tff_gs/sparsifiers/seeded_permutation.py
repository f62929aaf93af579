"""A permutation of the coordinates that a seed stands for, computed where it is asked.

Sender and receiver that share a seed need not send indices. A table of D entries per
round would cost every client a sort of D numbers; here k positions cost O(k): a
four-round Feistel network on 2^(2h) >= D numbers (Luby, Rackoff, "How to construct
pseudorandom permutations from pseudorandom functions", SIAM J. Comput. 1988), walked
until the result is below D again (Black, Rogaway, "Ciphers with arbitrary finite
domains", CT-RSA 2002).
"""

import tensorflow as tf

_ROUNDS = 4


def _mix(numbers: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """A hash of `numbers` (uint32 [n]) under `key` (uint32 scalar)."""
    mixed = tf.bitwise.bitwise_xor(numbers, key)
    for factor, shift in ((0x85EBCA6B, 15), (0xC2B2AE35, 13)):
        mixed *= tf.constant(factor, tf.uint32)
        mixed = tf.bitwise.bitwise_xor(
            mixed, tf.bitwise.right_shift(mixed, tf.constant(shift, tf.uint32))
        )
    return mixed


def permute(positions: tf.Tensor, seed: tf.Tensor, *, dimension: int) -> tf.Tensor:
    """Where the permutation that belongs to `seed` takes `positions`.

    Args:
      positions: int32 [n], each in [0, D).
      seed: int32 [2].
      dimension: D; the results for all D positions are all D coordinates.

    Returns:
      int32 [n], in the order of `positions`.
    """
    half = (max(dimension - 1, 1).bit_length() + 1) // 2
    low = tf.constant((1 << half) - 1, tf.uint32)
    shift = tf.constant(half, tf.uint32)
    keys = tf.unstack(
        tf.random.stateless_uniform(
            [_ROUNDS], seed, minval=None, maxval=None, dtype=tf.uint32
        )
    )

    def encrypt(numbers: tf.Tensor) -> tf.Tensor:
        left = tf.bitwise.right_shift(numbers, shift)
        right = tf.bitwise.bitwise_and(numbers, low)
        for key in keys:
            hashed = tf.bitwise.bitwise_and(_mix(right, key), low)
            left, right = right, tf.bitwise.bitwise_xor(left, hashed)
        return tf.bitwise.bitwise_or(tf.bitwise.left_shift(left, shift), right)

    size = tf.constant(dimension, tf.uint32)
    (walked,) = tf.while_loop(
        lambda numbers: tf.reduce_any(numbers >= size),
        lambda numbers: (tf.where(numbers >= size, encrypt(numbers), numbers),),
        (encrypt(tf.cast(positions, tf.uint32)),),
    )
    return tf.cast(walked, tf.int32)
