"""A CSV file that grows by a row at a time.

`tff.program.CSVFileReleaseManager` reads and writes the whole file again for every
row that it releases (0.1 s a row at a thousand rows); this one only appends.
"""

import contextlib
import csv
import io
import os
import pathlib
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import pandas as pd


class CsvTable:
    """Rows with the columns of the first one, in its order.

    Attributes:
      checksum: The CRC-32 of the whole file.
    """

    def __init__(self, path: pathlib.Path, *, continued: bool = False) -> None:
        """Opens the file.

        Args:
          path: The file.
          continued: Whether it exists and rows are added to it; otherwise it is made:
            a FileExistsError if there is one.
        """
        self._path = path
        content = path.read_bytes() if continued else b""
        header, _, _ = content.partition(b"\n")
        self.checksum, self._size = zlib.crc32(content), len(content)
        self._columns: list[str] | None = next(csv.reader([header.decode()])) or None
        # Without a buffer: what could not be written is not tried again later.
        self._file = path.open("ab" if continued else "xb", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds `row`, which is in the file when this returns.

        Raises:
          OSError: If the disk is full or fails; the file is as it was.
        """
        text = io.StringIO()
        writer = csv.DictWriter(text, self._columns or list(row), lineterminator="\n")
        if self._columns is None:
            writer.writeheader()
        writer.writerow(row)
        content = text.getvalue().encode()
        self._write(content)
        self._columns = list(writer.fieldnames)
        self.checksum = zlib.crc32(content, self.checksum)
        self._size += len(content)

    def sync(self) -> None:
        """Returns when all rows are on the disk itself."""
        os.fsync(self._file.fileno())

    def _write(self, content: bytes) -> None:
        try:
            while content:
                content = content[self._file.write(content) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._size)
            raise OSError(error.errno, error.strerror, str(self._path)) from error


def read_rounds(path: pathlib.Path, count: int, checksum: int) -> list[dict[str, Any]]:
    """The rows of the first rounds of a table with a column `round`.

    What comes after them may be anything, such as half a row.

    Args:
      path: The file.
      count: How many rounds.
      checksum: That of the table when it had these rounds.

    Returns:
      A row each; whole numbers as int, other numbers as float, nothing as "".

    Raises:
      ValueError: In one sentence, if the rows of these rounds are not there, or any
        byte of them or of the header has changed.
    """
    content = _first_rounds(path, count)
    if zlib.crc32(content) != checksum:
        raise ValueError(
            f"Expected whole rows of rounds 1 to {count} in {path}, as they were "
            "written, found others."
        )
    return _rows(content)


def read_whole_rows(path: pathlib.Path) -> list[dict[str, Any]]:
    """The rows as of `read_rounds`; without one that is being written.

    Raises:
      ValueError: If the file is no such table.
      OSError: If it cannot be read.
    """
    return _rows(path.read_bytes().rpartition(b"\n")[0])


def _rows(content: bytes) -> list[dict[str, Any]]:
    lines = content.decode().splitlines()
    return [
        {name: _value(text) for name, text in row.items()}
        for row in csv.DictReader(lines)
    ]


def read_frame(path: pathlib.Path) -> "pd.DataFrame":
    """A whole table of a run, nothing as NaN.

    Raises:
      ValueError: If the file is no table.
      OSError: If it cannot be read.
    """
    # Not before it is needed: it takes a second.
    import pandas as pd

    return pd.read_csv(path, float_precision="round_trip")


def cut(path: pathlib.Path, count: int) -> None:
    """Takes away, in one step, all rows but the first `count`."""
    os.truncate(path, len(_first_rounds(path, count)))


def _first_rounds(path: pathlib.Path, count: int) -> bytes:
    """The header and that many rows; fewer if they are not there."""
    try:
        lines: Sequence[bytes] = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return b""
    return b"".join(lines[: count + 1 if count else 0])


def _value(text: str) -> int | float | str:
    if text == "":
        return text
    try:
        return int(text)
    except ValueError:
        return float(text)
