"""The table of a comparison, a row a method; as numbers and as Markdown."""

import math
from collections.abc import Sequence

import pandas as pd

from launch.comparison import results
from tasks import Metric

MISSING = "-"

# After the point of what the tasks measure.
_DIGITS = 3


def choose_positions(
    lines: Sequence[results.Line], over: results.Abscissa
) -> tuple[float, ...]:
    """Where to compare when nobody says it.

    The quarters of what half of the runs have reached, except those at which no method
    has a value.
    """
    ends = [over.positions(r).iloc[-1] for line in lines for r in line.results]
    at = results.quarters(ends)
    return tuple(
        position
        for position in at
        if any(_values_at(line, "test_loss", over, position) for line in lines)
    )


def build(
    lines: Sequence[results.Line],
    over: results.Abscissa,
    at: Sequence[float],
    measures: Sequence[Metric],
) -> pd.DataFrame:
    """The table with numbers.

    The value at T is that of the last evaluation at or before it. It is missing (NaN)
    if a run of the method ended before, or had not been evaluated.

    Args:
      lines: What to compare.
      over: What T is.
      at: The T of the values, ascending.
      measures: What the tasks of all runs measure.

    Returns:
      A row for each line with the columns `method`, `runs` (those that are
      complete); for each measure, such as accuracy and loss, and each T the mean over
      runs of `accuracy_at_T` and, if a line has several runs, its `..._min` and
      `..._max`; the means of `rounds`, `time` (at the end), `megabytes_up` and
      `megabytes_down` (of all clients, the first dense download included) and
      `final_k`.
    """
    several = any(len(line.results) > 1 for line in lines)
    return pd.DataFrame([_row(line, over, at, measures, several) for line in lines])


def _values_at(
    line: results.Line, column: str, over: results.Abscissa, position: float
) -> list[float]:
    """The value of each run of a line; empty if one of them has none."""
    values = [
        results.value_at(r.metrics[column], over.positions(r), position)
        for r in line.results
    ]
    return [] if any(map(math.isnan, values)) else values


def _row(
    line: results.Line,
    over: results.Abscissa,
    at: Sequence[float],
    measures: Sequence[Metric],
    several: bool,
) -> dict[str, object]:
    row: dict[str, object] = {"method": line.label, "runs": len(line.results)}
    for measure in measures:
        for position in at:
            values = _values_at(line, measure.column, over, position) or [math.nan]
            key = f"{measure.name}_at_{position:g}"
            row[key] = sum(values) / len(values)
            if several:
                row[f"{key}_min"], row[f"{key}_max"] = min(values), max(values)
    return row | {name: _mean(values) for name, values in _totals(line).items()}


def _totals(line: results.Line) -> dict[str, list[float]]:
    totals: dict[str, list[float]] = {
        name: []
        for name in ("rounds", "time", "megabytes_up", "megabytes_down", "final_k")
    }
    for result in line.results:
        up, down = results.sent_megabytes(result.metrics)
        last = result.metrics.iloc[-1]
        totals["rounds"].append(float(last["round"]))
        totals["time"].append(float(last["time"]))
        totals["megabytes_up"].append(float(up.iloc[-1]))
        totals["megabytes_down"].append(float(down.iloc[-1]) + result.initial_megabytes)
        totals["final_k"].append(float(last["k"]))
    return totals


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def render(
    lines: Sequence[results.Line],
    over: results.Abscissa,
    at: Sequence[float],
    measures: Sequence[Metric],
    *,
    title: str,
) -> str:
    """The table as Markdown, with what its numbers mean below it."""
    names = [measure.name for measure in measures]
    header = [
        "method",
        *(f"{name} at {position:g}" for name in names for position in at),
    ]
    header += ["rounds", "MB up", "MB down", "final k"]
    caption = (
        f"{_listed(names)} on the test data at given values of: {over.label}; each "
        "of the last evaluation at or before it. MB: megabytes of all clients, the "
        "first dense download included."
    )
    if any(line.runs > 1 for line in lines):
        caption += (
            " Means over the seeds (least to largest); rounds, MB and k are means."
        )
    rows = [_cells(line, over, at, measures) for line in lines]
    if any(MISSING in row for row in rows):
        caption += f" {MISSING}: a run ended before it, or was not yet evaluated."
    if any(len(line.results) < line.runs for line in lines):
        caption += " Runs that are not complete are left out, as the first column says."
    return f"# {title}\n\n{markdown(header, rows)}\n{caption}\n"


def _listed(names: Sequence[str]) -> str:
    """The names as the beginning of a sentence."""
    *others, last = names
    text = f"{', '.join(others)} and {last}" if others else last
    return text[:1].upper() + text[1:]


def _cells(
    line: results.Line,
    over: results.Abscissa,
    at: Sequence[float],
    measures: Sequence[Metric],
) -> list[str]:
    count = len(line.results)
    label = line.label
    if count < line.runs:
        label += f" ({count} of {line.runs} runs)"
    cells = [label]
    for measure in measures:
        for position in at:
            values = _values_at(line, measure.column, over, position)
            shown = with_spread(values, measure.form(_DIGITS)) if values else MISSING
            cells.append(shown)
    totals = {name: _mean(values) for name, values in _totals(line).items()}
    for name in ("rounds", "megabytes_up", "megabytes_down", "final_k"):
        cells.append(_number(totals[name]))
    return cells


def _number(value: float) -> str:
    if math.isnan(value):
        return MISSING
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right.

    Args:
      header: The columns' names.
      rows: The cells, as many a row as there are columns.
    """
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]

    def line(row: Sequence[str]) -> str:
        first, *others = zip(row, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(c.rjust(width) for c, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(cells[0]), line(rule), *map(line, cells[1:])]) + "\n"


def with_spread(values: Sequence[float], form: str) -> str:
    """The mean of the values and, if they are several, the least and the largest.

    Args:
      values: Numbers, at least one.
      form: How a number is written, such as ".1%".
    """
    mean = sum(values) / len(values)
    if len(values) == 1:
        return format(mean, form)
    return f"{mean:{form}} ({min(values):{form}} to {max(values):{form}})"
