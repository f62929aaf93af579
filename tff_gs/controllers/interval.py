"""The search interval of k, and how it shrinks."""

from __future__ import annotations

import math
from typing import NamedTuple

from tff_gs._tensorflow import tf
from tff_gs.configuration import Configuration, option


class Interval(NamedTuple):
    """A search interval and what is needed to shrink it; int32 scalars.

    Attributes:
      k_min: The least k.
      k_max: The largest k.
      smallest: The least k of the window so far; `k_max` of all if it is empty.
      largest: The largest k of the window so far; 0 if it is empty.
      updates: How many updates the window holds.
      adopted_after: How many rounds the rule had run when this interval was
        adopted, counted from the adoption before; 0 for the first interval.
    """

    k_min: tf.Tensor
    k_max: tf.Tensor
    smallest: tf.Tensor
    largest: tf.Tensor
    updates: tf.Tensor
    adopted_after: tf.Tensor


class Shrinking:
    """The shrinking interval (Han, Wang, Leung, ICDCS 2020, Algorithm 3).

    After every `window` updates of k with a defined sign, the interval
    [min / alpha, alpha max] of the window's k, within the first interval, is
    adopted if its length B' satisfies 0 < B' <= (sqrt(2) - 1) B and at least as
    many rounds have passed as before the last adoption.

    The window starts again after each check, and the k that an update leads to
    belongs to that update's window: the paper leaves this open, the authors' own
    trajectories show it. Both ends are rounded to the nearest integer, halves to the
    even one, as those trajectories show (83158.5 to 83158, 5929.5 to 5930).
    """

    moves = True

    def __init__(self, k_min: int, k_max: int, *, alpha: float, window: int) -> None:
        """Stores arguments that the caller has checked.

        Args:
          k_min: The least k of the first interval.
          k_max: The largest k of the first interval.
          alpha: Margin around the window's k, at least 1.
          window: M_u, updates between two checks.
        """
        self._k_min = k_min
        self._k_max = k_max
        self._alpha = alpha
        self._window = window

    def step(
        self, interval: Interval, k: tf.Tensor, defined: tf.Tensor, rounds: tf.Tensor
    ) -> tuple[Interval, tf.Tensor]:
        """The interval after a round.

        Args:
          interval: The interval before.
          k: int32 scalar, the k that the round's update led to.
          defined: bool scalar, whether the round's sign was defined.
          rounds: int32 scalar, rounds since the last adoption, this one included.

        Returns:
          The interval, and whether it was adopted now (bool scalar).
        """
        smallest = tf.where(
            defined, tf.minimum(interval.smallest, k), interval.smallest
        )
        largest = tf.where(defined, tf.maximum(interval.largest, k), interval.largest)
        updates = interval.updates + tf.cast(defined, tf.int32)
        full = updates >= self._window

        low = tf.round(tf.cast(smallest, tf.float64) / self._alpha)
        high = tf.round(tf.cast(largest, tf.float64) * self._alpha)
        low = tf.cast(tf.maximum(low, float(self._k_min)), tf.int32)
        high = tf.cast(tf.minimum(high, float(self._k_max)), tf.int32)
        length = high - low
        limit = (math.sqrt(2.0) - 1.0) * tf.cast(
            interval.k_max - interval.k_min, tf.float64
        )
        adopted = (
            full
            & (length > 0)
            & (tf.cast(length, tf.float64) <= limit)
            & (rounds >= interval.adopted_after)
        )
        stepped = Interval(
            k_min=tf.where(adopted, low, interval.k_min),
            k_max=tf.where(adopted, high, interval.k_max),
            smallest=tf.where(full, self._k_max, smallest),
            largest=tf.where(full, 0, largest),
            updates=tf.where(full, 0, updates),
            adopted_after=tf.where(adopted, rounds, interval.adopted_after),
        )
        return stepped, adopted


class Constant:
    """The interval that never changes (Algorithm 2)."""

    moves = False

    def step(
        self, interval: Interval, k: tf.Tensor, defined: tf.Tensor, rounds: tf.Tensor
    ) -> tuple[Interval, tf.Tensor]:
        """See `Shrinking.step`."""
        del k, defined, rounds
        return interval, tf.constant(False)


def first_interval(k_min: int, k_max: int) -> Interval:
    """The interval [k_min, k_max] with an empty window."""
    return Interval(*(tf.constant(n, tf.int32) for n in (k_min, k_max, k_max, 0, 0, 0)))


class ShrinkingInterval(Configuration):
    """The options of a descent whose interval shrinks; comes first among its bases."""

    alpha: float = option(
        default=1.5,
        help="margin of a new interval around the k of the window",
        at_least=1,
    )
    window: int = option(
        default=20,
        help="updates with a sign between two checks of the interval",
        at_least=1,
    )

    def _prepare(self) -> None:
        super()._prepare()
        self._set(
            _interval=Shrinking(
                self._least, self._largest, alpha=self.alpha, window=self.window
            )
        )
