"""What a run left behind, read with care."""

import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from launch import run_directory
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
_FLAGS = ("task", "sparsifier", "controller", "cost", "batch_size", "probe_examples")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedRun:
    """A run, from its files.

    Attributes:
      path: Its directory.
      flags: Its flags by name, as text.
      columns: metrics.csv, a list of R numbers for each column; what `count_rows` has
        are whole numbers, at least 0.
      contributed: How many entries of each client were selected in all rounds, in the
        order of clients.csv; None: there is no such file.
      dimension: D; None: the run is not complete.
      initial_bits: The dense download of each client before the first round; None:
        the run is not complete.
    """

    path: pathlib.Path
    flags: Mapping[str, str]
    columns: Mapping[str, Column]
    contributed: Column | None
    dimension: int | None
    initial_bits: int | None

    @property
    def rounds(self) -> int:
        """How many rounds it has made."""
        return len(self.columns["round"])

    @property
    def is_complete(self) -> bool:
        """Whether it came to its end."""
        return self.dimension is not None

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
    files = run_directory.RunDirectory(path)
    _require_run(files)
    flags = _read_flags(files.flags_json)
    columns = _read_table(files.metrics, _COUNTS)
    _check_counts(files.metrics, columns)
    contributed = None
    if files.clients.exists():
        contributed = _read_table(files.clients, ("contributed",))["contributed"]
    result = _read_result(files)
    return RecordedRun(
        path=path,
        flags=flags,
        columns=columns,
        contributed=contributed,
        dimension=result.get("dimension"),
        initial_bits=result.get("initial_bits"),
    )


def _require_run(files: run_directory.RunDirectory) -> None:
    if files.metrics.is_file() and files.flags_json.is_file():
        return
    if not files.path.is_dir():
        found = "a file" if files.path.exists() else "nothing"
    elif files.flags_json.is_file():
        found = f"no {files.metrics.name} in it"
    else:
        found = f"no {files.flags_json.name} in it"
    inside = sorted(files.path.glob(f"*/seed_*/{files.metrics.name}"))
    meant = f": did you mean {files.path}/*/seed_*?" if inside else "."
    raise ValueError(
        f"Expected the directory of a run of launch.train at {files.path}, found "
        f"{found}{meant}"
    )


def _read_json(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(
            f"Expected {path} to be readable, found: {error.strerror}."
        ) from error
    except (ValueError, RecursionError):
        return None


def _read_flags(path: pathlib.Path) -> dict[str, str]:
    flags = _read_json(path)
    if not isinstance(flags, dict) or not all(
        isinstance(text, str) for text in flags.values()
    ):
        raise ValueError(
            f"Expected the flags of a run in {path}, found something else."
        )
    missing = [name for name in _FLAGS if name not in flags]
    if missing:
        raise ValueError(
            f"Expected the flags of a run in {path}, found none named {missing[0]}."
        )
    for name in ("batch_size", "probe_examples"):
        if not flags[name].isdecimal() or int(flags[name]) == 0:
            raise ValueError(
                f"Expected {name} to be a whole number from 1 on in {path}, found "
                f"{flags[name]!r}."
            )
    return flags


def _read_result(files: run_directory.RunDirectory) -> Mapping[str, Any]:
    """What the page takes from result.json; nothing if the run is not complete."""
    path = files.result
    if not path.exists():
        return {}
    result = _read_json(path)
    if not isinstance(result, dict):
        raise ValueError(
            f"Expected the result of a run in {path}, found something else."
        )
    for name, least in (("dimension", 1), ("initial_bits", 0)):
        value = result.get(name)
        if type(value) is not int or value < least:
            raise ValueError(
                f"Expected {name} to be a whole number from {least} on in {path}, "
                f"found {value!r}."
            )
    _check_unchanged(files, result.get("checksums", {}))
    return result


def _check_unchanged(files: run_directory.RunDirectory, checksums: Any) -> None:
    for file in (files.metrics, files.clients):
        checksum = checksums.get(file.name) if isinstance(checksums, dict) else None
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
