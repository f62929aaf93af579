"""Rules for how many entries a broadcast carries."""

import abc
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tff_gs import checks
from tff_gs.controllers import amount, controller, unaided


class CountRule(abc.ABC):
    """Chooses k from what the server knows: the change that is still to be sent."""

    @abc.abstractmethod
    def initialize(self) -> Any:
        """The state before the first round: a structure of tensors of fixed types."""

    @abc.abstractmethod
    def choose(self, state: Any, change: tf.Tensor) -> tf.Tensor:
        """The k of the coming round, int32 scalar in [1, D].

        Args:
          state: The rule's state.
          change: float32 [D], the weights less what clients are known to have.
        """

    @abc.abstractmethod
    def update(self, state: Any, seed: tf.Tensor, number: tf.Tensor) -> Any:
        """The state after a round.

        Args:
          state: The state that `choose` was called with.
          seed: int32 [2], of the run.
          number: int32 scalar, the round's, counted from 0.
        """


class Given(CountRule):
    """k by a rule of `tff_gs.controllers` that needs no feedback."""

    def __init__(self, rule: controller.Controller, dimension: int) -> None:
        self._rule = rule
        self._dimension = dimension

    def initialize(self) -> Any:
        """See base class."""
        return self._rule.initialize()

    def choose(self, state: Any, change: tf.Tensor) -> tf.Tensor:
        """See base class."""
        del change
        return unaided.decide(self._rule, state, self._dimension)

    def update(self, state: Any, seed: tf.Tensor, number: tf.Tensor) -> Any:
        """See base class."""
        return unaided.advance(self._rule, state, seed, number)


class EnergyShare(CountRule):
    """The smallest k whose entries hold a given share of the change's energy.

    The energy is the squared l2 norm; k stays between two bounds. This adapts k to the
    change of the round and learns nothing: how long a round takes, or what an entry is
    worth to training, it does not know.
    """

    def __init__(
        self,
        dimension: int,
        *,
        share: float,
        k_min: amount.Amount = 1,
        k_max: amount.Amount = 1.0,
    ) -> None:
        """Builds the rule.

        Args:
          dimension: D.
          share: Of the energy, in (0, 1].
          k_min: The least k, a count (int) or a fraction of D (float).
          k_max: The largest k, likewise.

        Raises:
          ValueError: If an argument is outside its range.
        """
        checks.require(0.0 < share <= 1.0, "share to be in (0, 1]", share)
        self._share = share
        self._k_min, self._k_max = amount.to_interval(k_min, k_max, dimension)

    def initialize(self) -> tuple[()]:
        """See base class; there is no state."""
        return ()

    def choose(self, state: tuple[()], change: tf.Tensor) -> tf.Tensor:
        """See base class."""
        del state
        energies = tf.sort(tf.cast(change, tf.float64) ** 2, direction="DESCENDING")
        held = tf.cumsum(energies)
        # The last sum is the whole energy as it is rounded in this order.
        missing = tf.reduce_sum(tf.cast(held < self._share * held[-1], tf.int32))
        return tf.clip_by_value(missing + 1, self._k_min, self._k_max)

    def update(self, state: tuple[()], seed: tf.Tensor, number: tf.Tensor) -> tuple[()]:
        """See base class."""
        del seed, number
        return state


#: A k, or what builds a rule for it, called with D.
KOption = amount.Amount | Callable[[int], controller.Controller | CountRule]


def build_rule(k: KOption, dimension: int) -> CountRule:
    """The rule that an option means.

    Args:
      k: A count (int) or a fraction of D (float) for all rounds, or a function of D
        that builds a `CountRule` or a controller that needs no feedback.
      dimension: D.

    Raises:
      ValueError: If an amount is out of its range, or the rule would have to probe.
    """
    built = k(dimension) if callable(k) else None
    if isinstance(built, CountRule):
        return built
    return Given(unaided.build_rule(k, dimension), dimension)
