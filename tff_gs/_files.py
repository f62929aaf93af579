"""Files that others may look at, too: a lock, and what is written as a whole."""

import contextlib
import fcntl
import os
import pathlib
from typing import IO


def take(file: int | IO, place: os.PathLike[str], *, holder: str) -> None:
    """Locks an open file for this program, until the file is closed.

    Args:
      file: The file, or its descriptor; it may be a folder.
      place: What is held by it: the file itself, or a folder.
      holder: What else may hold it, for the error.

    Raises:
      ValueError: If another program holds it.
      OSError: If files cannot be locked there.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"Expected {os.fspath(place)} to be free, found {holder} at work in it."
        ) from None


def is_taken(path: pathlib.Path) -> bool:
    """Whether a program holds a file or folder by `take`; takes nothing itself.

    On a system that does not list its locks it is never seen to be held.
    """
    found = path.stat()
    device = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}"
    try:
        locks = pathlib.Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    held = [line.split()[5] for line in locks if " FLOCK " in line]
    return f"{device}:{found.st_ino}" in held


def write_atomically(path: pathlib.Path, text: str) -> None:
    """Replaces the content of a file by text, in one step.

    Raises:
      OSError: If the disk is full or fails; the file is as it was.
    """
    write_bytes_atomically(path, text.encode("utf-8"))


def write_bytes_atomically(path: pathlib.Path, content: bytes) -> None:
    """Replaces the content of a file in one step; see `write_atomically`."""
    unfinished = unfinished_name(path)
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error


def unfinished_name(path: pathlib.Path) -> pathlib.Path:
    """Where `write_atomically` writes; a program that is killed may leave it."""
    return path.with_name(f".{path.name}.new")


def sync(path: pathlib.Path) -> None:
    """Returns when a file, or what a folder lists, is on the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
