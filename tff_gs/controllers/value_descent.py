"""Value-based descent on k."""

from __future__ import annotations

from tff_gs._tensorflow import tf
from tff_gs.controllers import controller, descent, interval, losses


class ValueDescent(descent.Descent):
    """Descent by the value of the estimated derivative.

    Online gradient descent on k, which Han, Wang, Leung (ICDCS 2020, section V) compare
    their sign descent with; the descent is Zinkevich's ("Online Convex Programming and
    Generalized Infinitesimal Gradient Ascent", ICML 2003). With
    g = (tau - tau') / (k_m - k'_m) and B = k_max - k_min,

        delta_m = B / sqrt(2 m),
        k_(m+1) = clip(k_m - delta_m g),   k'_(m+1) = k_(m+1) - delta_m |g| / 2,

    where an undefined round keeps the g before it. As in the authors' trajectories,
    m counts every round and k' is at most k - 1.
    """

    def _step_length(self, rounds: tf.Tensor, bounds: interval.Interval) -> tf.Tensor:
        length = tf.cast(bounds.k_max - bounds.k_min, tf.float64)
        return length / tf.sqrt(2.0 * rounds)

    def _slope(
        self, state: descent.DescentState, feedback: controller.Feedback
    ) -> tf.Tensor:
        costs = losses.estimate_costs(feedback)
        distance = tf.cast(state.k - state.k_probe, tf.float64)
        return (costs.cost - costs.cost_probe) / distance

    def _move(self, k: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return k + step

    def _probe(self, k: tf.Tensor, step: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
        return k - step * tf.abs(slope) / 2.0
