"""Rules for how many entries a broadcast carries."""

import abc
from typing import Any, Self

import tensorflow as tf
from typing_extensions import override

from tff_gs import configuration
from tff_gs.configuration import option
from tff_gs.controllers import _unaided, amount, controller


class CountRule(configuration.Configuration, abc.ABC):
    """Chooses k from what the server knows: the change that is still to be sent.

    A rule is made from its options, and bound to D before anything else is asked of it.

    Attributes:
      dimension: D; known when bound.
    """

    def bind(self, dimension: int) -> Self:
        """The rule for changes of `dimension` (D) entries.

        Raises:
          ValueError: In one sentence, if an option does not fit to D.
        """
        return self._bound(dimension=dimension)

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
        self._set(_rule=rule, dimension=dimension)

    @override
    def initialize(self) -> Any:
        return self._rule.initialize()

    @override
    def choose(self, state: Any, change: tf.Tensor) -> tf.Tensor:
        del change
        return _unaided.decide(self._rule, state, self.dimension)

    @override
    def update(self, state: Any, seed: tf.Tensor, number: tf.Tensor) -> Any:
        return _unaided.advance(self._rule, state, seed, number)


class EnergyShare(CountRule):
    """The smallest k whose entries hold a given share of the change's energy.

    The energy is the squared l2 norm; k stays between two bounds. This adapts k to the
    change of the round and learns nothing: how long a round takes, or what an entry is
    worth to training, it does not know.
    """

    share: float = option(help="the share of the energy", above=0, at_most=1)
    k_min: amount.Amount = option(default=1, help="the least k")
    k_max: amount.Amount = option(default=1.0, help="the largest k")

    def _prepare(self) -> None:
        low, high = amount.to_interval(self.k_min, self.k_max, self.dimension)
        self._set(_k_min=low, _k_max=high)

    @override
    def initialize(self) -> tuple[()]:
        """There is no state."""
        return ()

    @override
    def choose(self, state: tuple[()], change: tf.Tensor) -> tf.Tensor:
        del state
        energies = tf.sort(tf.cast(change, tf.float64) ** 2, direction="DESCENDING")
        held = tf.cumsum(energies)
        # The last sum is the whole energy as it is rounded in this order.
        missing = tf.reduce_sum(tf.cast(held < self.share * held[-1], tf.int32))
        return tf.clip_by_value(missing + 1, self._k_min, self._k_max)

    @override
    def update(self, state: tuple[()], seed: tf.Tensor, number: tf.Tensor) -> tuple[()]:
        del seed, number
        return state


#: A k, or a rule for it.
KOption = amount.Amount | controller.Controller | CountRule


def build_rule(k: KOption, dimension: int, *, seed: int = 0) -> CountRule:
    """The rule that an option means.

    Args:
      k: A count (int) or a fraction of D (float) for all rounds, or a `CountRule`, or a
        controller that needs no feedback.
      dimension: D.
      seed: Of the run.

    Raises:
      ValueError: If an amount is out of its range, or the rule would have to probe.
    """
    if isinstance(k, CountRule):
        return k.bind(dimension)
    return Given(_unaided.build_rule(k, dimension, seed=seed), dimension)
