"""EXP3 over a grid of k."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from typing_extensions import override

from tff_gs import _checks
from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.controllers import _losses, amount, controller


class Exp3State(NamedTuple):
    """State of `Exp3`; A is the number of arms.

    Attributes:
      arm: int32 scalar, index of the arm that the coming round plays.
      log_weights: float64 [A], log w_a of every arm, the largest being 0.
      best: float64 scalar, the scale of the rewards (`_losses.measure_progress`).
    """

    arm: tf.Tensor
    log_weights: tf.Tensor
    best: tf.Tensor


class Exp3(controller.Controller):
    """EXP3 bandit over a grid of k.

    Exponential weights for exploration and exploitation, each arm one k:
    Auer, Cesa-Bianchi, Freund, Schapire, "The Nonstochastic Multiarmed Bandit
    Problem", SIAM J. Comput. 32(1), 2002, Figure 1. With weights w and A arms,

        p_a = (1 - gamma) w_a / sum(w) + gamma / A,

    arm a is drawn from p, and its reward x in [0, 1] multiplies w_a by
    exp(gamma x / (A p_a)). The reward of a round is its loss decrease per time,
    (L0 - L1) / theta(k), relative to the best of late; a round whose losses were
    not measured changes no weight. The losses need a probe: k' = k - 1. Where D is 1,
    all arms are one, and nothing is probed.
    """

    arms: tuple[amount.Amount, ...] = option(
        help="the grid of k, ascending, such as 100,1000,0.5; at least 2 entries each"
    )
    horizon: int | None = option(
        default=None,
        help="T, the number of rounds that gamma is chosen for",
        at_least=1,
        default_text="the run's rounds, or 1000",
        has_flag=False,
    )
    gamma: float | None = option(
        default=None,
        help="exploration rate",
        above=0,
        at_most=1,
        default_text="sqrt(log(A) / (A T)) of A arms and T rounds",
    )
    memory: float = option(
        default=0.99, help="discount of the rewards' scale", above=0, at_most=1
    )

    def _prepare(self) -> None:
        arms = [amount.to_count(arm, self.dimension, "an arm") for arm in self.arms]
        _checks.require(len(arms) > 0, "a grid of at least one arm", list(self.arms))
        least = min(2, self.dimension)
        if self.dimension == 1:
            arms = arms[:1]
        _checks.require(
            all(a < b for a, b in itertools.pairwise(arms)),
            "ascending arms without duplicates",
            arms,
        )
        _checks.require(
            arms[0] >= least,
            "arms of at least 2 entries, to have a probe",
            self.arms[0],
        )
        gamma = self.gamma
        if gamma is None:
            # As the authors of the ICDCS paper chose it.
            horizon = self.horizon or self._rounds or _losses.DEFAULT_HORIZON
            gamma = math.sqrt(math.log(len(arms)) / (len(arms) * horizon))
        self._set(_arms=arms, _gamma=gamma)

    @property
    @override
    def largest_k(self) -> int:
        return self._arms[-1]

    @property
    @override
    def probes(self) -> bool:
        return self._arms[-1] > 1

    @property
    @override
    def needs(self) -> frozenset[str]:
        return _losses.PROGRESS_NEEDS if self.probes else frozenset()

    @override
    def initialize(self) -> Exp3State:
        uniform = tf.random.stateless_uniform([], [self._seed, 0], dtype=tf.float64)
        log_weights = tf.zeros([len(self._arms)], tf.float64)
        return Exp3State(
            arm=_draw(self.probabilities(log_weights), uniform),
            log_weights=log_weights,
            best=tf.constant(0.0, tf.float64),
        )

    @override
    def decide(self, state: Exp3State) -> controller.Decision:
        k = tf.gather(tf.constant(self._arms, tf.int32), state.arm)
        return controller.Decision(k, k - 1)

    @override
    def update(
        self, state: Exp3State, feedback: controller.Feedback, seed: tf.Tensor
    ) -> Exp3State:
        progress = _losses.measure_progress(feedback, state.best, self.memory)
        uniform = tf.random.stateless_uniform([], seed, dtype=tf.float64)
        return self.step(state, progress.reward, uniform)._replace(best=progress.best)

    def step(
        self, state: Exp3State, reward: tf.Tensor, uniform: tf.Tensor
    ) -> Exp3State:
        """The rule itself, without randomness of its own.

        Args:
          state: The state before.
          reward: float64 scalar in [0, 1], of the arm played; NaN: unknown.
          uniform: float64 scalar in [0, 1), draws the next arm.

        Returns:
          The state after; `best` is left as it is.
        """
        played = tf.gather(self.probabilities(state.log_weights), state.arm)
        gain = self._gamma * reward / (len(self._arms) * played)
        gain = tf.where(tf.math.is_finite(gain), gain, 0.0)
        log_weights = state.log_weights + gain * tf.one_hot(
            state.arm, len(self._arms), dtype=tf.float64
        )
        log_weights -= tf.reduce_max(log_weights)
        return state._replace(
            arm=_draw(self.probabilities(log_weights), uniform),
            log_weights=log_weights,
        )

    def probabilities(self, log_weights: tf.Tensor) -> tf.Tensor:
        """p, float64 [A], of the weights in a state."""
        softmax = tf.nn.softmax(log_weights)
        return (1.0 - self._gamma) * softmax + self._gamma / len(self._arms)


def _draw(probabilities: tf.Tensor, uniform: tf.Tensor) -> tf.Tensor:
    """The first index whose cumulative probability is above `uniform`, int32."""
    index = tf.searchsorted(tf.cumsum(probabilities), uniform[tf.newaxis], side="right")
    # The sum may fall short of 1 by a rounding error.
    return tf.minimum(index[0], tf.size(probabilities) - 1)
