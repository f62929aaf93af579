"""Rows of CSV files that users give; imports no TensorFlow."""

import csv
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Row(NamedTuple):
    """A row.

    Attributes:
      place: Where it is, for errors: line 3 of links.csv.
      cells: Its text by column; None if the row ends before.
    """

    place: str
    cells: Mapping[str, str | None]


def read(path: str | os.PathLike[str], columns: Sequence[str]) -> list[Row]:
    """The rows of a file with a header; columns may be in any order, and others there.

    Args:
      path: The file.
      columns: Those that it has to have.

    Raises:
      ValueError: In one sentence, if the file is missing or no CSV text, or lacks a
        column.
    """
    plural = "s" if len(columns) > 1 else ""
    wanted = f"the column{plural} {', '.join(columns)}"
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            header = reader.fieldnames or []
            if not set(columns) <= set(header):
                raise ValueError(
                    f"Expected {wanted} in {path}, found "
                    f"{', '.join(header) or 'an empty file'}."
                )
            return [Row(f"line {reader.line_num} of {path}", row) for row in reader]
    except OSError as error:
        raise ValueError(
            f"Expected a CSV file with {wanted} at {path}, found: {error.strerror}."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"Expected CSV text in {path}, found: {error}.") from error


def number(cell: str | None) -> float:
    """The number that a cell says; NaN if it says none."""
    try:
        return float(cell) if cell is not None else float("nan")
    except ValueError:
        return float("nan")
