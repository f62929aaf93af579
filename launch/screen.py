"""What a program says to its user.

A terminal that is gone, a pipe whose reader has ended or a log on a full disk does not
end a program: its work is worth more than what it says of it.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO


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
