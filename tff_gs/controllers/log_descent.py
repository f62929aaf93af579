"""What descents in the logarithm of k share: steps and probes that are factors."""

from __future__ import annotations

import math

from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.controllers import descent, interval


class LogDescent(descent.Descent):
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
