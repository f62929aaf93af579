"""Sign descent on k, with a shrinking or a fixed interval."""

from __future__ import annotations

from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.controllers import controller, descent, interval, losses


class FixedIntervalSignDescent(descent.Descent):
    """Sign descent with a fixed interval (the paper's Algorithm 2).

    Online learning of k by the sign of an estimated derivative: Han, Wang, Leung,
    "Adaptive Gradient Sparsification for Efficient Federated Learning: An Online
    Learning Approach", ICDCS 2020, section IV. With
    s = sign((tau - tau') / (k_m - k'_m)) and B = k_max - k_min,

        delta_m = B / sqrt(2 m),
        k_(m+1) = clip(k_m - delta_m s),   k'_(m+1) = k_(m+1) - delta_m / 2.

    Where the paper leaves a choice, the rule is the one that the authors' own
    trajectories show: m counts every round since the last adoption, also those
    whose sign was undefined; k' is recomputed in every round, from the rounded k
    and with the step of that round. Defaults are the paper's; that of `k_initial` is
    our own.
    """

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


class SignDescent(FixedIntervalSignDescent):
    """Sign descent with the shrinking interval (the paper's Algorithm 3).

    As `FixedIntervalSignDescent`, but k_min and k_max move (`interval.Shrinking`). As
    in the authors' trajectories, only updates with a defined sign fill the window, and
    an adopted interval takes effect in the next round.
    """

    alpha: float = option(
        1.5, help="margin of a new interval around the k of the window", at_least=1
    )
    window: int = option(
        20, help="updates with a sign between two checks of the interval", at_least=1
    )

    def _prepare(self) -> None:
        super()._prepare()
        self._set(
            _interval=interval.Shrinking(
                self._least, self._largest, alpha=self.alpha, window=self.window
            )
        )
