"""What descents in the logarithm of k share: steps and probes that are factors."""

import math

import tensorflow as tf

from tff_gs import checks
from tff_gs.controllers import amount, descent, interval


class LogDescent(descent.Descent):
    """A descent whose steps are taken in log k.

    Additive steps cross orders of magnitude at once downwards and need many for the
    last entries; here a step along the slope s is a factor:

        delta_m = max(step_scale log(k_max / k_min) / sqrt(m), step_floor),
        k_(m+1) = clip(k_m exp(-delta_m s)),
        k'_(m+1) = k_(m+1) exp(-max(probe_scale delta_m, probe_distance)).

    m counts every round, also those whose slope was undefined.
    """

    def __init__(
        self,
        dimension: int,
        *,
        k_min: amount.Amount = 0.002,
        k_max: amount.Amount = 1.0,
        k_initial: amount.Amount | None = None,
        step_scale: float = 0.25,
        step_floor: float = 0.0,
        probe_scale: float = 0.5,
        probe_distance: float = 0.0,
        patience: int = 10,
        probe_initial: float = 0.9,
        probe_floor: float = 0.1,
    ) -> None:
        """Builds the rule.

        Args:
          dimension: D, the number of weights.
          k_min: The least k; a count (int) or a fraction of D (float).
          k_max: The largest k, likewise.
          k_initial: k_1, likewise, in [k_min, k_max]; where None, D / 10 moved into
            the interval.
          step_scale: delta_1 as a fraction of log(k_max / k_min).
          step_floor: The least delta_m; above 0 the rule never settles, and so can
            follow an optimum that moves. A factor of 1.1 is log(1.1) = 0.095.
          probe_scale: log(k / k') in steps.
          probe_distance: The least log(k / k'); above 0 it keeps k' so far from k
            that the losses' noise does not hide their difference.
          patience: Rounds in a row without a defined slope for which k stays.
          probe_initial: k'_1 / k_1, in (0, 1).
          probe_floor: The least k' in units of k_min, in [0, 1).

        Raises:
          ValueError: If an argument is outside its range or k_min above k_max.
        """
        super().__init__(
            dimension,
            k_min=k_min,
            k_max=k_max,
            k_initial=k_initial,
            probe_initial=probe_initial,
            probe_floor=probe_floor,
            patience=patience,
        )
        checks.require_positive(step_scale, "step_scale")
        checks.require_non_negative(step_floor, "step_floor")
        checks.require_positive(probe_scale, "probe_scale")
        checks.require_non_negative(probe_distance, "probe_distance")
        self._first_step = step_scale * math.log(self._k_max / self._k_min)
        self._step_floor = step_floor
        self._probe_scale = probe_scale
        self._probe_distance = probe_distance

    def _step_length(self, rounds: tf.Tensor, bounds: interval.Interval) -> tf.Tensor:
        del bounds  # never shrinks
        return tf.maximum(self._first_step / tf.sqrt(rounds), self._step_floor)

    def _move(self, k: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return k * tf.exp(step)

    def _probe(self, k: tf.Tensor, step: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
        del slope
        return k * tf.exp(-tf.maximum(self._probe_scale * step, self._probe_distance))
