"""The continuous bandit: gradient descent from one evaluation a round."""

from __future__ import annotations

from typing import NamedTuple

from typing_extensions import override

from tff_gs import _checks
from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.controllers import _losses, amount, controller


class ContinuousBanditState(NamedTuple):
    """State of `ContinuousBandit`.

    Attributes:
      center: float64 scalar, x in [-1, 1]: the k around which rounds are played,
        -1 being k_min and 1 k_max.
      direction: float64 scalar, u = -1 or 1: the side that the coming round plays.
      k: int32 scalar, the k of the coming round.
      best: float64 scalar, the scale of the rewards (`_losses.measure_progress`).
    """

    center: tf.Tensor
    direction: tf.Tensor
    k: tf.Tensor
    best: tf.Tensor


class ContinuousBandit(controller.Controller):
    """Continuous bandit with a one-point gradient estimate.

    Descent along a gradient estimated from the cost at one random point: Flaxman,
    Kalai, McMahan, "Online Convex Optimization in the Bandit Setting: Gradient Descent
    Without a Gradient", SODA 2005, Figure 1, in one dimension and on the interval
    scaled to [-1, 1]. With a random u in {-1, 1},

        y_m = x_m + delta u_m is played at cost c_m in [0, 1],
        x_(m+1) = clip(x_m - nu c_m u_m) to [-(1 - alpha), 1 - alpha].

    The constants are those of the paper's Theorem 1 (d = r = R = C = 1). The cost
    of a round is 1 minus its loss decrease per time, (L0 - L1) / theta(k), relative
    to the best of late; a round whose losses were not measured leaves x. The
    losses need a probe: k' = k - 1, so at least 2 entries are played. Where D is 1 so
    is k, and nothing is probed.
    """

    k_min: amount.Amount = option(default=0.002, help="the least k")
    k_max: amount.Amount = option(default=1.0, help="the largest k")
    k_initial: amount.Amount | None = option(
        default=None, help="the first k", default_text="0.1, moved to where x may lie"
    )
    horizon: int | None = option(
        default=None,
        help="n, the number of rounds that the constants are chosen for",
        at_least=1,
        default_text="the run's rounds, or 1000",
        has_flag=False,
    )
    step: float | None = option(
        default=None,
        help="nu, step length",
        above=0,
        default_text="1 / sqrt(n) of n rounds",
    )
    perturbation: float | None = option(
        default=None,
        help="delta, distance of the k that is played from the center",
        above=0,
        default_text="(12 n)^(-1/3), at most the margin",
    )
    margin: float | None = option(
        default=None,
        help="alpha, distance of the center from the interval's ends",
        above=0,
        at_most=1,
        default_text="(3 / (2 sqrt(n)))^(1/3), at most 1",
    )
    memory: float = option(
        default=0.99, help="discount of the rewards' scale", above=0, at_most=1
    )

    def _prepare(self) -> None:
        low, high = amount.to_interval(self.k_min, self.k_max, self.dimension)
        least = min(2, self.dimension)
        _checks.require(
            high >= least, "k_max of at least 2 entries, to have a probe", high
        )
        low = max(low, least)
        initial = amount.to_initial(self.k_initial, low, high, self.dimension)
        horizon = self.horizon or self._rounds or _losses.DEFAULT_HORIZON
        margin = self.margin
        if margin is None:
            margin = min(1.0, (1.5 * horizon**-0.5) ** (1 / 3))
        perturbation = self.perturbation
        if perturbation is None:
            perturbation = min(margin, (12 * horizon) ** (-1 / 3))
        _checks.require(
            perturbation <= margin,
            f"perturbation to be in (0, margin = {margin}]",
            perturbation,
        )
        limit = 1.0 - margin
        half = (high - low) / 2
        center = (initial - low) / half - 1.0 if half else 0.0
        self._set(
            _k_min=low,
            _k_max=high,
            _step=horizon**-0.5 if self.step is None else self.step,
            _perturbation=perturbation,
            _limit=limit,
            _initial=min(max(center, -limit), limit),
        )

    @property
    @override
    def largest_k(self) -> int:
        return self._k_max

    @property
    @override
    def probes(self) -> bool:
        return self._k_max > 1

    @property
    @override
    def needs(self) -> frozenset[str]:
        return _losses.PROGRESS_NEEDS if self.probes else frozenset()

    @override
    def initialize(self) -> ContinuousBanditState:
        uniforms = tf.random.stateless_uniform([2], [self._seed, 0], dtype=tf.float64)
        center = tf.constant(self._initial, tf.float64)
        return self._play(center, tf.constant(0.0, tf.float64), uniforms)

    @override
    def decide(self, state: ContinuousBanditState) -> controller.Decision:
        return controller.Decision(state.k, state.k - 1)

    @override
    def update(
        self,
        state: ContinuousBanditState,
        feedback: controller.Feedback,
        seed: tf.Tensor,
    ) -> ContinuousBanditState:
        progress = _losses.measure_progress(feedback, state.best, self.memory)
        uniforms = tf.random.stateless_uniform([2], seed, dtype=tf.float64)
        stepped = self.advance(state, 1.0 - progress.reward, uniforms)
        return stepped._replace(best=progress.best)

    def advance(
        self, state: ContinuousBanditState, cost: tf.Tensor, uniforms: tf.Tensor
    ) -> ContinuousBanditState:
        """The rule itself, without randomness of its own.

        Args:
          state: The state before.
          cost: float64 scalar in [0, 1], of the k played; NaN: unknown.
          uniforms: float64 [2] in [0, 1), for the next direction and for rounding.

        Returns:
          The state after; `best` is left as it is.
        """
        moved = state.center - self._step * cost * state.direction
        center = tf.where(tf.math.is_finite(cost), moved, state.center)
        center = tf.clip_by_value(center, -self._limit, self._limit)
        return self._play(center, state.best, uniforms)

    def _play(
        self, center: tf.Tensor, best: tf.Tensor, uniforms: tf.Tensor
    ) -> ContinuousBanditState:
        direction = tf.where(uniforms[0] < 0.5, -1.0, 1.0)
        direction = tf.cast(direction, tf.float64)
        half = (self._k_max - self._k_min) / 2
        k = self._k_min + (center + self._perturbation * direction + 1.0) * half
        k = tf.clip_by_value(k, float(self._k_min), float(self._k_max))
        return ContinuousBanditState(
            center=center,
            direction=direction,
            k=amount.stochastic_round(k, uniforms[1]),
            best=best,
        )
