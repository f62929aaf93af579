"""What all descents on k share: probe, undefined signs, rounding, interval."""

from __future__ import annotations

import abc
import math
from typing import NamedTuple

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.controllers import _losses, amount, controller, interval


class DescentState(NamedTuple):
    """State of a descent.

    Attributes:
      k: int32 scalar, k_m of the coming round.
      k_probe: int32 scalar, k'_m of the coming round.
      interval: The search interval.
      rounds: int32 scalar, m: rounds since the start or the last adoption.
      undefined: int32 scalar, how many rounds in a row had no defined sign.
      slope: float64 scalar, what the last defined round moved by, in steps.
      sign: int32 scalar, the sign that the last round estimated; 0 also if it was
        undefined.
      defined: bool scalar, whether it was defined.
    """

    k: tf.Tensor
    k_probe: tf.Tensor
    interval: interval.Interval
    rounds: tf.Tensor
    undefined: tf.Tensor
    slope: tf.Tensor
    sign: tf.Tensor
    defined: tf.Tensor


class Descent(controller.Controller):
    """A descent on k along an estimated derivative of the cost.

    Next to k_m a probe k'_m < k_m is kept. A rule is a slope (`slopes`: what a round's
    feedback means), steps (`additive_descent`, `log_descent`: how far they go, and
    where the next probe lies) and an interval (`interval`: fixed or shrinking).

    Rules for the corners:
    - Where the slope is not defined, k stays; after `patience` such rounds in a row
      the next one lets k grow by a step, and the count starts again (our reading:
      the authors' trajectories hold no such run).
    - k is rounded stochastically within the interval, and k' from the rounded k.
    - k' is at least ceil(probe_floor k_min) and at most k - 1, so a probe
      that rounds to k still compares two numbers. k' is 0, i.e. nothing is probed,
      if k is 1, and always if k_min = k_max.

    Amounts are a count (int) or a fraction of D (float).
    """

    k_min: amount.Amount = option(default=0.002, help="the least k")
    k_max: amount.Amount = option(default=1.0, help="the largest k")
    k_initial: amount.Amount | None = option(
        default=None, help="the first k", default_text="0.1, moved into the interval"
    )
    patience: int = option(
        default=10, help="rounds in a row without a slope for which k stays", at_least=0
    )
    probe_initial: float = option(
        default=0.9, help="the first k' relative to k", above=0, below=1
    )
    probe_floor: float = option(
        default=0.1, help="the least k' in units of k_min", at_least=0, below=1
    )

    def _prepare(self) -> None:
        low, high = amount.to_interval(self.k_min, self.k_max, self.dimension)
        self._set(_least=low, _largest=high, _interval=interval.Constant())
        k_initial = self.k_initial
        if k_initial is None:
            k_initial = self._default_k_initial()
        self._set(_first=amount.to_initial(k_initial, low, high, self.dimension))

    def _default_k_initial(self) -> int | None:
        """k_1 if `k_initial` is not given; None: D / 10, moved into the interval."""
        return None

    @abc.abstractmethod
    def _step_length(self, rounds: tf.Tensor, bounds: interval.Interval) -> tf.Tensor:
        """delta_m, float64; `rounds` is m, float64."""

    @abc.abstractmethod
    def _slope(self, state: DescentState, feedback: controller.Feedback) -> tf.Tensor:
        """The derivative to descend along, float64; not finite if undefined."""

    @abc.abstractmethod
    def _move(self, k: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        """Where a signed step from k leads, float64."""

    @abc.abstractmethod
    def _probe(self, k: tf.Tensor, reach: tf.Tensor) -> tf.Tensor:
        """The k' that belongs to `k` after a step that reached so far, float64."""

    def _reach(self, step: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
        """How far k' is to be, float64, after a step of length `step` along `slope`.

        The step's length, unless the slope says otherwise.
        """
        del slope
        return step

    @property
    @override
    def largest_k(self) -> int:
        return self._largest

    @property
    @override
    def probes(self) -> bool:
        return self._least < self._largest

    @property
    @override
    def needs(self) -> frozenset[str]:
        """Nothing if there is one k only."""
        used = controller.PROBED | {"round_time"}
        return used if self.probes else frozenset()

    @override
    def initialize(self) -> DescentState:
        k = self._first
        floor = math.ceil(self.probe_floor * self._least)
        probe = min(max(math.ceil(self.probe_initial * k), floor), k - 1)
        return DescentState(
            k=tf.constant(k, tf.int32),
            k_probe=tf.constant(probe if self.probes else 0, tf.int32),
            interval=interval.first_interval(self._least, self._largest),
            rounds=tf.constant(0, tf.int32),
            undefined=tf.constant(0, tf.int32),
            slope=tf.constant(0.0, tf.float64),
            sign=tf.constant(0, tf.int32),
            defined=tf.constant(False),
        )

    @override
    def decide(self, state: DescentState) -> controller.Decision:
        return controller.Decision(state.k, state.k_probe)

    @override
    def update(
        self, state: DescentState, feedback: controller.Feedback, seed: tf.Tensor
    ) -> DescentState:
        uniforms = tf.random.stateless_uniform([2], seed, dtype=tf.float64)
        return self.step(state, feedback, uniforms)

    def step(
        self, state: DescentState, feedback: controller.Feedback, uniforms: tf.Tensor
    ) -> DescentState:
        """The rule itself, without randomness of its own.

        Args:
          state: The state before.
          feedback: What the round showed.
          uniforms: float64 [2] in [0, 1), for rounding k and k'.

        Returns:
          The state after.
        """
        bounds = state.interval
        rounds = state.rounds + 1
        step = self._step_length(tf.cast(rounds, tf.float64), bounds)
        estimated = self._slope(state, feedback)
        defined = tf.math.is_finite(estimated)
        slope = tf.where(defined, estimated, state.slope)
        undefined = tf.where(defined, 0, state.undefined + 1)
        grows = undefined > self.patience

        k = tf.cast(state.k, tf.float64)
        moved = self._move(k, tf.where(defined, -step * slope, step))
        k = tf.where(defined | grows, moved, k)
        k = tf.clip_by_value(
            k, tf.cast(bounds.k_min, tf.float64), tf.cast(bounds.k_max, tf.float64)
        )
        k = amount.stochastic_round(k, uniforms[0])

        floor = tf.math.ceil(self.probe_floor * tf.cast(bounds.k_min, tf.float64))
        probe = self._probe(tf.cast(k, tf.float64), self._reach(step, slope))
        probe = amount.stochastic_round(tf.maximum(probe, floor), uniforms[1])
        probe = tf.minimum(probe, k - 1) if self.probes else tf.zeros_like(probe)

        bounds, adopted = self._interval.step(bounds, k, defined, rounds)
        return DescentState(
            k=k,
            k_probe=probe,
            interval=bounds,
            rounds=tf.where(adopted, 0, rounds),
            undefined=tf.where(grows, 0, undefined),
            slope=slope,
            sign=tf.where(defined, tf.cast(tf.sign(slope), tf.int32), 0),
            defined=defined,
        )

    @override
    def sign(self, state: DescentState) -> tf.Tensor:
        return state.sign

    @override
    def sign_defined(self, state: DescentState) -> tf.Tensor:
        return state.defined


class AdditiveDescent(Descent):
    """A descent whose steps are added to k.

    With B = k_max - k_min and the slope s,

        delta_m = B / sqrt(2 m),
        k_(m+1) = clip(k_m - delta_m s),   k'_(m+1) = k_(m+1) - reach / 2,

    where the reach is delta_m, unless the slope says otherwise.
    """

    def _step_length(self, rounds: tf.Tensor, bounds: interval.Interval) -> tf.Tensor:
        length = tf.cast(bounds.k_max - bounds.k_min, tf.float64)
        return length / tf.sqrt(2.0 * rounds)

    def _move(self, k: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return k + step

    def _probe(self, k: tf.Tensor, reach: tf.Tensor) -> tf.Tensor:
        return k - reach / 2.0


class LogDescent(Descent):
    """A descent whose steps are taken in log k.

    Additive steps cross orders of magnitude at once downwards and need many for the
    last entries; here a step along the slope s is a factor:

        delta_m = max(step_scale log(k_max / k_min) / sqrt(m), step_floor),
        k_(m+1) = clip(k_m exp(-delta_m s)),
        k'_(m+1) = k_(m+1) exp(-max(probe_scale delta_m, probe_distance)).

    m counts every round, also those whose slope was undefined. With a step_floor above
    0 the rule never settles, so it can follow an optimum that moves: a factor of 1.1
    is log(1.1) = 0.095. A probe_distance above 0 keeps k' so far from k that the
    losses' noise does not hide their difference.
    """

    step_scale: float = option(
        default=0.25, help="the first step as a fraction of log(k_max / k_min)", above=0
    )
    step_floor: float = option(default=0.0, help="the least step, in log k", at_least=0)
    probe_scale: float = option(default=0.5, help="log(k / k') in steps", above=0)
    probe_distance: float = option(
        default=0.0, help="the least log(k / k')", at_least=0
    )

    def _prepare(self) -> None:
        super()._prepare()
        first = self.step_scale * math.log(self._largest / self._least)
        self._set(_first_step=first)

    def _step_length(self, rounds: tf.Tensor, bounds: interval.Interval) -> tf.Tensor:
        first: tf.Tensor | float = self._first_step
        if self._interval.moves:
            low, high = (tf.cast(k, tf.float64) for k in (bounds.k_min, bounds.k_max))
            first = self.step_scale * tf.math.log(high / low)
        return tf.maximum(first / tf.sqrt(rounds), self.step_floor)

    def _move(self, k: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return k * tf.exp(step)

    def _probe(self, k: tf.Tensor, reach: tf.Tensor) -> tf.Tensor:
        return k * tf.exp(-tf.maximum(self.probe_scale * reach, self.probe_distance))


class SignSlope(Descent):
    """The sign of the derivative that Han, Wang, Leung (ICDCS 2020) estimate."""

    def _slope(self, state: DescentState, feedback: controller.Feedback) -> tf.Tensor:
        del state  # k' < k wherever tau' is defined
        return _losses.estimate_sign(feedback)


class ValueSlope(Descent):
    """The value of the derivative that they estimate; k' is as far as a step leads."""

    def _slope(self, state: DescentState, feedback: controller.Feedback) -> tf.Tensor:
        costs = _losses.estimate_costs(feedback)
        distance = tf.cast(state.k - state.k_probe, tf.float64)
        return (costs.cost - costs.cost_probe) / distance

    def _reach(self, step: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
        return step * tf.abs(slope)


class ElasticitySlope(Descent):
    """The difference of two elasticities, see `ElasticityDescent`."""

    def _slope(self, state: DescentState, feedback: controller.Feedback) -> tf.Tensor:
        time, progress = _losses.estimate_elasticities(feedback, state.k, state.k_probe)
        bounded = tf.clip_by_value(progress, 0.0, 1.0)
        return tf.where(tf.math.is_nan(progress), progress, time - bounded)
