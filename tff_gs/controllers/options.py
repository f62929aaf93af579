"""Options of all rules for k, as flags give them; imports no TensorFlow."""

import dataclasses
from typing import Any

from tff_gs.controllers import amount


@dataclasses.dataclass(frozen=True, kw_only=True)
class ControllerOptions:
    """What a rule is built with; None leaves the rule's own default.

    An option that the chosen rule does not take is an error, but for `rounds` and
    `seed`, which describe the run. Each is explained where the rule is.

    Attributes:
      k: `fixed`: k. All amounts: an int is a count, a float a fraction of D.
      k_min: The least k.
      k_max: The largest k.
      k_initial: The first k.
      alpha: `sign`: margin of a new interval.
      window: `sign`: updates between two checks of the interval.
      patience: Descents: rounds without a sign for which k stays.
      probe_initial: Descents: the first k' relative to k.
      probe_floor: Descents: the least k' in units of k_min.
      step_scale: `elasticity`, `log_sign`: first step.
      step_floor: `elasticity`, `log_sign`: least step.
      probe_scale: `elasticity`, `log_sign`: distance of k' in steps.
      probe_distance: `elasticity`, `log_sign`: least distance of k'.
      arms: `exp3`: the grid of k.
      gamma: `exp3`: exploration rate.
      step: `bandit`: step length.
      perturbation: `bandit`: distance of the k played from the center.
      margin: `bandit`: distance of the center from the interval's ends.
      memory: Bandits: discount of the rewards' scale.
      schedule: `schedule`: pairs of a round and the k from there on.
      replay_file: `replay`: path of a CSV with a column `k`.
      rounds: How many rounds the run has: the bandits' horizon, and the least
        length of a recording.
      seed: The run's seed, for the bandits' first draw.
    """

    k: amount.Amount | None = None
    k_min: amount.Amount | None = None
    k_max: amount.Amount | None = None
    k_initial: amount.Amount | None = None
    alpha: float | None = None
    window: int | None = None
    patience: int | None = None
    probe_initial: float | None = None
    probe_floor: float | None = None
    step_scale: float | None = None
    step_floor: float | None = None
    probe_scale: float | None = None
    probe_distance: float | None = None
    arms: tuple[amount.Amount, ...] | None = None
    gamma: float | None = None
    step: float | None = None
    perturbation: float | None = None
    margin: float | None = None
    memory: float | None = None
    schedule: tuple[tuple[int, amount.Amount], ...] | None = None
    replay_file: str | None = None
    rounds: int | None = None
    seed: int | None = None

    def given(self) -> dict[str, Any]:
        """The options that are not None."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {name: value for name, value in fields.items() if value is not None}
