"""Sign descent in the logarithm of k."""

from __future__ import annotations

from tff_gs._tensorflow import tf
from tff_gs.controllers import controller, descent, log_descent, losses


class LogSignDescent(log_descent.LogDescent):
    """Sign descent with steps in log k.

    The estimated sign is that of Han, Wang, Leung (ICDCS 2020), section IV.
    """

    def _slope(
        self, state: descent.DescentState, feedback: controller.Feedback
    ) -> tf.Tensor:
        del state  # k' < k wherever tau' is defined
        return losses.estimate_sign(feedback)
