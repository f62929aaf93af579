"""A temporary folder that its program owns, and that no dead program leaves behind."""

import contextlib
import errno
import fcntl
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from tff_gs import _files
from tff_gs.runtime import worker_errors

PREFIX = "tff_gs_spool_"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class SpoolError(RuntimeError):
    """The temporary folder for values on their way to the worker cannot be used."""


class SpoolFolder:
    """A temporary folder, locked for as long as its program lives.

    Attributes:
      path: The folder.
      descriptor: The folder, open.
    """

    def __init__(self, prefix: str = PREFIX) -> None:
        """Makes the folder, and removes those of programs that have ended.

        Args:
          prefix: What its name begins with, and that of the others that are removed.

        Raises:
          SpoolError: If there is no temporary directory to make it in.
        """
        parent = pathlib.Path(_temporary_directory())
        _remove_dead(parent, prefix)
        with readable_errors(parent):
            self.path, self.descriptor = _make(parent, prefix)

    def clear(self) -> None:
        """Removes all files."""
        for path in self.path.iterdir():
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self.descriptor)


@contextlib.contextmanager
def readable_errors(folder: os.PathLike[str] | str) -> Iterator[None]:
    """Turns an error of the operating system into a SpoolError of one sentence."""
    try:
        yield
    except OSError as error:
        raise _unusable(folder, error.strerror or str(error)) from error


@contextlib.contextmanager
def full_disk_in_worker(folder: os.PathLike[str] | str) -> Iterator[None]:
    """The same for what the worker says when it finds no room in the folder."""
    try:
        yield
    except worker_errors.WorkerError as error:
        for number in _NO_ROOM:
            if os.strerror(number) in str(error):
                raise _unusable(folder, os.strerror(number)) from error
        raise


def _unusable(folder: os.PathLike[str] | str, reason: str) -> SpoolError:
    return SpoolError(
        f"Expected room for clients' values in the temporary folder {folder}, found: "
        f"{reason}; make room there, or name another place by TMPDIR."
    )


def _temporary_directory() -> str:
    try:
        return tempfile.gettempdir()
    except OSError as error:
        raise SpoolError(
            f"Expected a temporary directory to write to, found: {error.strerror}."
        ) from error


def _make(parent: pathlib.Path, prefix: str) -> tuple[pathlib.Path, int]:
    """A new folder, and its descriptor, which locks it."""
    while True:
        path = pathlib.Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        with contextlib.suppress(OSError):
            # If folders cannot be locked, no program removes another's either.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Another program can have taken it for dead before it was locked.
        if path.is_dir():
            return path, descriptor
        os.close(descriptor)


def _remove_dead(parent: pathlib.Path, prefix: str) -> None:
    """Removes this user's folders that no program has locked; follows no links."""
    for path in parent.glob(f"{prefix}*"):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if os.fstat(descriptor).st_uid == os.getuid():
                _files.take(descriptor, path, holder="its program")
                shutil.rmtree(path, ignore_errors=True)
        except (OSError, ValueError):
            # Its program lives.
            continue
        finally:
            os.close(descriptor)
