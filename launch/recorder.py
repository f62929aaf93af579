"""What a run leaves behind, written while it runs."""

import asyncio
import contextlib
import csv
import io
import math
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np

from launch import csv_table, metrics, run_directory
from launch.evaluation import Evaluation
from tasks import ClientData

# What TensorBoard shows, and under which heading; the CSV file has all metrics.
_EVENTS = {
    "k": ("k", "k_probe", "sign"),
    "loss": ("training_loss", "test_loss"),
    "test": ("test_accuracy",),
    "time": ("time", "round_time"),
    "traffic": ("uplink_bits", "downlink_bits"),
}


class Recorder:
    """Writes metrics.csv, timing.csv, clients.csv and TensorBoard's events.

    A row is in its file when `record` returns, so that a crash loses nothing.
    metrics.csv and clients.csv hold no wall-clock time: two runs of one seed give
    the same bytes.

    Attributes:
      rows: The rows of metrics.csv so far.
      contributed: int64 [N], how many entries of each client were selected so far.
    """

    def __init__(
        self, directory: run_directory.RunDirectory, clients: Sequence[ClientData]
    ) -> None:
        """Makes the files.

        Args:
          directory: Where they go; it is made and has none of them yet.
          clients: The clients, in the order of their ids.
        """
        import tensorflow_federated as tff

        self._directory = directory
        self._clients = clients
        self._open = contextlib.ExitStack()
        self._metrics = self._open.enter_context(csv_table.CsvTable(directory.metrics))
        self._timing = self._open.enter_context(csv_table.CsvTable(directory.timing))
        self._loop = self._open.enter_context(asyncio.Runner())
        self._events = tff.program.TensorBoardReleaseManager(directory.events)
        self.rows: list[metrics.Row] = []
        self.contributed = np.zeros(len(clients), np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open.close()

    def record(
        self,
        round_metrics: Mapping[str, Any],
        evaluated: Evaluation | None,
        *,
        timing: Mapping[str, float],
        round_seconds: float,
        evaluation_seconds: float,
    ) -> metrics.Row:
        """Writes down a round.

        Args:
          round_metrics: The metrics of `SparsifiedProcess.next`.
          evaluated: The test accuracy and loss after the round, where evaluated.
          timing: The wall-clock times that `SparsifiedProcess.next` measured.
          round_seconds: Wall-clock time of the round.
          evaluation_seconds: Wall-clock time of the evaluation.

        Returns:
          The row of metrics.csv.
        """
        row = metrics.to_row(round_metrics)
        row["test_accuracy"] = evaluated.accuracy if evaluated else ""
        row["test_loss"] = evaluated.loss if evaluated else ""
        self.rows.append(row)
        self._metrics.append(row)
        ids, contributed = metrics.contributions(round_metrics)
        np.add.at(self.contributed, ids, contributed)
        self._write_clients()
        self._timing.append(
            {
                "round": row["round"],
                "round_seconds": round(round_seconds, 6),
                "evaluation_seconds": round(evaluation_seconds, 6),
            }
            | {name: round(float(seconds), 6) for name, seconds in timing.items()}
        )
        self._loop.run(self._events.release(_events(row), row["round"]))
        return row

    def _write_clients(self) -> None:
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["client_id", "name", "examples", "contributed"])
        for number, client in enumerate(self._clients):
            examples, contributed = len(client.labels), self.contributed[number]
            writer.writerow([number, client.name, examples, contributed])
        run_directory.write_atomically(self._directory.clients, table.getvalue())


def _events(row: metrics.Row) -> dict[str, dict[str, float]]:
    """The numbers of `row` for TensorBoard, without those that are not known."""
    groups = {
        heading: {name: row[name] for name in names if _is_known(row[name])}
        for heading, names in _EVENTS.items()
    }
    return {heading: group for heading, group in groups.items() if group}


def _is_known(value: Any) -> bool:
    return value != "" and math.isfinite(value)
