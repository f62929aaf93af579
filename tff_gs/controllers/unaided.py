"""Rules for k where rounds give no feedback."""

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tff_gs import seeds
from tff_gs.controllers import amount, controller, fixed

#: A k, or what builds a rule for it, called with D.
KOption = amount.Amount | Callable[[int], controller.Controller]


def build_rule(k: KOption, dimension: int) -> controller.Controller:
    """The rule that an option means.

    Args:
      k: A count (int) or a fraction of D (float) for all rounds, or a function of D
        that builds a rule, such as a `functools.partial` of `schedule.Schedule`.
      dimension: D.

    Raises:
      ValueError: If an amount is out of its range, or the rule needs feedback.
    """
    if not callable(k):
        return fixed.FixedK(dimension, k=k)
    rule = k(dimension)
    if rule.probes or rule.needs:
        raise ValueError(
            "Expected a rule for k that needs no probe and no other feedback (a fixed "
            f"k, a schedule, a recording), found {type(rule).__name__}."
        )
    return rule


def decide(rule: controller.Controller, state: Any, dimension: int) -> tf.Tensor:
    """The k of the coming round, int32 scalar in [1, D], see `controller.checked`."""
    return controller.checked(rule.decide(state), dimension).k


def advance(
    rule: controller.Controller, state: Any, seed: tf.Tensor, number: tf.Tensor
) -> Any:
    """The state after a round of which nothing is known.

    Args:
      rule: One that `build_rule` accepts.
      state: The state that the round was decided with.
      seed: int32 [2], of the run.
      number: int32 scalar, the round's.
    """
    unknown = [tf.constant(np.nan, tf.float64)] * len(controller.Feedback._fields)
    return rule.update(
        state,
        controller.Feedback(*unknown),
        seeds.derive(seed, seeds.Purpose.CONTROLLER, number),
    )
