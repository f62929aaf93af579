"""What all benchmarks share: how to time, and how to show a table."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd


def seconds(function: Callable[[], Any], repeats: int) -> list[float]:
    """Wall-clock seconds of each of `repeats` calls, after one that warms up."""
    function()
    return [_once(function) for _ in range(repeats)]


def alternate(
    functions: Mapping[str, Callable[[], Any]], repeats: int
) -> dict[str, list[float]]:
    """Seconds of all functions, called in turn, so that noise meets all alike."""
    for function in functions.values():
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            times[name].append(_once(function))
    return times


def _once(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def median(values: Sequence[float]) -> float:
    """The median of `values`."""
    return statistics.median(values)


def show(rows: Sequence[Mapping[str, Any]], output: str | None) -> None:
    """Prints the rows as a table and, given a path, writes them as CSV."""
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format=lambda x: f"{x:.3g}"), flush=True)
    if output:
        table.to_csv(output, index=False)
        print(f"Written to {output}.")
