"""What a round's losses and times say about its k."""

from __future__ import annotations

from typing import NamedTuple

from tff_gs._tensorflow import tf
from tff_gs.controllers import controller


class Costs(NamedTuple):
    """The costs that k and k' are compared by.

    Attributes:
      cost: float64 scalar, tau = theta(k).
      cost_probe: float64 scalar, tau' = theta(k') (L0 - L1) / (L0 - L1'): the time
        that k' would take to make the progress of k; NaN if it is not defined.
    """

    cost: tf.Tensor
    cost_probe: tf.Tensor


def estimate_costs(feedback: controller.Feedback) -> Costs:
    """Estimates tau and tau' of Han, Wang, Leung (ICDCS 2020), section IV.

    tau' is defined only if both updates lowered the loss (L0 > L1, L0 > L1').
    """
    decrease = feedback.loss_before - feedback.loss_after
    decrease_probe = feedback.loss_before - feedback.loss_probe
    # A comparison with NaN is false: without a probe nothing is defined.
    defined = (decrease > 0) & (decrease_probe > 0)
    divisor = tf.where(defined, decrease_probe, tf.ones_like(decrease_probe))
    return Costs(
        cost=feedback.round_time,
        cost_probe=tf.where(
            defined,
            feedback.probe_time * decrease / divisor,
            tf.constant(float("nan"), tf.float64),
        ),
    )


def estimate_sign(feedback: controller.Feedback) -> tf.Tensor:
    """The sign of (tau - tau') / (k - k') for k' < k, float64; NaN if undefined."""
    costs = estimate_costs(feedback)
    return tf.sign(costs.cost - costs.cost_probe)


class Elasticities(NamedTuple):
    """By how many percent a round grows with one percent more entries.

    Attributes:
      time: float64 scalar, of the time theta, at k; NaN if nothing was probed.
      progress: float64 scalar, of the decrease of the loss, between k' and k; inf
        if k' made none, -inf if only k' made some, NaN if neither did.
    """

    time: tf.Tensor
    progress: tf.Tensor


def time_elasticity(
    time: tf.Tensor, smaller_time: tf.Tensor, k: tf.Tensor, smaller_k: tf.Tensor
) -> tf.Tensor:
    """K theta'(k) / theta(k), if theta is taken to be affine; float64 scalar.

    Args:
      time: float64 scalar, theta(k).
      smaller_time: float64 scalar, theta at the smaller k.
      k: int32 scalar.
      smaller_k: int32 scalar.
    """
    k, smaller_k = tf.cast(k, tf.float64), tf.cast(smaller_k, tf.float64)
    per_entry = (time - smaller_time) / (k - smaller_k)
    return k * per_entry / time


def estimate_elasticities(
    feedback: controller.Feedback, k: tf.Tensor, k_probe: tf.Tensor
) -> Elasticities:
    """Estimates both from a round with k and k' (int32 scalars).

    The progress is taken to be a power of the entries.
    """
    time = time_elasticity(feedback.round_time, feedback.probe_time, k, k_probe)
    k, k_probe = tf.cast(k, tf.float64), tf.cast(k_probe, tf.float64)
    distance = tf.math.log(k / k_probe)
    decrease = feedback.loss_before - feedback.loss_after
    decrease_probe = feedback.loss_before - feedback.loss_probe
    # The logarithm of no progress is -inf, and -inf - (-inf) is NaN.
    progress, progress_probe = (
        tf.math.log(tf.maximum(x, tf.zeros_like(x))) for x in (decrease, decrease_probe)
    )
    return Elasticities(
        time=time,
        progress=tf.where(
            # A maximum with NaN need not be NaN.
            tf.math.is_finite(decrease + decrease_probe),
            (progress - progress_probe) / distance,
            tf.constant(float("nan"), tf.float64),
        ),
    )


#: For how many rounds bandits choose their constants if nothing says it.
DEFAULT_HORIZON = 1000

#: The fields of `Feedback` that `measure_progress` reads.
PROGRESS_NEEDS = frozenset({"round_time", "loss_before", "loss_after"})


class Progress(NamedTuple):
    """A round's progress on a scale of 0 to 1, for rules that need such a reward.

    Attributes:
      reward: float64 scalar in [0, 1]; NaN if no losses were measured.
      best: float64 scalar, the scale for the next round.
    """

    reward: tf.Tensor
    best: tf.Tensor


def measure_progress(
    feedback: controller.Feedback, best: tf.Tensor, memory: float
) -> Progress:
    """Loss decrease per time, (L0 - L1) / theta(k), relative to the best of late.

    A round that did not lower the loss has reward 0. The scale is the largest rate
    so far, discounted by `memory` each round, since losses fall ever more slowly.

    Args:
      feedback: What the round showed.
      best: float64 scalar, `Progress.best` of the round before; 0 at first.
      memory: In (0, 1]; 1 never forgets.
    """
    rate = (feedback.loss_before - feedback.loss_after) / feedback.round_time
    measured = tf.math.is_finite(rate)
    rate = tf.where(measured, tf.maximum(rate, 0.0), 0.0)
    scale = tf.maximum(rate, memory * best)
    reward = tf.where(scale > 0, rate / tf.where(scale > 0, scale, 1.0), 0.0)
    nan = tf.constant(float("nan"), tf.float64)
    return Progress(
        reward=tf.where(measured, reward, nan), best=tf.where(measured, scale, best)
    )
