"""How much longer a rule for k takes to a target than the best fixed k."""

import math
from collections.abc import Collection, Sequence
from typing import NamedTuple

import pandas as pd

from launch import targets as targets_lib
from launch.comparison import results, table

NOT_REACHED = "not reached"


class Reach(NamedTuple):
    """How long the runs of a method took to the target.

    Attributes:
      label: What the method is called.
      k: The k of a fixed k; NaN for a rule.
      times: The time of each complete run; NaN if it did not reach the target.
      runs: How many runs there should be.
    """

    label: str
    k: float
    times: list[float]
    runs: int

    @property
    def mean(self) -> float:
        """The mean time; NaN unless every run reached the target."""
        if len(self.times) < self.runs:
            return math.nan
        return sum(self.times) / len(self.times)

    @property
    def is_fixed(self) -> bool:
        """Whether it is a fixed k."""
        return not math.isnan(self.k)


def measure(
    lines: Sequence[results.Line],
    fixed: Collection[str],
    targets: Sequence[targets_lib.Target],
) -> list[Reach]:
    """The time to the targets of all lines: fixed k, ascending, then the rules.

    Args:
      lines: The complete runs.
      fixed: The names of those lines that hold k fixed.
      targets: What is to be reached.
    """
    reaches = []
    for line in lines:
        times = [results.time_to(r.metrics, targets) for r in line.results]
        k = math.nan
        if line.name in fixed and line.results:
            k = float(line.results[0].metrics["k"].iloc[0])
        if line.name not in fixed or line.results:
            reaches.append(Reach(line.label, k, times, line.runs))
    # Of a sort the order of equals stays, and NaN would have none.
    return sorted(reaches, key=lambda r: r.k if r.is_fixed else math.inf)


def best_fixed(reaches: Sequence[Reach]) -> Reach | None:
    """The best fixed k in hindsight: the least mean time over the seeds, if any."""
    reached = [r for r in reaches if r.is_fixed and not math.isnan(r.mean)]
    return min(reached, key=lambda r: r.mean) if reached else None


def build(reaches: Sequence[Reach]) -> pd.DataFrame:
    """The table with numbers.

    Returns:
      A row for each method with the columns `method`, `k`, `runs` (complete),
      `reached` (how many of them reached the target), `time` (the mean, empty
      unless all runs did), `time_min` and `time_max` (of those that did) and
      `ratio`, the mean time over that of the best fixed k.
    """
    best = best_fixed(reaches)
    return pd.DataFrame(
        {
            "method": reach.label,
            "k": reach.k,
            "runs": len(reach.times),
            "reached": len(_known(reach)),
            "time": reach.mean,
            "time_min": min(_known(reach), default=math.nan),
            "time_max": max(_known(reach), default=math.nan),
            "ratio": reach.mean / best.mean if best else math.nan,
        }
        for reach in reaches
    )


def render(
    reaches: Sequence[Reach],
    targets: Sequence[targets_lib.Target],
    *,
    time_label: str,
    time_budget: str,
) -> str:
    """The table as Markdown, with what its numbers mean below it.

    Args:
      reaches: The methods.
      targets: What was to be reached.
      time_label: What the time is, with its unit.
      time_budget: The most time that a run had.
    """
    best = best_fixed(reaches)
    rows = [_cells(reach, best) for reach in reaches]
    wanted = describe(targets)
    caption = (
        f"Time to {wanted}: that of the first evaluation that found it, in units of: "
        f"{time_label}; '{NOT_REACHED}': not by {time_budget}."
    )
    if any(reach.runs > 1 for reach in reaches):
        caption += " Means over the seeds (least to largest)."
    if best is None:
        caption += " No fixed k reached it with every seed, so there is no ratio."
    else:
        caption += f" Ratio: to the best fixed k in hindsight, {best.label}."
        fixed = [reach for reach in reaches if reach.is_fixed]
        if len(fixed) > 1 and best in (fixed[0], fixed[-1]):
            caption += (
                " It is at the end of the grid; a wider grid may hold a better one."
            )
    header = ("method", "k", "time to target", "ratio")
    return f"# Time to {wanted}\n\n{table.markdown(header, rows)}\n{caption}\n"


def describe(targets: Sequence[targets_lib.Target]) -> str:
    """The targets in words."""
    return " and ".join(map(str, targets))


def _known(reach: Reach) -> list[float]:
    return [time for time in reach.times if not math.isnan(time)]


def _cells(reach: Reach, best: Reach | None) -> tuple[str, ...]:
    known, complete = _known(reach), len(reach.times)
    if complete < reach.runs:
        time = f"{complete} of {reach.runs} runs complete"
    elif len(known) < complete:
        time = NOT_REACHED
        if complete > 1:
            time += f" by {complete - len(known)} of {complete}"
    else:
        time = table.with_spread(known, ",.1f")
    ratio = "-"
    if best is not None and not math.isnan(reach.mean):
        ratio = f"{reach.mean / best.mean:.3f}"
    return reach.label, f"{reach.k:,.0f}" if reach.is_fixed else "-", time, ratio
