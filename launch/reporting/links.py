"""The link that a run was made for."""

from typing import Any

from launch.reporting import recorded
from tff_gs.costs.links import LinkTime
from tff_gs.costs.normalised import NormalisedTime
from tff_gs.costs.registry import COSTS


def of_run(run: recorded.RecordedRun) -> dict[str, Any]:
    """What the page knows of the model of time that a run was made with.

    Returns:
      `link`: `up` and `down` in bits a second, `latency` and `compute` in seconds; None
      if they are not known, or not the same for all clients and no medians. `is_alike`:
      whether all clients have that link. `beta`: of the normalised time, or None.
      `shown`: how the run was made, in words; before those of the link, if it is known.
    """
    cost = run.options.cost
    unknown = {"link": None, "is_alike": False, "beta": None}
    if isinstance(cost, NormalisedTime):
        shown = f"in normalised time, beta = {cost.comm_time:g}"
        return {**unknown, "beta": cost.comm_time, "shown": shown}
    if not isinstance(cost, LinkTime):
        return {**unknown, "shown": f"with the model of time {run.flags['cost']}"}
    if cost.links_file is not None:
        return {**unknown, "shown": f"on the links of {cost.links_file}"}
    is_alike = cost.spread == 0.0
    shown = "on " if is_alike else "on links that differ, with these medians: "
    return {**unknown, "link": _link(cost), "is_alike": is_alike, "shown": shown}


def default_link() -> dict[str, float]:
    """The link that `tff_gs.costs.LinkTime` has by default."""
    return _link(LinkTime())


def _link(cost: LinkTime) -> dict[str, float]:
    return {
        "up": cost.up_bits_per_second,
        "down": cost.down_bits_per_second,
        "latency": cost.latency_seconds,
        "compute": cost.compute_seconds,
    }


def options() -> tuple[str, ...]:
    """All options of models of time, and the flag that chooses one."""
    return ("cost", *COSTS.options())
