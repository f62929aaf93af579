"""A permutation of the coordinates that a seed stands for, computed where it is asked.

Sender and receiver that share a seed need not send indices. A table of D entries per
round would cost every client a sort of D numbers; here k positions cost O(k): a
four-round Feistel network (Luby, Rackoff, "How to construct pseudorandom permutations
from pseudorandom functions", SIAM J. Comput. 1988) on the cells of a table of about
sqrt(D) rows and columns, walked until the result is below D again (both from Black,
Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). The table has fewer
than sqrt(D) cells too many, so few numbers are walked.
"""

from __future__ import annotations

import math

from tff_gs._tensorflow import tf

_ROUNDS = 4


def _mix(numbers: tf.Tensor, key: tf.Tensor) -> tf.Tensor:
    """A hash, below 2^30, of `numbers` (int32 [n]) under `key` (uint32 scalar)."""
    mixed = tf.bitwise.bitwise_xor(tf.cast(numbers, tf.uint32), key)
    for factor, shift in ((0x85EBCA6B, 15), (0xC2B2AE35, 13)):
        mixed *= tf.constant(factor, tf.uint32)
        mixed = tf.bitwise.bitwise_xor(
            mixed, tf.bitwise.right_shift(mixed, tf.constant(shift, tf.uint32))
        )
    return tf.cast(tf.bitwise.right_shift(mixed, tf.constant(2, tf.uint32)), tf.int32)


def permute(positions: tf.Tensor, seed: tf.Tensor, *, dimension: int) -> tf.Tensor:
    """Where the permutation that belongs to `seed` takes `positions`.

    Args:
      positions: int32 [n], each in [0, D).
      seed: int32 [2].
      dimension: D; the results for all D positions are all D coordinates.

    Returns:
      int32 [n], in the order of `positions`.
    """
    rows = math.isqrt(dimension - 1) + 1
    columns = -(-dimension // rows)
    keys = tf.unstack(
        tf.random.stateless_uniform(
            [_ROUNDS], seed, minval=None, maxval=None, dtype=tf.uint32
        )
    )

    def encrypt(numbers: tf.Tensor) -> tf.Tensor:
        halves = [numbers // columns, numbers % columns]
        for number, key in enumerate(keys):
            changed, other = number % 2, 1 - number % 2
            moved = halves[changed] + _mix(halves[other], key)
            halves[changed] = moved % (rows, columns)[changed]
        return halves[0] * columns + halves[1]

    def walk(numbers: tf.Tensor) -> tuple[tf.Tensor]:
        outside = tf.where(numbers >= dimension)
        moved = encrypt(tf.gather_nd(numbers, outside))
        return (tf.tensor_scatter_nd_update(numbers, outside, moved),)

    (walked,) = tf.while_loop(
        lambda numbers: tf.reduce_any(numbers >= dimension),
        walk,
        (encrypt(positions),),
    )
    return walked
