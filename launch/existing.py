"""A run that is there already, read without TensorFlow."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from launch import flags, run_directory
from launch.options import RunOptions


@dataclasses.dataclass(frozen=True)
class ExistingRun:
    """A run, complete or not.

    Attributes:
      files: Its directory.
      flags: The flags that it was made with, as text.
      options: What they mean.
      dimension: D.
      clients: How many clients its task has.
    """

    files: run_directory.RunDirectory
    flags: Mapping[str, str]
    options: RunOptions
    dimension: int
    clients: int

    @property
    def is_complete(self) -> bool:
        """Whether the run has ended as it should."""
        return self.files.result.is_file()


def read(path: str | pathlib.Path) -> ExistingRun:
    """The run in a directory.

    Raises:
      ValueError: In one sentence, if it is no run that has had a round, or a file of it
        is not what it should be.
    """
    files = run_directory.RunDirectory(path)
    if not files.count_rounds():
        raise ValueError(
            f"Expected the directory of a run, found {path} without a "
            f"{files.metrics.name} that has a round."
        )
    try:
        lines = files.flags.read_text(encoding="utf-8").splitlines()
        flags.load_plugins(lines)
        values = flags.fresh()
        options = flags.parse(["", *lines], values)
        dimension, clients = _shape(files)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"Expected the files of a run in {path}, found: {_reason(error)}"
        ) from error
    return ExistingRun(files, flags.used(values), options, dimension, clients)


def _shape(files: run_directory.RunDirectory) -> tuple[int, int]:
    """D and the number of clients, from about.json, or result.json."""
    for path in (files.about, files.result):
        if path.is_file():
            noted = json.loads(path.read_text(encoding="utf-8"))
            found = [_get(noted, name) for name in ("dimension", "clients")]
            if all(isinstance(number, int) and number > 0 for number in found):
                return found[0], found[1]
    raise ValueError(f"no {files.about.name} that says dimension and clients.")


def _get(noted: Any, name: str) -> Any:
    return noted.get(name) if isinstance(noted, dict) else None


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename} ({error.strerror})."
    return str(error)
