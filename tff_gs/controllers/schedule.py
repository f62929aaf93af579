"""k by a schedule: constant between given rounds."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tff_gs import checks
from tff_gs.controllers import amount, controller


class ScheduleState(NamedTuple):
    """State of `Schedule`.

    Attributes:
      round: int32 scalar, the coming round, counted from 0.
    """

    round: tf.Tensor


class Schedule(controller.Controller):
    """A piecewise constant k, such as those of optax's `piecewise_constant_schedule`.

    No feedback is used and nothing is probed.
    """

    def __init__(
        self, dimension: int, *, schedule: Sequence[tuple[int, amount.Amount]]
    ) -> None:
        """Builds the rule.

        Args:
          dimension: D, the number of weights.
          schedule: Pairs of a round (from 0 on, ascending) and the k from that
            round on, a count (int) or a fraction of D (float).

        Raises:
          ValueError: If the schedule is empty, does not begin with round 0 or does
            not ascend, or a k is outside its range.
        """
        starts = [start for start, _ in schedule]
        checks.require(len(starts) > 0, "a schedule of at least one entry", schedule)
        checks.require(starts[0] == 0, "a schedule that begins with round 0", starts[0])
        checks.require(
            all(a < b for a, b in itertools.pairwise(starts)),
            "a schedule with ascending rounds",
            starts,
        )
        self._starts = starts
        self._ks = [
            amount.to_count(k, dimension, f"k from round {start} on")
            for start, k in schedule
        ]

    @property
    def probes(self) -> bool:
        """See base class."""
        return False

    @property
    def needs(self) -> frozenset[str]:
        """See base class."""
        return frozenset()

    def initialize(self) -> ScheduleState:
        """See base class."""
        return ScheduleState(tf.constant(0, tf.int32))

    def decide(self, state: ScheduleState) -> controller.Decision:
        """See base class."""
        begun = tf.constant(self._starts, tf.int32) <= state.round
        piece = tf.reduce_sum(tf.cast(begun, tf.int32)) - 1
        k = tf.gather(tf.constant(self._ks, tf.int32), piece)
        return controller.Decision(k, tf.constant(0, tf.int32))

    def update(
        self, state: ScheduleState, feedback: controller.Feedback, seed: tf.Tensor
    ) -> ScheduleState:
        """See base class."""
        del feedback, seed
        return ScheduleState(state.round + 1)
