"""What a program says to its user.

A terminal that is gone, a pipe whose reader has ended or a log on a full disk does not
end a program: its work is worth more than what it says of it.
"""

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any, TextIO

_REFUSED = "Expected files that can be read and written, found "
# What a `tff_gs.runtime.SpoolError` says.
_OF_SPOOL = ("Expected room for clients' values in", "Expected a temporary directory")


class Patient:
    """A text stream that takes what its file does not."""

    def __init__(self, stream: TextIO) -> None:
        """Writes to `stream` for as long as that goes well."""
        self._stream = stream

    def write(self, text: str) -> int:
        """Writes `text`, if it can."""
        with _silenced(self._stream):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Writes what is held back, if it can."""
        with _silenced(self._stream):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def say(text: str) -> None:
    """Prints a line, or several, to standard output."""
    print(text, file=Patient(sys.stdout), flush=True)


def say_error(sentence: str) -> None:
    """Prints a sentence to standard error."""
    print(sentence, file=Patient(sys.stderr), flush=True)


@contextlib.contextmanager
def _silenced(stream: TextIO) -> Iterator[None]:
    try:
        yield
    except OSError:
        # What it holds back would fail once more when the program ends.
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as sink:
            os.dup2(sink.fileno(), stream.fileno())


def error_sentence(error: OSError, paths: Mapping[str, str]) -> str:
    """Names what the system refuses: the file, why, and the flag that leads to it.

    Args:
      error: What was raised.
      paths: The program's flags that take a path, by name.
    """
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return f"{_REFUSED}one for which the system says: {reason}."
    file = os.fsdecode(error.filename)
    flag = _flag(file, paths)
    return f"{_REFUSED}{file}: {reason}{flag}."


def is_error_sentence(line: str) -> bool:
    """Whether a program has ended for what the system refused, by its last line."""
    return line.startswith((_REFUSED, *_OF_SPOOL))


def _flag(file: str, paths: Mapping[str, str]) -> str:
    """The flag with the longest path that leads to the file."""
    parts = pathlib.Path(file).parts
    leading = [
        (len(found), name)
        for name, path in paths.items()
        if (found := pathlib.Path(path).parts) == parts[: len(found)] and found
    ]
    if not leading:
        return ""
    name = max(leading)[1]
    return f" ({name}={paths[name]})"
