"""Sign descent in the logarithm of k."""

import tensorflow as tf

from tff_gs.controllers import controller, descent, log_descent, losses


class LogSignDescent(log_descent.LogDescent):
    """The estimated sign of Han, Wang, Leung (ICDCS 2020), steps taken in log k."""

    def _slope(
        self, state: descent.DescentState, feedback: controller.Feedback
    ) -> tf.Tensor:
        del state  # k' < k wherever tau' is defined
        return losses.estimate_sign(feedback)
