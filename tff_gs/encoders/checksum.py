"""A 31-bit checksum of bytes in vectorised TensorFlow operations."""

import numpy as np
import tensorflow as tf

_PRIME = 2**31 - 1
_BASE = 1_338_572_963
_ROW = 512
_ROW_BYTES = 2 * _ROW
_TABLE = 4096


def _powers(base: int, count: int) -> np.ndarray:
    """base**1, ..., base**count modulo the prime, int64 [count]."""
    powers, power = [], 1
    for _ in range(count):
        power = power * base % _PRIME
        powers.append(power)
    return np.array(powers, np.int64)


_IN_ROW = _powers(_BASE, _ROW)
_OF_ROW = _powers(pow(_BASE, _ROW, _PRIME), _ROW)
_OF_TABLE = _powers(pow(_BASE, _ROW * _ROW, _PRIME), _TABLE)


def checksum(message: tf.Tensor) -> tf.Tensor:
    """A polynomial checksum of `message`.

    Read as little-endian 16-bit words w_1, w_2, ... (a last odd byte is padded
    with zero), a message of n bytes has the checksum
    (n + sum_i w_i B**e_i) mod (2**31 - 1) with B = 1,338,572,963 and exponents
    e_i = (c + 1) + 512 (r + 1) + 512**2 (t + 1), where i - 1 = c + 512 r +
    512**2 t in base 512. That is, a polynomial in B, evaluated modulo a prime.

    It detects for certain every change inside one aligned pair of bytes, so every
    flipped bit, and every two flipped bits in messages up to 8 MiB; a truncation
    by zero bytes, because of n; and other damage but for one case in 2**31. It is
    no protection against somebody who wants to deceive.

    Args:
      message: uint8 [n], at most 2 GiB.

    Returns:
      int32 scalar in [0, 2**31 - 1).
    """
    num_bytes = tf.size(message)
    padded = tf.pad(message, [[0, -num_bytes % _ROW_BYTES]])
    words = tf.cast(tf.bitcast(tf.reshape(padded, [-1, _ROW, 2]), tf.uint16), tf.int64)
    # 16 + 31 + 9 bits: a row's sum does not overflow.
    rows = tf.reduce_sum(words * _IN_ROW, axis=1) % _PRIME
    rows = tf.reshape(tf.pad(rows, [[0, -tf.size(rows) % _ROW]]), [-1, _ROW])
    tables = tf.reduce_sum(rows * _OF_ROW % _PRIME, axis=1) % _PRIME
    total = tf.reduce_sum(tables * tf.constant(_OF_TABLE)[: tf.size(tables)] % _PRIME)
    return tf.cast((total + tf.cast(num_bytes, tf.int64)) % _PRIME, tf.int32)
