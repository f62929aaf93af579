"""What the page is made from: plain values, as JSON can hold them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from launch.reporting import airtime, links, methods, recorded
from tff_gs.sparsifiers.sparsifier import Legs

#: Links to begin with. The slider's ends are the first and the last of the rates.
PRESETS: Sequence[tuple[str, float, float]] = (
    ("HF radio", 9_600.0, 0.2),
    ("narrowband SATCOM", 64_000.0, 0.3),
    ("tactical radio", 500_000.0, 0.1),
    ("LTE", 10_000_000.0, 0.05),
)
_RATES = (
    *(9_600, 12_000, 16_000, 19_200, 24_000, 32_000, 48_000, 64_000, 96_000),
    *(128_000, 192_000, 256_000, 384_000, 500_000, 750_000, 1_000_000, 1_500_000),
    *(2_000_000, 3_000_000, 5_000_000, 7_500_000, 10_000_000, 15_000_000),
    *(20_000_000, 30_000_000, 50_000_000, 75_000_000, 100_000_000),
)
_LATENCIES = (
    *(0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3),
    *(0.4, 0.5, 0.6, 0.75, 1.0, 1.5, 2.0),
)
_COMPUTING = (
    *(0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
    *(20.0, 60.0),
)
_SLOWDOWNS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 20.0, 50.0, 100.0)
# A curve of clients is drawn from no more points than this.
_MOST_CLIENTS = 400
_DIGITS = 6


def build(runs: Sequence[recorded.RecordedRun], most_rounds: int) -> dict[str, Any]:
    """All that the page shows.

    Args:
      runs: The runs, at least one.
      most_rounds: How many rounds and evaluations of each to keep.

    Raises:
      ValueError: In one sentence, if the runs do not belong on one page.
    """
    _require_one_task(runs)
    made_for = [links.of_run(run) for run in runs]
    measures = _measures(runs)
    names = _names(runs)
    return {
        "task": runs[0].flags["task"],
        "measures": measures,
        "dimension": runs[0].dimension,
        "stops": _stops(made_for),
        "presets": [
            {"name": name, "up": rate, "down": rate, "latency": latency}
            for name, rate, latency in PRESETS
        ],
        "start": next((m["link"] for m in made_for if m["link"]), links.default_link()),
        "methods": [method._asdict() for method in methods.group(runs)],
        "runs": [
            {"name": name, **time, **_run(run, measures, most_rounds)}
            for name, time, run in zip(names, made_for, runs, strict=True)
        ],
    }


def _require_one_task(runs: Sequence[recorded.RecordedRun]) -> None:
    first, *others = runs
    for run in others:
        if run.flags["task"] != first.flags["task"]:
            raise ValueError(
                "Expected runs of one task, found "
                f"{first.flags['task']} in {first.path} and {run.flags['task']} in "
                f"{run.path}."
            )


def _measures(runs: Sequence[recorded.RecordedRun]) -> list[dict[str, Any]]:
    """What all runs have measured."""
    known = runs[0].options.task.measures()
    found = [
        {
            "name": measure.name,
            "column": measure.column,
            "larger_is_better": measure.larger_is_better,
            "is_share": measure.is_share,
        }
        for measure in known
        if all(measure.column in run.columns for run in runs)
    ]
    if not found:
        columns = [measure.column for measure in known]
        lacking = next(run.path for run in runs if not {*columns} & {*run.columns})
        raise ValueError(
            f"Expected evaluations ({' or '.join(columns)}) in the metrics.csv of "
            f"{lacking}, found none yet."
        )
    return found


def _names(runs: Sequence[recorded.RecordedRun]) -> list[str]:
    """The directories, without what all have in common at the beginning."""
    paths = [os.path.abspath(run.path) for run in runs]
    common = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, common) for path in paths]


def _stops(made_for: Iterable[Mapping[str, Any]]) -> dict[str, list[float]]:
    """Where the sliders stop; the links of the runs are among the stops."""
    stops = {
        "up": _RATES,
        "down": _RATES,
        "latency": _LATENCIES,
        "compute": _COMPUTING,
    }
    known = [time["link"] for time in made_for if time["link"]]
    found = {
        name: sorted({*map(float, values), *(link[name] for link in known)})
        for name, values in stops.items()
    }
    return {**found, "slowdown": [*_SLOWDOWNS]}


def _run(
    run: recorded.RecordedRun, measures: Sequence[Mapping[str, Any]], most_rounds: int
) -> dict[str, Any]:
    method = run.options.method.sparsifier
    return {
        "flags": [[name, text] for name, text in run.flags.items()],
        "is_complete": run.is_complete,
        "is_bound": airtime.is_bound(run),
        "sends_alike": airtime.sends_alike(run),
        "rounds": run.rounds,
        "dimension": run.dimension,
        "clients": max(row["clients"] for row in run.count_rows()),
        "initial_bits": run.initial_bits,
        "trips": method.trips,
        "probe_share": airtime.probe_share(run),
        "is_pipelined": method.legs is Legs.VALUES_WITH_BALLOTS,
        "evaluations": _evaluations(run, measures, most_rounds),
        "table": _table(run, most_rounds),
        "contributed": _contributed(run),
    }


def _evaluations(
    run: recorded.RecordedRun, measures: Sequence[Mapping[str, Any]], most: int
) -> dict[str, Any]:
    """What was measured, and the sums until then."""
    columns = [run.columns[measure["column"]] for measure in measures]
    evaluated = [
        row
        for row in range(run.rounds)
        if any(column[row] is not None for column in columns)
    ]
    kept = _thinned(evaluated, most)
    return {
        "is_thinned": len(kept) < len(evaluated),
        "round": [row + 1 for row in kept],
        "values": [[column[row] for row in kept] for column in columns],
        **{
            name: [column[row] for row in kept]
            for name, column in airtime.add_up(run)._asdict().items()
        },
    }


def _table(run: recorded.RecordedRun, most: int) -> dict[str, Any]:
    """The columns of metrics.csv, but for refusals that there were not."""
    kept = _thinned(range(run.rounds), most)
    return {
        "round": [row + 1 for row in kept],
        "columns": [
            [name, _shortened([column[row] for row in kept])]
            for name, column in run.columns.items()
            if name != "round" and (any(column) or not name.startswith("refused_"))
        ],
    }


def _thinned(rows: Sequence[int], most: int) -> list[int]:
    """The rows at equal distances, the first and the last among them."""
    step = -(-len(rows) // most)
    kept = [*rows[::step]]
    if rows and kept[-1] != rows[-1]:
        kept.append(rows[-1])
    return kept


def _shortened(column: recorded.Column) -> recorded.Column | recorded.Number:
    """The numbers, to a few digits if they are not whole; one number if all are it."""
    found = [
        float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
        for value in column
    ]
    return found[0] if len(set(found)) == 1 else found


def _contributed(run: recorded.RecordedRun) -> list[float] | None:
    """Entries of each client that a round selected, on average, in ascending order."""
    if run.contributed is None:
        return None
    means = sorted((value or 0) / run.rounds for value in run.contributed)
    return [float(f"{value:.{_DIGITS}g}") for value in _spread(means)]


def _spread(values: Sequence[float]) -> list[float]:
    """All values if they are few, else some at equal distances, both ends included."""
    if len(values) <= _MOST_CLIENTS:
        return [*values]
    last = len(values) - 1
    return [
        values[round(place * last / (_MOST_CLIENTS - 1))]
        for place in range(_MOST_CLIENTS)
    ]
