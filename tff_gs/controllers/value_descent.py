"""Value-based descent on k."""

import tensorflow as tf

from tff_gs.controllers import amount, controller, descent, interval, losses


class ValueDescent(descent.Descent):
    """Online gradient descent on k by the value of the estimated derivative.

    The rule that Han, Wang, Leung (ICDCS 2020, section V) compare their sign
    descent with; the descent is Zinkevich's ("Online Convex Programming and
    Generalized Infinitesimal Gradient Ascent", ICML 2003). With
    g = (tau - tau') / (k_m - k'_m) and B = k_max - k_min,

        delta_m = B / sqrt(2 m),
        k_(m+1) = clip(k_m - delta_m g),   k'_(m+1) = k_(m+1) - delta_m |g| / 2,

    where an undefined round keeps the g before it. As in the authors' trajectories,
    m counts every round and k' is at most k - 1.
    """

    def __init__(
        self,
        dimension: int,
        *,
        k_min: amount.Amount = 0.002,
        k_max: amount.Amount = 1.0,
        k_initial: amount.Amount | None = None,
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
          patience: Rounds in a row without a defined derivative for which k stays.
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
