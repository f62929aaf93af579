"""What a run leaves behind, written while it runs."""

import contextlib
import csv
import io
import math
import pathlib
import re
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from absl import logging

from launch import csv_table, metrics_rows, run_directory
from tasks import LOSS, ClientData, Metric
from tff_gs import _files

if TYPE_CHECKING:
    from tff_gs import programs

# What TensorBoard shows, and under which heading; the CSV file has all metrics.
_EVENTS = {
    "k": ("k", "k_probe", "sign"),
    "loss": ("training_loss", "test_loss"),
    "time": ("time", "round_time"),
    "traffic": ("uplink_bits", "downlink_bits", "catch_up_bits", "joined_bits"),
}


class Recorder:
    """Writes metrics.csv, timing.csv, clients.csv and TensorBoard's events.

    A row is in its file when `record` returns, so a crash loses nothing.
    metrics.csv and clients.csv hold no wall-clock time: two runs of one seed give
    the same bytes.

    It is a `tff_gs.programs` `Record`.

    Attributes:
      rows: The rows of metrics.csv so far.
      contributed: int64 [N], how many entries of each client were selected so far.
      last_ids: int32 [n], who took part in the last round that was recorded.
    """

    def __init__(
        self,
        directory: run_directory.RunDirectory,
        clients: Sequence[ClientData],
        metrics: Sequence[Metric],
        *,
        flags: Mapping[str, str],
        note_start: Callable[[], None] | None = None,
        resumed: bool = False,
    ) -> None:
        """Makes the files, or waits for `rewind` to open them.

        Args:
          directory: Where they go; a new run has none of them there yet.
          clients: The clients, in the order of their ids.
          metrics: What the task measures beside the loss.
          flags: The flags of the run by name, as text.
          note_start: Notes this start of the program with the run's files, when they
            are made or opened; None: nothing is noted.
          resumed: Whether an earlier run is continued.
        """
        self._directory = directory
        self._clients = clients
        self._measures = (*metrics, LOSS)
        self._events_of = {**_EVENTS, "test": tuple(m.column for m in metrics)}
        self._flags = flags
        self._files = contextlib.ExitStack()
        self._tables: tuple[csv_table.CsvTable, ...] = ()
        self.rows: list[metrics_rows.Row] = []
        self.contributed = np.zeros(len(clients), np.int64)
        self.last_ids = np.zeros(0, np.int32)
        # Reading all data takes a moment, and they stay the same.
        self._checksums = np.array([_checksum(client) for client in clients], np.uint32)
        self._note_start = note_start
        if not resumed:
            self._open(continued=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    def _open(self, *, continued: bool) -> None:
        if self._note_start is not None:
            self._note_start()
            # A worker that is lost makes no other start.
            self._note_start = None
        self._tables = tuple(
            self._files.enter_context(csv_table.CsvTable(path, continued=continued))
            for path in (self._directory.metrics, self._directory.timing)
        )
        self._events = _Events(self._directory.events)

    async def record(self, value: "programs.Release", key: int) -> None:
        """Writes down a round.

        Args:
          value: What was measured; its evaluation is an
            `launch.evaluation.Evaluation`, or None.
          key: The round.
        """
        row = metrics_rows.to_row(value.train)
        evaluated = value.evaluation
        for measure in self._measures:
            row[measure.column] = evaluated[measure.name] if evaluated else ""
        of_rounds, of_time = self._tables
        of_rounds.append(row)
        self.rows.append(row)
        ids, contributed = metrics_rows.contributions(value.train)
        self.last_ids = ids
        np.add.at(self.contributed, ids, contributed)
        self._write_clients()
        of_time.append(
            {"round": key}
            | {name: round(float(seconds), 6) for name, seconds in value.timing.items()}
        )
        await self._events.release(_events(row, self._events_of), key)

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps; the tables, on the disk then, hold the rest.

        Returns:
          `contributed`, int64 [N]; `data`, uint32 [N], by which changed data are
          recognised; and `tables`, uint32 [2], likewise of metrics.csv and timing.csv.
        """
        tables = [0, 0]
        for number, table in enumerate(self._tables):
            table.sync()
            tables[number] = table.checksum
        return {
            "contributed": self.contributed.copy(),
            "data": self._checksums,
            "tables": np.array(tables, np.uint32),
        }

    async def rewind(self, state: Mapping[str, np.ndarray], key: int) -> None:
        """Takes the files of an earlier run back to round `key`, and opens them.

        The events are made again: TensorBoard keeps none of a round that comes twice
        apart from the other. Files that this program has open are taken back as well.

        Args:
          state: What `state` returned after that round.
          key: The round.

        Raises:
          ValueError: If the data of a client have changed, or rows are missing; the
            files are left as they are.
        """
        for client, then, now in zip(
            self._clients, state["data"], self._checksums, strict=True
        ):
            if then != now:
                raise ValueError(
                    f"Expected the data that the run in {self._directory.path} began "
                    f"with, found other data of client {client.name}."
                )
        paths = (self._directory.metrics, self._directory.timing)
        rows, _ = (
            csv_table.read_rounds(path, key, int(checksum))
            for path, checksum in zip(paths, state["tables"], strict=True)
        )
        self._close()
        self._directory.reopen(self._flags)
        for path in paths:
            csv_table.cut(path, key)
        self.rows = rows
        self.contributed = np.array(state["contributed"])
        self._write_clients()
        shutil.rmtree(self._directory.events, ignore_errors=True)
        self._open(continued=True)
        for row in rows:
            await self._events.release(_events(row, self._events_of), row["round"])

    def _close(self) -> None:
        self._files.close()
        self._tables = ()

    def _write_clients(self) -> None:
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["client_id", "name", "examples", "contributed"])
        for number, client in enumerate(self._clients):
            examples, contributed = len(client.labels), self.contributed[number]
            writer.writerow([number, client.name, examples, contributed])
        _files.write_atomically(self._directory.clients, table.getvalue())


def _checksum(client: ClientData) -> int:
    found = zlib.crc32(np.ascontiguousarray(client.features).data)
    return zlib.crc32(np.ascontiguousarray(client.labels).data, found)


class _Events:
    """TensorBoard's events, written for as long as that goes well."""

    def __init__(self, folder: pathlib.Path) -> None:
        """Makes the folder."""
        self._folder = folder
        self._manager: Any = None
        self._open()

    async def release(self, value: Mapping[str, Any], key: int) -> None:
        """See `tff.program.TensorBoardReleaseManager`."""
        import tensorflow as tf

        if self._manager is None:
            return
        try:
            await self._manager.release(value, key)
        except (OSError, tf.errors.OpError) as error:
            self._give_up(error)

    def _open(self) -> None:
        import tensorflow as tf
        import tensorflow_federated as tff

        try:
            self._manager = tff.program.TensorBoardReleaseManager(self._folder)
        except (OSError, tf.errors.OpError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._manager = None
        reason = re.sub(r"{{.*?}}", "", str(error)).strip().splitlines()[0].rstrip(".")
        logging.warning("No more events in %s: %s.", self._folder, reason)


def _events(
    row: metrics_rows.Row, headings: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, float]]:
    """The numbers of `row` for TensorBoard, without those that are not known."""
    groups = {
        heading: {name: row[name] for name in names if _is_known(row.get(name, ""))}
        for heading, names in headings.items()
    }
    return {heading: group for heading, group in groups.items() if group}


def _is_known(value: Any) -> bool:
    return value != "" and math.isfinite(value)
