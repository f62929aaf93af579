"""Rules for k if rounds give no feedback."""

from __future__ import annotations

from typing import Any

import numpy as np

from tff_gs import _seeds, configuration
from tff_gs._tensorflow import tf
from tff_gs.controllers import amount, controller, fixed

#: A k, or a rule for it.
KOption = amount.Amount | controller.Controller


def build_rule(k: KOption, dimension: int, *, seed: int = 0) -> controller.Controller:
    """The rule that an option means.

    Args:
      k: A count (int) or a fraction of D (float) for all rounds, or a rule that needs
        no feedback, such as `Schedule(schedule=[(0, 0.1), (100, 0.01)])`.
      dimension: D.
      seed: Of the run.

    Raises:
      ValueError: If an amount is out of its range, or the rule needs feedback.
    """
    if not isinstance(k, configuration.Configuration):
        # Its sentence says what an amount can be.
        k = fixed.FixedK(k=amount.to_count(k, dimension, "k"))
    rule = k.bind(dimension, seed=seed)
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
        _seeds.derive(seed, _seeds.Purpose.CONTROLLER, number),
    )
