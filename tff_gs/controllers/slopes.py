"""What a descent on k goes along: the slope of the time that progress takes.

Each is one third of a rule, beside the steps (`additive_descent`, `log_descent`) and
the interval (`interval`): `class LogSignDescent(SignSlope, LogDescent)`.
"""

from __future__ import annotations

from tff_gs._tensorflow import tf
from tff_gs.controllers import controller, descent, losses


class SignSlope(descent.Descent):
    """The sign of the derivative that Han, Wang, Leung (ICDCS 2020) estimate."""

    def _slope(
        self, state: descent.DescentState, feedback: controller.Feedback
    ) -> tf.Tensor:
        del state  # k' < k wherever tau' is defined
        return losses.estimate_sign(feedback)


class ValueSlope(descent.Descent):
    """The value of the derivative that they estimate; k' is as far as a step leads."""

    def _slope(
        self, state: descent.DescentState, feedback: controller.Feedback
    ) -> tf.Tensor:
        costs = losses.estimate_costs(feedback)
        distance = tf.cast(state.k - state.k_probe, tf.float64)
        return (costs.cost - costs.cost_probe) / distance

    def _reach(self, step: tf.Tensor, slope: tf.Tensor) -> tf.Tensor:
        return step * tf.abs(slope)


class ElasticitySlope(descent.Descent):
    """The difference of two elasticities, see `ElasticityDescent`."""

    def _slope(
        self, state: descent.DescentState, feedback: controller.Feedback
    ) -> tf.Tensor:
        time, progress = losses.estimate_elasticities(feedback, state.k, state.k_probe)
        bounded = tf.clip_by_value(
            progress, tf.zeros_like(progress), tf.ones_like(progress)
        )
        return tf.where(tf.math.is_nan(progress), progress, time - bounded)
