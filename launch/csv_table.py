"""A CSV file that grows by a row at a time.

`tff.program.CSVFileReleaseManager` reads and writes the whole file anew for every
row that it releases (0.1 s a row at a thousand rows); this one only appends.
"""

import csv
import pathlib
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self


class CsvTable:
    """Rows with the columns of the first one, in its order."""

    def __init__(self, path: pathlib.Path) -> None:
        """Makes the file `path`; FileExistsError where there is one."""
        self._file = path.open("x", newline="", encoding="utf-8")
        self._writer: csv.DictWriter | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds `row`, which is in the file when this returns."""
        if self._writer is None:
            self._writer = csv.DictWriter(self._file, list(row), lineterminator="\n")
            self._writer.writeheader()
        self._writer.writerow(row)
        self._file.flush()
