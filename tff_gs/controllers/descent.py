"""What all descents on k share: probe, undefined signs, rounding, interval."""

from __future__ import annotations

import abc
import math
from typing import NamedTuple

from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.controllers import (
    amount,
    controller,
    interval,
    rounding,
)


class DescentState(NamedTuple):
    """State of a descent.

    Attributes:
      k: int32 scalar, k_m of the coming round.
      k_probe: int32 scalar, k'_m of the coming round.
      interval: The search interval.
      rounds: int32 scalar, m: rounds since the start or the last adoption.
      undefined: int32 scalar, how many rounds in a row had no defined sign.
      slope: float64 scalar, what the last defined round moved by, in steps.
      sign: int32 scalar, the sign that the last round estimated; 0 also where it was
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
      the next one lets k grow by a step, and the count starts anew (our reading:
      the authors' trajectories hold no such run).
    - k is rounded stochastically within the interval, and k' from the rounded k.
    - k' is at least ceil(probe_floor k_min) and at most k - 1, so that a probe
      that rounds to k still compares two numbers. k' is 0, i.e. nothing is probed,
      where k is 1, and always where k_min = k_max.

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
        """k_1 where `k_initial` is not given; None: D / 10, moved into the interval."""
        return None

    @abc.abstractmethod
    def _step_length(self, rounds: tf.Tensor, bounds: interval.Interval) -> tf.Tensor:
        """delta_m, float64; `rounds` is m, float64."""

    @abc.abstractmethod
    def _slope(self, state: DescentState, feedback: controller.Feedback) -> tf.Tensor:
        """The derivative to descend along, float64; not finite where undefined."""

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
    def probes(self) -> bool:
        """See base class."""
        return self._least < self._largest

    @property
    def needs(self) -> frozenset[str]:
        """See base class; nothing where there is one k only."""
        used = controller.PROBED | {"round_time"}
        return used if self.probes else frozenset()

    def initialize(self) -> DescentState:
        """See base class."""
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

    def decide(self, state: DescentState) -> controller.Decision:
        """See base class."""
        return controller.Decision(state.k, state.k_probe)

    def update(
        self, state: DescentState, feedback: controller.Feedback, seed: tf.Tensor
    ) -> DescentState:
        """See base class."""
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
        k = rounding.stochastic_round(k, uniforms[0])

        floor = tf.math.ceil(self.probe_floor * tf.cast(bounds.k_min, tf.float64))
        probe = self._probe(tf.cast(k, tf.float64), self._reach(step, slope))
        probe = rounding.stochastic_round(tf.maximum(probe, floor), uniforms[1])
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

    def sign(self, state: DescentState) -> tf.Tensor:
        """See base class."""
        return state.sign

    def sign_defined(self, state: DescentState) -> tf.Tensor:
        """See base class."""
        return state.defined
