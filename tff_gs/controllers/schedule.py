"""k by a schedule: constant between given rounds."""

from __future__ import annotations

import itertools
from typing import NamedTuple

from typing_extensions import override

from tff_gs import _checks
from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.controllers import amount, controller


class ScheduleState(NamedTuple):
    """State of `Schedule`.

    Attributes:
      round: int32 scalar, the coming round, counted from 0.
    """

    round: tf.Tensor


class Schedule(controller.Controller):
    """K constant between given rounds.

    Such as optax's `piecewise_constant_schedule`. No feedback is used and nothing is
    probed.
    """

    schedule: tuple[tuple[int, amount.Amount], ...] = option(
        help="round:k pairs, such as 0:0.1,100:500: rounds from 0 on, ascending, and "
        "the k from each on"
    )

    def __post_init__(self) -> None:
        """Checks the rounds."""
        super().__post_init__()
        starts = [start for start, _ in self.schedule]
        _checks.require(
            len(starts) > 0, "a schedule of at least one entry", self.schedule
        )
        _checks.require(
            starts[0] == 0, "a schedule that begins with round 0", starts[0]
        )
        _checks.require(
            all(a < b for a, b in itertools.pairwise(starts)),
            "a schedule with ascending rounds",
            starts,
        )

    def _prepare(self) -> None:
        self._set(
            _starts=[start for start, _ in self.schedule],
            _ks=[
                amount.to_count(k, self.dimension, f"k from round {start} on")
                for start, k in self.schedule
            ],
        )

    @property
    @override
    def needs(self) -> frozenset[str]:
        return frozenset()

    @property
    @override
    def largest_k(self) -> int:
        return max(self._ks)

    @override
    def initialize(self) -> ScheduleState:
        return ScheduleState(tf.constant(0, tf.int32))

    @override
    def decide(self, state: ScheduleState) -> controller.Decision:
        begun = tf.constant(self._starts, tf.int32) <= state.round
        piece = tf.reduce_sum(tf.cast(begun, tf.int32)) - 1
        k = tf.gather(tf.constant(self._ks, tf.int32), piece)
        return controller.Decision(k, tf.constant(0, tf.int32))

    @override
    def update(
        self, state: ScheduleState, feedback: controller.Feedback, seed: tf.Tensor
    ) -> ScheduleState:
        del feedback, seed
        return ScheduleState(state.round + 1)
