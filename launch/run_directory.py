"""The directory that a run writes to."""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any


class RunDirectory:
    """A directory of one run, and the names of its files.

    Attributes:
      path: The directory.
      metrics: CSV, a row a round.
      timing: CSV, the wall-clock seconds of every round.
      clients: CSV, a row a client.
      flags: The flags of the run, one a line: a file for --flagfile.
      flags_json: The same as JSON.
      events: Directory of TensorBoard events.
      plot: The picture of the run.
      result: JSON, what the run came to; only a complete run leaves it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Names the files; `create` makes the directory."""
        self.path = pathlib.Path(path)
        self.metrics = self.path / "metrics.csv"
        self.timing = self.path / "timing.csv"
        self.clients = self.path / "clients.csv"
        self.flags = self.path / "flags.txt"
        self.flags_json = self.path / "flags.json"
        self.events = self.path / "events"
        self.plot = self.path / "summary.png"
        self.result = self.path / "result.json"

    def check(self) -> None:
        """Raises ValueError unless the directory is absent or empty."""
        try:
            taken = os.path.lexists(self.path) and any(self.path.iterdir())
        except OSError as error:
            raise ValueError(
                f"Expected a directory as output_dir, found {self.path} "
                f"({error.strerror})."
            ) from error
        if taken:
            raise ValueError(
                "Expected a new or empty directory as output_dir, found files in "
                f"{self.path}, which is left as it is."
            )

    def create(self, flags: Mapping[str, str]) -> None:
        """Makes the directory and writes the flags into it.

        Args:
          flags: The flags of the run by name, as text.

        Raises:
          ValueError: If the directory holds files already or cannot be written.
        """
        self.check()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lines = "".join(f"--{name}={value}\n" for name, value in flags.items())
            # Made here, not before: of two runs only one can begin.
            with self.flags.open("x", encoding="utf-8") as file:
                file.write(lines)
            write_atomically(self.flags_json, json.dumps(dict(flags), indent=2) + "\n")
        except OSError as error:
            raise ValueError(
                f"Expected an output_dir that can be written, found {self.path} "
                f"({error.strerror})."
            ) from error

    def finish(self, result: Mapping[str, Any]) -> None:
        """Marks the run as complete, when all its other files are written.

        Args:
          result: What it came to.
        """
        write_atomically(self.result, json.dumps(dict(result), indent=2) + "\n")


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Replaces the content of `path` in one step."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
