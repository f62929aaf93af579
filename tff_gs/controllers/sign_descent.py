"""Sign descent on k, with a fixed or a shrinking interval."""

import dataclasses

import tensorflow as tf

from tff_gs import checks
from tff_gs.controllers import controller, descent, interval, losses


@dataclasses.dataclass(eq=False)
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
    window; an adopted interval takes effect in the next round. Defaults are the
    paper's; that of `k_initial` is our own.

    Attributes:
      shrink: Whether the interval shrinks (Algorithm 3) or stays (2).
      alpha: Margin of a new interval around the window's k, at least 1.
      window: M_u, updates with a defined sign between two checks.
    """

    _: dataclasses.KW_ONLY
    shrink: bool = True
    alpha: float = 1.5
    window: int = 20

    def __post_init__(self) -> None:
        """Checks the arguments."""
        super().__post_init__()
        checks.require(self.alpha >= 1, "alpha to be at least 1", self.alpha)
        checks.require(self.window >= 1, "window to be at least 1", self.window)
        if self.shrink:
            self._interval = interval.Shrinking(
                self._least, self._largest, alpha=self.alpha, window=self.window
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
