"""The library that keeps a worker off the network: built once, and kept for the user.

TFF's worker listens on all addresses of its machine, asks nobody who he is, and has no
flag for either. `_private_bind.c` changes where it listens.
"""

import atexit
import ctypes
import functools
import hashlib
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

from tff_gs import _sealed_folder, _user_cache

_SOURCE = pathlib.Path(__file__).with_suffix(".c")
_LIBRARY = "private_bind.so"
_COMPILERS = ("gcc", "cc")


class NoLibraryError(RuntimeError):
    """The library cannot be had on this machine; says why in one sentence."""


@functools.cache
def library() -> pathlib.Path:
    """The library, in the user's cache, or in a temporary folder if that is of no use.

    In the cache it lies in a folder that is named after its source and sealed. The
    folder and the cache belong to the user, and nobody else may write to them.

    Raises:
      NoLibraryError: If there is no compiler, or the system loads no such library.
    """
    place = _user_cache.find()
    if place is not None:
        try:
            return _kept(place)
        except OSError:
            # A home that is read-only or full, or whose files may not be executed.
            pass
    folder = pathlib.Path(tempfile.mkdtemp(prefix="tff_gs_library_"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        return _loadable(_compiled(folder))
    except OSError as error:
        raise NoLibraryError(
            f"Expected a system that loads {_LIBRARY}, found: {error}."
        ) from error


def _kept(place: pathlib.Path) -> pathlib.Path:
    """The library in the user's cache; an OSError if it cannot be kept there."""
    digest = hashlib.blake2b(_SOURCE.read_bytes(), digest_size=8).hexdigest()
    folder = place / f"private_bind_{digest}"
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    _require_own(place)
    try:
        _require_own(folder)
        _sealed_folder.check(folder)
    except (FileNotFoundError, _sealed_folder.BrokenSealError):
        _build(folder)
    return _loadable(folder / _LIBRARY)


def _build(folder: pathlib.Path) -> None:
    """Makes the folder in one step, in place of a damaged one."""
    unfinished = pathlib.Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    try:
        _compiled(unfinished)
        _sealed_folder.seal(unfinished, {})
        _sealed_folder.remove(folder)
        unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _require_own(folder: pathlib.Path) -> None:
    """An OSError unless a folder is this user's, and no other user can change it."""
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} is no folder of this user.")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"Others may write to {folder}.")


def _compiled(folder: pathlib.Path) -> pathlib.Path:
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise NoLibraryError("Expected gcc, found no C compiler.")
    path = folder / _LIBRARY
    ended = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", path, _SOURCE, "-ldl"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if ended.returncode:
        line = ended.stderr.strip().split("\n")[-1]
        raise NoLibraryError(
            f"Expected {compiler} to compile {_SOURCE.name}, found: {line}"
        )
    return path


def _loadable(path: pathlib.Path) -> pathlib.Path:
    """The path; an OSError if the system does not load it, as the worker would not.

    The program's own `bind` stays what it is: only what is preloaded takes its place.
    """
    ctypes.CDLL(os.fspath(path))
    return path
