"""The directory that a run writes to."""

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

from launch import file_lock

# Followed by the round.
CHECKPOINT_PREFIX = "round_"

# Of a store of clients' states on disk, here or in a directory of its own.
CLIENT_STATES = "clients.states"


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
      checkpoints: Directory of what the run is resumed from.
      client_states: What a store of clients' states on disk is, and a checkpoint
        refers to.
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
        self.checkpoints = self.path / "checkpoints"
        self.client_states = self.path / CLIENT_STATES

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

    def check_resumable(self) -> None:
        """Raises ValueError unless there is a checkpoint."""
        if self.last_checkpoint() is None:
            raise ValueError(
                f"Expected a checkpoint in {self.checkpoints}, found none: the run "
                "ended before its first one, or checkpoint_every was 0."
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
            # Made here, not before: of two runs only one can begin.
            with self.flags.open("x", encoding="utf-8") as file:
                file.write(_lines(flags))
            write_atomically(self.flags_json, _json(flags))
        except OSError as error:
            raise ValueError(
                f"Expected an output_dir that can be written, found {self.path} "
                f"({error.strerror})."
            ) from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the directory, which exists.

        Raises:
          ValueError: If another program holds it.
        """
        handle = os.open(self.path, os.O_RDONLY)
        try:
            file_lock.take(handle, self.path, holder="a run")
            yield
        finally:
            os.close(handle)

    def last_checkpoint(self) -> int | None:
        """The round of the last checkpoint; None where there is none."""
        found = self.checkpoints.glob(f"{CHECKPOINT_PREFIX}*")
        suffixes = [path.name.removeprefix(CHECKPOINT_PREFIX) for path in found]
        return max(
            (int(suffix) for suffix in suffixes if suffix.isdigit()), default=None
        )

    def remove_broken_checkpoints(self) -> None:
        """Removes what was left where a run was killed while it wrote a checkpoint."""
        for path in self.checkpoints.glob(f"{CHECKPOINT_PREFIX}*"):
            if not path.name.removeprefix(CHECKPOINT_PREFIX).isdigit():
                shutil.rmtree(path, ignore_errors=True)

    def reopen(self, flags: Mapping[str, str]) -> None:
        """Makes a complete run one that is not, and writes its flags anew.

        Args:
          flags: The flags of the run by name, as text.
        """
        self.result.unlink(missing_ok=True)
        write_atomically(self.flags, _lines(flags))
        write_atomically(self.flags_json, _json(flags))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Marks the run as complete, when all its other files are written.

        Args:
          result: What it came to.
        """
        write_atomically(self.result, _json(result))


def _lines(flags: Mapping[str, str]) -> str:
    return "".join(f"--{name}={value}\n" for name, value in flags.items())


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), indent=2) + "\n"


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Replaces the content of `path` in one step."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
