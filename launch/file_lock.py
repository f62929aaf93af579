"""Directories that one program at a time works in."""

import fcntl
import pathlib
from typing import IO


def take(file: int | IO, directory: pathlib.Path, *, holder: str) -> None:
    """Locks an open file on behalf of a directory, until the file is closed.

    Args:
      file: The file, or its descriptor; it may be the directory itself.
      directory: What is held by it.
      holder: What else may hold it, for the error.

    Raises:
      ValueError: If another program holds it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"Expected {directory} to be free, found {holder} at work in it."
        ) from None
