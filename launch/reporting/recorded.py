"""What a run left behind, read with care."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from launch import existing, run_directory
from launch.options import RunOptions
from tff_gs import _csv_rows

#: A cell: None if there is nothing in it, or no finite number.
Number = int | float | None
Column = list[Number]

# What the page computes with: whole numbers, at least 0.
_COUNTS = (
    *("round", "k", "k_probe", "clients", "local_steps"),
    *("uplink_bits", "uplink_bits_max", "report_bits"),
    *("downlink_bits", "probe_downlink_bits"),
)
#: Of cohorts and elections; a run has them or not.
_OPTIONAL_COUNTS = (
    *("catch_up_bits", "catch_up_bits_max", "catch_up_request_bits", "joined_bits"),
    *("ballot_bits", "announcement_bits"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """A run, from its files.

    Attributes:
      path: Its directory.
      flags: Its flags by name, as text.
      options: What they mean.
      columns: metrics.csv, a list of R numbers for each column; what `count_rows` has
        are whole numbers, at least 0.
      contributed: How many entries of each client were selected in all rounds, in the
        order of clients.csv; None: there is no such file.
      dimension: D.
      initial_bits: The dense download of each client before the first round; None:
        the run is not complete.
    """

    path: pathlib.Path
    flags: Mapping[str, str]
    options: RunOptions
    columns: Mapping[str, Column]
    contributed: Column | None
    dimension: int
    initial_bits: int | None

    @property
    def rounds(self) -> int:
        """How many rounds it has made."""
        return len(self.columns["round"])

    @property
    def is_complete(self) -> bool:
        """Whether it came to its end."""
        return self.initial_bits is not None

    def count_rows(self) -> list[dict[str, int]]:
        """What is counted, a row a round; 0 if the run does not have the column."""
        columns = {
            name: self.columns.get(name, [0] * self.rounds)
            for name in (*_COUNTS, *_OPTIONAL_COUNTS)
        }
        return [
            {name: int(column[number] or 0) for name, column in columns.items()}
            for number in range(self.rounds)
        ]


def read(path: pathlib.Path) -> RecordedRun:
    """Reads the directory of a run.

    Raises:
      ValueError: In one sentence, if it is no run, or a file of it is not what a run
        writes.
    """
    _require_no_comparison(path)
    run = existing.read(path)
    columns = _read_table(run.files.metrics, _COUNTS)
    _check_counts(run.files.metrics, columns)
    contributed = None
    if run.files.clients.exists():
        contributed = _read_table(run.files.clients, ("contributed",))["contributed"]
    return RecordedRun(
        path=path,
        flags=run.flags,
        options=run.options,
        columns=columns,
        contributed=contributed,
        dimension=run.dimension,
        initial_bits=_read_initial_bits(run.files),
    )


def _require_no_comparison(path: pathlib.Path) -> None:
    name = run_directory.RunDirectory(path).metrics.name
    if not (path / name).exists() and any(path.glob(f"*/seed_*/{name}")):
        raise ValueError(
            f"Expected the directory of a run, found {path}, which holds several: did "
            f"you mean {path}/*/seed_*?"
        )


def _read_initial_bits(files: run_directory.RunDirectory) -> int | None:
    """The dense download before the first round; None if the run is not complete."""
    if not files.result.exists():
        return None
    try:
        result = json.loads(files.result.read_text(encoding="utf-8"))
        bits, checksums = result["initial_bits"], result.get("checksums", {})
        if type(bits) is not int or bits < 0 or not isinstance(checksums, dict):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ValueError(
            f"Expected the result of a run in {files.result}, found something else."
        ) from None
    _check_unchanged(files, checksums)
    return bits


def _check_unchanged(
    files: run_directory.RunDirectory, checksums: Mapping[str, Any]
) -> None:
    for file in (files.metrics, files.clients):
        checksum = checksums.get(file.name)
        if checksum and file.exists() and run_directory.checksum(file) != checksum:
            raise ValueError(
                f"Expected {file} as the run left it, found that it has changed."
            )


def _read_table(path: pathlib.Path, columns: Sequence[str]) -> dict[str, Column]:
    """The columns of a CSV file, those that hold numbers.

    Raises:
      ValueError: In one sentence, if it lacks one of `columns` or a row, or a row has
        not as many cells as the header.
    """
    rows = _csv_rows.read(path, columns)
    if not rows:
        raise ValueError(f"Expected rows in {path}, found none.")
    for row in rows:
        # A reader of the csv module files what is too much under None.
        if None in row.cells or None in row.cells.values():
            raise ValueError(
                f"Expected as many cells as the header has in {row.place}, found "
                f"{'more' if None in row.cells else 'fewer'}."
            )
    names = [name for name in rows[0].cells if name]
    table = {name: [_number(row.cells[name]) for row in rows] for name in names}
    return {
        name: column
        for name, column in table.items()
        if name in columns or any(value is not None for value in column)
    }


def _number(text: str | None) -> Number:
    try:
        return int(text or "")
    except ValueError:
        value = _csv_rows.number(text)
        return value if math.isfinite(value) else None


def _check_counts(path: pathlib.Path, columns: Mapping[str, Column]) -> None:
    for name in (*_COUNTS, *_OPTIONAL_COUNTS):
        for number, value in enumerate(columns.get(name, ()), start=1):
            if type(value) is not int or value < 0:
                shown = "none" if value is None else f"{value:g}"
                raise ValueError(
                    f"Expected {name} to be a whole number from 0 on in row {number} "
                    f"of {path}, found {shown}."
                )
    rounds = columns["round"]
    if rounds != list(range(1, len(rounds) + 1)):
        raise ValueError(f"Expected rounds 1, 2, 3 and so on in {path}, found others.")
