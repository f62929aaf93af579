"""A fixed k."""

from typing import NamedTuple

import tensorflow as tf

from tff_gs.controllers import amount, controller


class FixedState(NamedTuple):
    """State of `FixedK`.

    Attributes:
      k: int32 scalar.
    """

    k: tf.Tensor


class FixedK(controller.Controller):
    """The same k in every round; nothing is probed."""

    def __init__(self, dimension: int, *, k: amount.Amount) -> None:
        """Builds the rule.

        Args:
          dimension: D, the number of weights.
          k: A count (int) in [1, D] or a fraction of D (float) in (0, 1].

        Raises:
          ValueError: If `k` is outside its range.
        """
        self._k = amount.to_count(k, dimension, "k")

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
