"""A fixed k."""

from __future__ import annotations

from typing import NamedTuple

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.controllers import amount, controller


class FixedState(NamedTuple):
    """State of `FixedK`.

    Attributes:
      k: int32 scalar.
    """

    k: tf.Tensor


class FixedK(controller.Controller):
    """The same k in every round.

    Nothing is probed.
    """

    k: amount.Amount = option(help="k, the entries that a client sends")

    def _prepare(self) -> None:
        self._set(_k=amount.to_count(self.k, self.dimension, "k"))

    @property
    @override
    def needs(self) -> frozenset[str]:
        return frozenset()

    @property
    @override
    def largest_k(self) -> int:
        return self._k

    @override
    def initialize(self) -> FixedState:
        return FixedState(tf.constant(self._k, tf.int32))

    @override
    def decide(self, state: FixedState) -> controller.Decision:
        return controller.Decision(state.k, tf.constant(0, tf.int32))

    @override
    def update(
        self, state: FixedState, feedback: controller.Feedback, seed: tf.Tensor
    ) -> FixedState:
        del feedback, seed
        return state
