"""What there is to know of a run, read from its directory without changing anything."""

import contextlib
import dataclasses
import datetime
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from launch import csv_table, flags, run_directory
from tff_gs import _sealed_folder

#: What a checkpoint may be.
CONDITIONS: Mapping[str, str] = {
    "whole": "every bit is as it was written",
    "damaged": "some bit is not, or rows of metrics.csv are missing",
    "foreign": "of another run, or of another version of tff_gs",
    "unfinished": "being written or removed, or left so by a program that was killed",
}


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A checkpoint of a run.

    Attributes:
      name: Its folder's.
      round: After which it was written; None: it is unfinished.
      size: Bytes of its files.
      condition: One of `CONDITIONS`.
      reason: Why it is not whole, in one sentence; None: it is.
    """

    name: str
    round: int | None
    size: int
    condition: str
    reason: str | None = None


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What there is to know of a run.

    Attributes:
      directory: Where it is.
      state: "running", "complete", or "stopped".
      flags: That it was made with, by name.
      starts: What was noted of every start of the program, such as versions; see
        docs/files.md.
      rounds: How many it has run.
      seconds: Wall-clock time that rounds and evaluations took.
      written: When a row was written last, with its time zone; None: never.
      last_round: The last row of metrics.csv by column; empty if there is none.
      last_evaluation: The last row that was evaluated, likewise.
      checkpoints: The last one first, then unfinished ones.
      resume: The command that goes on with it; None: it is not stopped, or nobody can.
    """

    directory: str
    state: str
    flags: Mapping[str, str]
    starts: Sequence[Mapping[str, Any]]
    rounds: int
    seconds: float
    written: datetime.datetime | None
    last_round: Mapping[str, Any]
    last_evaluation: Mapping[str, Any]
    checkpoints: Sequence[Checkpoint]
    resume: str | None

    def as_json(self) -> str:
        """The same as JSON; numbers that are not finite are null."""
        content = dataclasses.asdict(self)
        content["written"] = self.written and self.written.isoformat()
        return json.dumps(_finite(content), indent=2, allow_nan=False)


def inspect(path: pathlib.Path) -> Inspection:
    """Reads the directory of a run.

    Raises:
      ValueError: In one sentence, if it is none, or its tables are none of a run.
      OSError: If a file cannot be read.
    """
    directory = run_directory.RunDirectory(path)
    try:
        recorded = directory.read_flags()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"Expected the directory of a run, found {path} without a "
            f"{directory.flags.name} that can be read."
        ) from error
    rows = _read(directory.metrics)
    evaluated = [row for row in rows if row["test_loss"] != ""]
    found = _checkpoints(directory, recorded, len(rows))
    state = "complete" if directory.result.is_file() else "stopped"
    if directory.is_in_use():
        state = "running"
    can_resume = any(each.condition == "whole" for each in found)
    return Inspection(
        directory=str(path),
        state=state,
        flags=recorded,
        starts=directory.starts(),
        rounds=len(rows),
        seconds=_seconds(directory),
        written=_written(directory.metrics) if rows else None,
        last_round=rows[-1] if rows else {},
        last_evaluation=evaluated[-1] if evaluated else {},
        checkpoints=found,
        resume=directory.resume_command if state == "stopped" and can_resume else None,
    )


def _read(path: pathlib.Path) -> list[dict[str, Any]]:
    """The rows of a table; none if it is not there yet."""
    try:
        rows = csv_table.read_whole_rows(path)
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"Expected the table of a run in {path}, found: {error}."
        ) from error
    return rows


def _seconds(directory: run_directory.RunDirectory) -> float:
    names = ("round_seconds", "evaluation_seconds")
    return sum(row[name] for row in _read(directory.timing) for name in names)


def _written(path: pathlib.Path) -> datetime.datetime:
    seconds = path.stat().st_mtime
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).astimezone()


def _checkpoints(
    directory: run_directory.RunDirectory, recorded: Mapping[str, str], rounds: int
) -> list[Checkpoint]:
    found = []
    for number in directory.checkpoint_rounds():
        folder = directory.checkpoint(number)
        condition, reason = _condition(directory, number, recorded, rounds)
        # A run that goes on removes earlier ones meanwhile.
        if folder.exists():
            size = _size(folder)
            found.append(Checkpoint(folder.name, number, size, condition, reason))
    for folder in directory.unfinished_checkpoints():
        reason = CONDITIONS["unfinished"]
        found.append(Checkpoint(folder.name, None, _size(folder), "unfinished", reason))
    return found


def _condition(
    directory: run_directory.RunDirectory,
    number: int,
    recorded: Mapping[str, str],
    rounds: int,
) -> tuple[str, str | None]:
    """The condition of a checkpoint, and why it is not whole; looks at every bit."""
    folder = directory.checkpoint(number)
    try:
        _sealed_folder.check(folder)
        saved = _sealed_folder.read_notes(folder).get("flags", {})
    except _sealed_folder.OtherFormatError as error:
        return "foreign", str(error)
    except _sealed_folder.BrokenSealError as error:
        return "damaged", str(error)
    try:
        flags.check_saved(saved, recorded, directory)
    except ValueError as error:
        return "foreign", str(error)
    if rounds < number:
        return "damaged", (
            f"Expected {number} rounds in {directory.metrics}, found {rounds}."
        )
    return "whole", None


def _size(folder: pathlib.Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            size += path.stat().st_size if path.is_file() else 0
    return size


def _finite(content: Any) -> Any:
    """The same without numbers that JSON does not have."""
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
