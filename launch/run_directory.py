"""The directory that a run writes to."""

import contextlib
import errno
import itertools
import json
import os
import pathlib
import shutil
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from tff_gs import _files, _sealed_folder

# Followed by the round.
CHECKPOINT_PREFIX = "round_"

# Of a store of clients' states on disk, here or in a directory of its own.
CLIENT_STATES = "clients.states"

# All that a run writes except for its directories.
FILES = (
    "metrics.csv",
    "timing.csv",
    "clients.csv",
    "flags.txt",
    "flags.json",
    "summary.png",
    "result.json",
    "about.json",
    CLIENT_STATES,
)


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
      about: JSON, what the run was made with and on, at every start.
      model: Directory of the trained model; only a complete run leaves it.
      weights: The weights in it, as of `tff_gs.programs.save_model_weights`.
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
        self.about = self.path / "about.json"
        self.model = self.path / "model"
        self.weights = self.model / "weights.npz"
        self.client_states = self.path / CLIENT_STATES
        # What `create` made, the deepest first.
        self._made: list[pathlib.Path] = []

    def check(self) -> None:
        """Raises ValueError unless the directory can be made, or is there and empty."""
        try:
            taken = _exists(self.path) and any(self.path.iterdir())
            parent = next(path for path in self._upwards() if _exists(path))
            if not parent.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not os.access(parent, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
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

    def read_flags(self) -> dict[str, str]:
        """The flags that the run was made with, by name, as text.

        Raises:
          OSError: If they cannot be read.
          UnicodeDecodeError: If the file is no text.
        """
        lines = self.flags.read_text(encoding="utf-8").splitlines()
        pairs = [line.removeprefix("--").partition("=") for line in lines]
        return {name: text for name, _, text in pairs}

    def starts(self) -> list[Mapping[str, Any]]:
        """What about.json notes of every start of the program; may be empty."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return list(json.loads(self.about.read_text(encoding="utf-8"))["starts"])
        return []

    def is_in_use(self) -> bool:
        """Whether a program holds the directory, which exists, by `lock`."""
        return _files.is_taken(self.path)

    def check_model(self) -> None:
        """Raises ValueError unless there is a trained model."""
        if not self.weights.is_file():
            raise ValueError(
                "Expected the directory of a complete run as init_from, found "
                f"{self.path} without {self.weights.relative_to(self.path)}."
            )

    def count_rounds(self) -> int:
        """How many rows metrics.csv has."""
        try:
            return max(0, self.metrics.read_bytes().count(b"\n") - 1)
        except OSError:
            return 0

    def saved_notes(self) -> dict[str, Any]:
        """What was noted with the last checkpoint, such as its flags; may be empty."""
        for number in self.checkpoint_rounds():
            folder = self.checkpoint(number)
            with contextlib.suppress(_sealed_folder.BrokenSealError):
                return _sealed_folder.read_notes(folder)
        return {}

    def create(self, flags: Mapping[str, str]) -> None:
        """Makes the directory and writes the flags into it.

        Args:
          flags: The flags of the run by name, as text.

        Raises:
          ValueError: If the directory holds files already or cannot be written; it is
            then as it was.
        """
        self.check()
        missing = [path for path in self._upwards() if not _exists(path)]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._made = missing
            # Made here, not before: of two runs only one can begin.
            with self.flags.open("x", encoding="utf-8"):
                pass
        except OSError as error:
            self._unmake(missing)
            raise _not_writable(self.path, error) from error
        try:
            _files.write_atomically(self.flags, _lines(flags))
            _files.write_atomically(self.flags_json, _json(flags))
        except OSError as error:
            self.discard()
            raise _not_writable(self.path, error) from error

    def discard(self) -> None:
        """Removes the files of a run that came to nothing, and what `create` made."""
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)
        for folder in (self.events, self.checkpoints, self.model):
            shutil.rmtree(folder, ignore_errors=True)
        self._unmake(self._made)

    def _unmake(self, folders: list[pathlib.Path]) -> None:
        for path in folders:
            # Another program may have put something there.
            with contextlib.suppress(OSError):
                path.rmdir()

    def _upwards(self) -> list[pathlib.Path]:
        """The directory, and all above it."""
        path = pathlib.Path(os.path.abspath(self.path))
        return [path, *path.parents]

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the directory, which exists.

        Raises:
          ValueError: If another program holds it.
        """
        handle = os.open(self.path, os.O_RDONLY)
        try:
            _files.take(handle, self.path, holder="a run")
            yield
        finally:
            os.close(handle)

    def last_checkpoint(self) -> int | None:
        """The round of the last checkpoint; None if there is none."""
        return next(iter(self.checkpoint_rounds()), None)

    def checkpoint(self, number: int) -> pathlib.Path:
        """The folder of the checkpoint of a round."""
        return self.checkpoints / f"{CHECKPOINT_PREFIX}{number}"

    def checkpoint_rounds(self) -> list[int]:
        """The rounds of the checkpoints, the last one first."""
        found = self.checkpoints.glob(f"{CHECKPOINT_PREFIX}*")
        suffixes = [path.name.removeprefix(CHECKPOINT_PREFIX) for path in found]
        return sorted((int(s) for s in suffixes if s.isdigit()), reverse=True)

    def resume_hint(self) -> str:
        """How a user goes on with the run, after a blank; "" if nobody can."""
        if self.last_checkpoint() is None:
            return ""
        return f" Go on: {self.resume_command}"

    @property
    def resume_command(self) -> str:
        """What a user types to go on with the run."""
        return f"python -m launch.train --resume={self.path}"

    def unfinished_checkpoints(self) -> list[pathlib.Path]:
        """Folders that are no checkpoint yet, or not any more."""
        whole = [self.checkpoint(number) for number in self.checkpoint_rounds()]
        return sorted(set(self.checkpoints.glob("*")) - set(whole))

    def remove_leftovers(self) -> None:
        """Removes what was left if a run was killed while it wrote a file."""
        for path in self.checkpoints.glob(f"{CHECKPOINT_PREFIX}*"):
            if not path.name.removeprefix(CHECKPOINT_PREFIX).isdigit():
                shutil.rmtree(path, ignore_errors=True)
        for name in FILES:
            _files.unfinished_name(self.path / name).unlink(missing_ok=True)

    def reopen(self, flags: Mapping[str, str]) -> None:
        """Makes a complete run one that is not, and writes its flags again.

        Args:
          flags: The flags of the run by name, as text.
        """
        self.result.unlink(missing_ok=True)
        shutil.rmtree(self.model, ignore_errors=True)
        for path, text in (
            (self.flags, _lines(flags)),
            (self.flags_json, _json(flags)),
        ):
            # A disk that is full takes what is there already.
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                _files.write_atomically(path, text)

    def note_start(self, start: Mapping[str, Any], **of_run: Any) -> None:
        """Adds a start of the program to about.json.

        Args:
          start: What is noted of it.
          **of_run: What is the same for all starts.
        """
        noted = {**of_run, "starts": [*self.starts(), dict(start)]}
        _files.write_atomically(self.about, _json(noted))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Marks the run as complete, when all its other files are written.

        Args:
          result: What it came to.
        """
        checksums = {path.name: checksum(path) for path in (self.metrics, self.clients)}
        _files.write_atomically(self.result, _json({**result, "checksums": checksums}))


def create_numbered(path: str, flags: Mapping[str, str]) -> RunDirectory:
    """Makes a new directory, of that name or of a similar one if it is taken.

    Args:
      path: The name.
      flags: As of `RunDirectory.create`.

    Raises:
      ValueError: As of `RunDirectory.create`.
    """
    for number in itertools.count(1):
        directory = RunDirectory(path if number == 1 else f"{path}-{number}")
        try:
            directory.create(flags)
        except ValueError:
            if not os.path.lexists(directory.path):
                raise
        else:
            break
    return directory


def checksum(path: pathlib.Path) -> str:
    """The checksum of a file as result.json holds it."""
    return f"{zlib.crc32(path.read_bytes()):08x}"


def _exists(path: pathlib.Path) -> bool:
    """Whether there is something; an OSError if that cannot be known."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def _not_writable(path: pathlib.Path, error: OSError) -> ValueError:
    return ValueError(
        f"Expected an output_dir that can be written, found {path} ({error.strerror})."
    )


def _lines(flags: Mapping[str, str]) -> str:
    return "".join(f"--{name}={value}\n" for name, value in flags.items())


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(dict(values), indent=2) + "\n"
