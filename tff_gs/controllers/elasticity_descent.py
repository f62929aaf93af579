"""Descent in log k by the elasticities of a round's time and progress."""

import math

import tensorflow as tf

from tff_gs.controllers import amount, controller, descent, log_descent, losses


class ElasticityDescent(log_descent.LogDescent):
    """Log-scale descent by the value of the slope, bounded to what it can be.

    Our own rule, on the estimate of Han, Wang, Leung (ICDCS 2020, section IV). The
    time that k needs for a given progress is theta(k) over the progress of a round.
    Its derivative in log k is the difference of two elasticities: by how many percent
    one percent more entries prolongs a round, and by how many it furthers the loss,

        s_m = k [theta(k) - theta(k')] / [(k - k') theta(k)],
        e_m = [log (L0 - L1) - log (L0 - L1')] / [log k - log k'],

    where theta is affine in k, and progress a power of k. What s_m is, is known. e_m
    is noisy, but cannot be just anything: what is not sent stays in the residual and
    must be sent later, so that in the long run more entries never further the loss
    less; and as the largest go first, progress grows no faster than k. Hence
    0 <= e <= 1, and the step, as `LogDescent` takes it, is along

        s_m - clip(e_m, 0, 1),

    with e_m = 1 where only k lowered the loss, and 0 where only k' did. Where an
    update overshoots, a smaller one lowers the loss more, round after round; a sign
    then leads down to ever smaller k, on which training is slow or diverges, while
    here such a round counts for no more than the time that a smaller k saves.
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
        probe_distance: float = math.log(2.0),
        patience: int = 10,
        probe_initial: float = 0.5,
        probe_floor: float = 0.1,
    ) -> None:
        """Builds the rule.

        Args:
          dimension: D, the number of weights.
          k_min: The least k; a count (int) or a fraction of D (float).
          k_max: The largest k, likewise.
          k_initial: k_1, likewise, in [k_min, k_max]; where None, the middle of the
            interval in log k.
          step_scale: delta_1 as a fraction of log(k_max / k_min).
          step_floor: The least delta_m; above 0 the rule never settles, and so can
            follow an optimum that moves.
          probe_scale: log(k / k') in steps.
          probe_distance: The least log(k / k'): the noise of e_m is that of the losses
            divided by it.
          patience: Rounds in a row without any progress for which k stays.
          probe_initial: k'_1 / k_1, in (0, 1).
          probe_floor: The least k' in units of k_min, in [0, 1).

        Raises:
          ValueError: If an argument is outside its range or k_min above k_max.
        """
        if k_initial is None:
            least, largest = amount.to_interval(k_min, k_max, dimension)
            k_initial = round(math.sqrt(least * largest))
        super().__init__(
            dimension,
            k_min=k_min,
            k_max=k_max,
            k_initial=k_initial,
            step_scale=step_scale,
            step_floor=step_floor,
            probe_scale=probe_scale,
            probe_distance=probe_distance,
            patience=patience,
            probe_initial=probe_initial,
            probe_floor=probe_floor,
        )

    def _slope(
        self, state: descent.DescentState, feedback: controller.Feedback
    ) -> tf.Tensor:
        time, progress = losses.estimate_elasticities(feedback, state.k, state.k_probe)
        bounded = tf.clip_by_value(
            progress, tf.zeros_like(progress), tf.ones_like(progress)
        )
        return tf.where(tf.math.is_nan(progress), progress, time - bounded)
