"""Which runs are of one method, and what a method is called."""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from launch import train_flags
from launch.reporting import links, recorded

# They need no feedback, so k does not depend on what a round took.
UNAIDED = ("fixed", "schedule", "replay")


class Method(NamedTuple):
    """Runs that differ by the link that they were made for.

    Attributes:
      label: What it is called.
      is_learned: Whether k depends on what rounds took, and so on the link.
      runs: The numbers of its runs, in their order.
    """

    label: str
    is_learned: bool
    runs: list[int]


def group(runs: Sequence[recorded.RecordedRun]) -> list[Method]:
    """The methods of some runs, each in the place of its first run."""
    by_flags: dict[Hashable, list[int]] = {}
    for number, run in enumerate(runs):
        by_flags.setdefault(tuple(sorted(_own_flags(run).items())), []).append(number)
    groups = list(by_flags.values())
    firsts = [runs[numbers[0]] for numbers in groups]
    labels = _labels(firsts)
    return [
        Method(label, first.flags["controller"] not in UNAIDED, numbers)
        for label, first, numbers in zip(labels, firsts, groups, strict=True)
    ]


def _own_flags(run: recorded.RecordedRun) -> dict[str, str]:
    """The flags that make the method: no model of time, and not when the run ends."""
    without = links.options()
    return {
        name: text
        for name, text in run.flags.items()
        if name not in without and not train_flags.may_change(name)
    }


def _labels(runs: Sequence[recorded.RecordedRun]) -> list[str]:
    """The method and its rule, and what else tells methods of one name apart."""
    short = [_describe(run) for run in runs]
    return [
        label if short.count(label) == 1 else _with_differences(label, run, runs, short)
        for label, run in zip(short, runs, strict=True)
    ]


def _describe(run: recorded.RecordedRun) -> str:
    sparsifier, rule = run.flags["sparsifier"], run.flags["controller"]
    if sparsifier == "send_all":
        return sparsifier
    ks = set(run.columns["k"])
    if rule == "fixed" and len(ks) == 1:
        return f"{sparsifier}, k = {ks.pop():,}"
    return f"{sparsifier}, {rule}"


def _with_differences(
    label: str,
    run: recorded.RecordedRun,
    runs: Sequence[recorded.RecordedRun],
    labels: Sequence[str],
) -> str:
    own = _own_flags(run)
    alike = [
        _own_flags(other)
        for other, its in zip(runs, labels, strict=True)
        if its == label
    ]
    names = dict.fromkeys(name for flags in alike for name in flags)
    differing = [
        f"{name}={own[name]}"
        for name in names
        if name in own and len({flags.get(name) for flags in alike}) > 1
    ]
    return ", ".join([label, *differing])
