"""What descents share whose steps are added to k."""

from __future__ import annotations

from tff_gs._tensorflow import tf
from tff_gs.controllers import descent, interval


class AdditiveDescent(descent.Descent):
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
