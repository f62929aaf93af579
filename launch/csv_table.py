"""A CSV file that grows by a row at a time.

`tff.program.CSVFileReleaseManager` reads and writes the whole file anew for every
row that it releases (0.1 s a row at a thousand rows); this one only appends.
"""

import csv
import pathlib
from collections.abc import Mapping
from typing import Any, Self

from launch import run_directory


class CsvTable:
    """Rows with the columns of the first one, in its order."""

    def __init__(self, path: pathlib.Path, *, continued: bool = False) -> None:
        """Opens the file.

        Args:
          path: The file.
          continued: Whether it exists and rows are added to it; else it is made, and
            there is a FileExistsError where there is one.
        """
        self._writer: csv.DictWriter | None = None
        columns = _columns(path) if continued else None
        mode = "a" if continued else "x"
        self._file = path.open(mode, newline="", encoding="utf-8")
        if columns:
            self._writer = self._make_writer(columns)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds `row`, which is in the file when this returns."""
        if self._writer is None:
            self._writer = self._make_writer(list(row))
            self._writer.writeheader()
        self._writer.writerow(row)
        self._file.flush()

    def _make_writer(self, columns: list[str]) -> csv.DictWriter:
        return csv.DictWriter(self._file, columns, lineterminator="\n")


def _columns(path: pathlib.Path) -> list[str]:
    with path.open(newline="", encoding="utf-8") as file:
        return next(csv.reader(file), [])


def read_rounds(path: pathlib.Path, count: int) -> list[dict[str, Any]]:
    """The rows of the first rounds of a table with a column `round`.

    What comes after them may be anything, such as half a row.

    Args:
      path: The file.
      count: How many rounds.

    Returns:
      A row each; whole numbers as int, other numbers as float, nothing as "".

    Raises:
      ValueError: In one sentence, if the rows of these rounds are not there.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[: count + 1]
    except (OSError, UnicodeDecodeError):
        lines = []
    read = list(csv.DictReader(lines, restkey="", restval=None))
    try:
        rows = [{name: _value(text) for name, text in row.items()} for row in read]
        whole = [row["round"] for row in rows] == list(range(1, count + 1))
    except (KeyError, TypeError, ValueError):
        whole = False
    if not whole:
        raise ValueError(
            f"Expected whole rows of rounds 1 to {count} in {path}, found others."
        )
    return rows


def cut(path: pathlib.Path, count: int) -> None:
    """Takes away, in one step, all rows but the first `count`."""
    lines = path.read_text(encoding="utf-8").splitlines()[: count + 1]
    run_directory.write_atomically(path, "".join(f"{line}\n" for line in lines))


def _value(text: str) -> int | float | str:
    if text == "":
        return text
    try:
        return int(text)
    except ValueError:
        return float(text)
