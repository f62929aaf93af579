"""Sign descent on k, with a fixed or a shrinking interval."""

import tensorflow as tf

from tff_gs import checks
from tff_gs.controllers import amount, controller, descent, interval, losses


class SignDescent(descent.Descent):
    """Online learning of k by the sign of an estimated derivative.

    Han, Wang, Leung, "Adaptive Gradient Sparsification for Efficient Federated
    Learning: An Online Learning Approach", ICDCS 2020, section IV: Algorithm 3
    with the shrinking interval, Algorithm 2 without. With
    s = sign((tau - tau') / (k_m - k'_m)) and B = k_max - k_min,

        delta_m = B / sqrt(2 m),
        k_(m+1) = clip(k_m - delta_m s),   k'_(m+1) = k_(m+1) - delta_m / 2.

    Where the paper leaves a choice, the rule is the one that the authors' own
    trajectories show: m counts every round since the last adoption, also those
    whose sign was undefined; k' is recomputed in every round, from the rounded k
    and with the step of that round; only updates with a defined sign fill the
    window; an adopted interval takes effect in the next round.
    """

    def __init__(
        self,
        dimension: int,
        *,
        k_min: amount.Amount = 0.002,
        k_max: amount.Amount = 1.0,
        k_initial: amount.Amount | None = None,
        shrink: bool = True,
        alpha: float = 1.5,
        window: int = 20,
        patience: int = 10,
        probe_initial: float = 0.9,
        probe_floor: float = 0.1,
    ) -> None:
        """Builds the rule; defaults are the paper's, `k_initial` is our own.

        Args:
          dimension: D, the number of weights.
          k_min: The least k; a count (int) or a fraction of D (float).
          k_max: The largest k, likewise.
          k_initial: k_1, likewise, in [k_min, k_max]; where None, D / 10 moved into
            the interval.
          shrink: Whether the interval shrinks (Algorithm 3) or stays (2).
          alpha: Margin of a new interval around the window's k, at least 1.
          window: M_u, updates with a defined sign between two checks.
          patience: Rounds in a row without a defined sign for which k stays.
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
        checks.require(alpha >= 1, "alpha to be at least 1", alpha)
        checks.require(window >= 1, "window to be at least 1", window)
        if shrink:
            self._interval = interval.Shrinking(
                self._k_min, self._k_max, alpha=alpha, window=window
            )

    def _step_length(self, rounds: tf.Tensor, bounds: interval.Interval) -> tf.Tensor:
        length = tf.cast(bounds.k_max - bounds.k_min, tf.float64)
        return length / tf.sqrt(2.0 * rounds)

    def _slope(
        self, state: descent.DescentState, feedback: controller.Feedback
    ) -> tf.Tensor:
        del state  # k' < k wherever tau' is defined
        return losses.estimate_sign(feedback)

    def _move(self, k: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return k + step

    def _probe(self, k: tf.Tensor, step: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
        del slope
        return k - step / 2.0
