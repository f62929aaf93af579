"""How far a run has come: a bar in a terminal, a line per evaluation elsewhere."""

import sys
from collections.abc import Sequence
from typing import Any, Self, TextIO

import tqdm

from launch import screen
from launch.metrics_rows import Row
from tasks import Metric

_BAR = "{percentage:3.0f}% |{bar:12}| {elapsed}<{remaining}{postfix}"


class Progress:
    """Shows k, time, loss and what the task measures while a run goes on."""

    def __init__(
        self,
        *,
        rounds: int | None,
        time_budget: float | None,
        metrics: Sequence[Metric],
        stream: TextIO | None = None,
    ) -> None:
        """Begins to show.

        Args:
          rounds: The most rounds of the run; None if only time limits it.
          time_budget: The time at which the run ends, if any.
          metrics: What the task measures beside the loss.
          stream: Where to show it; by default standard error.
        """
        self._stream = screen.Patient(stream or sys.stderr)
        self._rounds = rounds
        self._time_budget = time_budget
        self._metrics = metrics
        self._last = dict.fromkeys((metric.name for metric in metrics), "-")
        self._bar: Any = None
        # Where there is no limit to the rounds, the bar is as long as the time.
        self._counts_time = rounds is None and time_budget is not None
        if self._stream.isatty():
            self._bar = tqdm.tqdm(
                total=time_budget if self._counts_time else rounds,
                bar_format=_BAR if rounds or time_budget else None,
                unit="round",
                file=self._stream,
                dynamic_ncols=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def resume(self, rows: Sequence[Row]) -> None:
        """Shows that a run goes on after the rounds of `rows` of metrics.csv."""
        for row in rows:
            self._read(row)
        if self._bar is not None:
            self._bar.n = self._reached(rows[-1]) if rows else 0
            # What came before tells nothing of the speed.
            self._bar.unpause()
            self._bar.initial = self._bar.n
        else:
            print(f"goes on after round {len(rows)}", file=self._stream, flush=True)

    def update(self, row: Row) -> None:
        """Shows a round, `row` of metrics.csv."""
        self._read(row)
        shown = {
            "k": f"{row['k']}",
            "time": _of(f"{row['time']:.1f}", self._time_budget),
            "loss": f"{row['training_loss']:.4f}",
            **self._last,
        }
        if self._bar is not None:
            # A narrow terminal cuts the end: what matters most comes first.
            shown = {"round": _of(row["round"], self._rounds), **self._last, **shown}
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update(self._reached(row) - self._bar.n)
        elif row["test_loss"] != "":
            values = "  ".join(f"{name} {value}" for name, value in shown.items())
            print(
                f"round {_of(row['round'], self._rounds)}  {values}",
                file=self._stream,
                flush=True,
            )

    def _reached(self, row: Row) -> float:
        """How far the bar is after a round."""
        if not self._counts_time:
            return row["round"]
        # The last round goes beyond the budget.
        return min(row["time"], self._time_budget or row["time"])

    def _read(self, row: Row) -> None:
        """Keeps what an evaluation found."""
        if row["test_loss"] != "":
            for metric in self._metrics:
                self._last[metric.name] = format(row[metric.column], metric.form(3))


def _of(value: Any, limit: float | None) -> str:
    return f"{value}" if limit is None else f"{value}/{limit:g}"
