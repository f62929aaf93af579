"""Seeds of independent random draws, all derived from the seed of the run."""

from __future__ import annotations

import enum

from tff_gs._tensorflow import tf


class Purpose(enum.IntEnum):
    """What is drawn; seeds of different purposes have nothing in common."""

    CLIENT = 1
    PASS = 2
    PROBE = 3
    UPLINK = 4
    DOWNLINK = 5
    CONTROLLER = 6
    SHARED_ORDER = 7
    SPARSIFIER = 8


def of_run(seed: int) -> tf.Tensor:
    """The seed of a run, int32 [2], from the number that a user gives."""
    return tf.constant([seed & 0x7FFFFFFF, seed >> 31], tf.int32)


def derive(seed: tf.Tensor, purpose: Purpose, number: tf.Tensor) -> tf.Tensor:
    """The seed of the `number`-th draw of a purpose.

    Args:
      seed: int32 [2].
      purpose: What is drawn.
      number: Integer scalar.

    Returns:
      int32 [2].
    """
    fold_in = tf.random.experimental.stateless_fold_in
    return fold_in(fold_in(seed, int(purpose)), number)


def draw(seed: tf.Tensor, purpose: Purpose, number: tf.Tensor) -> tf.Tensor:
    """A number, int32 scalar, that stands for the seed that `derive` gives.

    Where 32 bits have to do, such as in a message; the arguments are those of `derive`.
    """
    return tf.random.stateless_uniform(
        [], derive(seed, purpose, number), minval=None, maxval=None, dtype=tf.int32
    )
