"""The link that a run was made for."""

import json
import math
from typing import Any

from launch.reporting import recorded
from tff_gs.configuration import options_of
from tff_gs.costs.registry import COSTS

#: From an option of `tff_gs.costs.LinkTime` to its name on the page.
NAMES = {
    "up_bits_per_second": "up",
    "down_bits_per_second": "down",
    "latency_seconds": "latency",
    "compute_seconds": "compute",
}
_LINKS, _NORMALISED = "links", "normalised"


def of_run(run: recorded.RecordedRun) -> dict[str, Any]:
    """What the page knows of the model of time that a run was made with.

    Returns:
      `link`, by `NAMES`, if all clients have one link or the medians are known, else
      None; `is_alike`, whether all have that link; `beta`, of the normalised time,
      else None; `shown`, in words.

    Raises:
      ValueError: In one sentence, if a flag is no number.
    """
    cost = run.flags["cost"]
    if cost == _NORMALISED:
        beta = _number(run, "comm_time", _NORMALISED)
        shown = f"in normalised time, beta = {beta:g}"
        return {"link": None, "is_alike": False, "beta": beta, "shown": shown}
    if cost != _LINKS:
        shown = f"with the model of time {cost}"
        return {"link": None, "is_alike": False, "beta": None, "shown": shown}
    if "links_file" in run.flags:
        shown = f"on the links of {run.flags['links_file']}"
        return {"link": None, "is_alike": False, "beta": None, "shown": shown}
    link = {name: _number(run, option, _LINKS) for option, name in NAMES.items()}
    is_alike = _number(run, "spread", _LINKS) == 0.0
    shown = "" if is_alike else "on links that differ, with these medians: "
    return {"link": link, "is_alike": is_alike, "beta": None, "shown": shown}


def options() -> tuple[str, ...]:
    """All options of models of time, and the flag that chooses one."""
    return ("cost", *COSTS.options())


def default_link() -> dict[str, float]:
    """The link that `tff_gs.costs.LinkTime` has by default, by `NAMES`."""
    defaults = {option.name: option.default for option in options_of(COSTS[_LINKS])}
    return {name: float(defaults[option]) for option, name in NAMES.items()}


def _number(run: recorded.RecordedRun, option: str, cost: str) -> float:
    """An option of a model of time: what the flags say, or its default."""
    (found,) = (o for o in options_of(COSTS[cost]) if o.name == option)
    text = run.flags.get(option, str(found.default))
    try:
        value = float(text)
        if not math.isfinite(value):
            raise ValueError
        found.check(value)
    except ValueError:
        raise ValueError(
            f"Expected {option} to be {_words(found)} in the flags of {run.path}, "
            f"found {json.dumps(text)}."
        ) from None
    return value


def _words(option: Any) -> str:
    return f"a number {option.range}" if option.range else "a number"
