"""What descents in the logarithm of k share: steps and probes that are factors."""

import dataclasses
import math

import tensorflow as tf

from tff_gs import checks
from tff_gs.controllers import descent, interval


@dataclasses.dataclass(eq=False)
class LogDescent(descent.Descent):
    """A descent whose steps are taken in log k.

    Additive steps cross orders of magnitude at once downwards and need many for the
    last entries; here a step along the slope s is a factor:

        delta_m = max(step_scale log(k_max / k_min) / sqrt(m), step_floor),
        k_(m+1) = clip(k_m exp(-delta_m s)),
        k'_(m+1) = k_(m+1) exp(-max(probe_scale delta_m, probe_distance)).

    m counts every round, also those whose slope was undefined.

    Attributes:
      step_scale: delta_1 as a fraction of log(k_max / k_min).
      step_floor: The least delta_m; above 0 the rule never settles, and so can
        follow an optimum that moves. A factor of 1.1 is log(1.1) = 0.095.
      probe_scale: log(k / k') in steps.
      probe_distance: The least log(k / k'); above 0 it keeps k' so far from k
        that the losses' noise does not hide their difference.
    """

    _: dataclasses.KW_ONLY
    step_scale: float = 0.25
    step_floor: float = 0.0
    probe_scale: float = 0.5
    probe_distance: float = 0.0

    def __post_init__(self) -> None:
        """Checks the arguments."""
        super().__post_init__()
        checks.require_positive(self.step_scale, "step_scale")
        checks.require_non_negative(self.step_floor, "step_floor")
        checks.require_positive(self.probe_scale, "probe_scale")
        checks.require_non_negative(self.probe_distance, "probe_distance")
        self._first_step = self.step_scale * math.log(self._largest / self._least)

    def _step_length(self, rounds: tf.Tensor, bounds: interval.Interval) -> tf.Tensor:
        del bounds  # never shrinks
        return tf.maximum(self._first_step / tf.sqrt(rounds), self.step_floor)

    def _move(self, k: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return k * tf.exp(step)

    def _probe(self, k: tf.Tensor, step: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
        del slope
        return k * tf.exp(-tf.maximum(self.probe_scale * step, self.probe_distance))
