"""The continuous bandit: gradient descent from one evaluation a round."""

from typing import NamedTuple

import tensorflow as tf

from tff_gs import checks
from tff_gs.controllers import amount, controller, losses, rounding


class ContinuousBanditState(NamedTuple):
    """State of `ContinuousBandit`.

    Attributes:
      center: float64 scalar, x in [-1, 1]: the k around which rounds are played,
        -1 being k_min and 1 k_max.
      direction: float64 scalar, u = -1 or 1: the side that the coming round plays.
      k: int32 scalar, the k of the coming round.
      best: float64 scalar, the scale of the rewards (`losses.measure_progress`).
    """

    center: tf.Tensor
    direction: tf.Tensor
    k: tf.Tensor
    best: tf.Tensor


class ContinuousBandit(controller.Controller):
    """Descent along a gradient estimated from the cost at one random point.

    Flaxman, Kalai, McMahan, "Online Convex Optimization in the Bandit Setting:
    Gradient Descent Without a Gradient", SODA 2005, Figure 1, in one dimension and
    on the interval scaled to [-1, 1]. With a random u in {-1, 1},

        y_m = x_m + delta u_m is played at cost c_m in [0, 1],
        x_(m+1) = clip(x_m - nu c_m u_m) to [-(1 - alpha), 1 - alpha].

    The constants are those of the paper's Theorem 1 (d = r = R = C = 1). The cost
    of a round is 1 minus its loss decrease per time, (L0 - L1) / theta(k), relative
    to the best of late; a round whose losses were not measured leaves x. The
    losses need a probe: k' = k - 1. Where D is 1 so is k, and nothing is probed.
    """

    def __init__(
        self,
        dimension: int,
        *,
        k_min: amount.Amount = 0.002,
        k_max: amount.Amount = 1.0,
        k_initial: amount.Amount | None = None,
        horizon: int = 1000,
        step: float | None = None,
        perturbation: float | None = None,
        margin: float | None = None,
        memory: float = 0.99,
        seed: int = 0,
    ) -> None:
        """Builds the rule.

        Args:
          dimension: D, the number of weights.
          k_min: The least k; a count (int) or a fraction of D (float); at least 2
            entries are played.
          k_max: The largest k, likewise.
          k_initial: The k of x_1, likewise, in [k_min, k_max], then moved to where x
            may lie; D / 10, so moved, where None.
          horizon: n, the number of rounds that the constants are chosen for.
          step: nu; 1 / sqrt(n) where None.
          perturbation: delta in (0, margin]; (12 n)^(-1/3), at most the margin,
            where None.
          margin: alpha in (0, 1]; min(1, (3 / (2 sqrt(n)))^(1/3)) where None.
          memory: Discount of the rewards' scale per round, in (0, 1].
          seed: Draws the first direction.

        Raises:
          ValueError: If an argument is outside its range or k_min above k_max.
        """
        low, high = amount.to_interval(k_min, k_max, dimension)
        least = min(2, dimension)
        checks.require(
            high >= least, "k_max of at least 2 entries, to have a probe", high
        )
        self._k_min, self._k_max = max(low, least), high
        initial = amount.to_initial(k_initial, self._k_min, self._k_max, dimension)
        checks.require(horizon >= 1, "horizon to be at least 1", horizon)
        if step is None:
            step = horizon**-0.5
        if margin is None:
            margin = min(1.0, (1.5 * horizon**-0.5) ** (1 / 3))
        checks.require(0 < margin <= 1, "margin to be in (0, 1]", margin)
        if perturbation is None:
            perturbation = min(margin, (12 * horizon) ** (-1 / 3))
        checks.require_positive(step, "step")
        checks.require(
            0 < perturbation <= margin,
            f"perturbation to be in (0, margin = {margin}]",
            perturbation,
        )
        checks.require(0 < memory <= 1, "memory to be in (0, 1]", memory)
        self._step = step
        self._perturbation = perturbation
        self._limit = 1.0 - margin
        self._memory = memory
        self._seed = seed
        half = (self._k_max - self._k_min) / 2
        center = (initial - self._k_min) / half - 1.0 if half else 0.0
        self._initial = min(max(center, -self._limit), self._limit)

    @property
    def probes(self) -> bool:
        """See base class."""
        return self._k_max > 1

    @property
    def needs(self) -> frozenset[str]:
        """See base class."""
        return losses.PROGRESS_NEEDS if self.probes else frozenset()

    def initialize(self) -> ContinuousBanditState:
        """See base class."""
        uniforms = tf.random.stateless_uniform([2], [self._seed, 0], dtype=tf.float64)
        center = tf.constant(self._initial, tf.float64)
        return self._play(center, tf.constant(0.0, tf.float64), uniforms)

    def decide(self, state: ContinuousBanditState) -> controller.Decision:
        """See base class."""
        return controller.Decision(state.k, state.k - 1)

    def update(
        self,
        state: ContinuousBanditState,
        feedback: controller.Feedback,
        seed: tf.Tensor,
    ) -> ContinuousBanditState:
        """See base class."""
        progress = losses.measure_progress(feedback, state.best, self._memory)
        uniforms = tf.random.stateless_uniform([2], seed, dtype=tf.float64)
        stepped = self.step(state, 1.0 - progress.reward, uniforms)
        return stepped._replace(best=progress.best)

    def step(
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
            k=rounding.stochastic_round(k, uniforms[1]),
            best=best,
        )
