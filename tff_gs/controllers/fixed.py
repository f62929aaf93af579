"""A fixed k."""

from __future__ import annotations

from typing import NamedTuple

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

    k: amount.Amount = option(help="k")

    def _prepare(self) -> None:
        self._set(_k=amount.to_count(self.k, self.dimension, "k"))

    @property
    def probes(self) -> bool:
        """See base class."""
        return False

    @property
    def needs(self) -> frozenset[str]:
        """See base class."""
        return frozenset()

    def initialize(self) -> FixedState:
        """See base class."""
        return FixedState(tf.constant(self._k, tf.int32))

    def decide(self, state: FixedState) -> controller.Decision:
        """See base class."""
        return controller.Decision(state.k, tf.constant(0, tf.int32))

    def update(
        self, state: FixedState, feedback: controller.Feedback, seed: tf.Tensor
    ) -> FixedState:
        """See base class."""
        del feedback, seed
        return state
