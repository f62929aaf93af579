"""Modules that register parts of one's own, named by --plugins or installed."""

import contextlib
import functools
import importlib
import itertools
import os
import pathlib
import re
import sys
import traceback
import types
import zlib
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata

from absl import flags

from launch import run_directory

#: The group of entry points by which an installed package names its modules.
GROUP = "tff_gs.plugins"

_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_OURS = ("launch", "tasks", "tff_gs")


def load(names: Iterable[str]) -> None:
    """Imports modules, once; they are in the current directory or on Python's path.

    The current directory comes last, so that nothing in it stands in for a package.

    Args:
      names: Their names, such as "my_module" or "package.module".

    Raises:
      ValueError: In one sentence, if there is no such module, or it raises an error.
    """
    for name in names:
        path = pathlib.PurePath(name)
        is_file = path.suffix == ".py" or len(path.parts) > 1
        if is_file or not _NAME.fullmatch(name) or name.partition(".")[0] in _OURS:
            module = ".".join(path.with_suffix("").parts)
            meant = f": did you mean --plugins={module}?" if is_file else "."
            raise ValueError(
                "Expected --plugins as names of modules of your own with commas "
                f"between, such as my_module, found {name!r}{meant}"
            )
        here = os.getcwd()
        if here not in sys.path:
            sys.path.append(here)
        _import(name, f"--plugins={name}")


def named_by(argv: Sequence[str]) -> list[str]:
    """The plugins that flags name, before flags are parsed.

    Those in flagfiles, and of a run that is resumed, are among them.

    Args:
      argv: Flags, also those of other programs.
    """
    words = list(argv)
    # What is wrong with a file is said when it is read for good.
    with contextlib.suppress(flags.Error):
        words = flags.FLAGS.read_flags_from_files(words, force_gnu=True)
    directory = _last(words, "resume")
    if directory is not None:
        recorded = run_directory.RunDirectory(directory).flags
        with contextlib.suppress(OSError, UnicodeDecodeError):
            words += recorded.read_text(encoding="utf-8").splitlines()
    named = _last(words, "plugins")
    return [name.strip() for name in named.split(",")] if named else []


def _last(words: Sequence[str], flag: str) -> str | None:
    """The last value of a flag."""
    found = None
    for word, following in itertools.zip_longest(words, words[1:]):
        name, equals, value = word.partition("=")
        if name in (f"--{flag}", f"-{flag}"):
            found = value if equals else following
    return found


@functools.cache
def load_installed() -> None:
    """Imports the modules of installed packages that have entry points in `GROUP`.

    Raises:
      ValueError: As `load` does; it names the package.
    """
    for entry in metadata.entry_points(group=GROUP):
        package = entry.dist.name if entry.dist else entry.name
        _import(entry.module, f"the plugin {entry.name} of the package {package}")


def checksums(names: Iterable[str]) -> dict[str, str]:
    """What tells by their sources whether modules that were loaded have changed."""
    return {name: f"{_checksum(sys.modules[name]):08x}" for name in names}


def require_unchanged(saved: Mapping[str, str], made: str, otherwise: str) -> None:
    """Raises ValueError if a plugin has changed since.

    Args:
      saved: `checksums` from then.
      made: What was made with it, such as "the run in DIR was made".
      otherwise: What to do if it has changed.
    """
    now = checksums(saved)
    for name, checksum in saved.items():
        if now[name] != checksum:
            raise ValueError(
                f"Expected the plugin {name} as it was when {made}, found that it has "
                f"changed: {otherwise}."
            )


def _import(name: str, shown: str) -> types.ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name
        if missing and f"{name}.".startswith(f"{missing}."):
            raise ValueError(
                f"Expected for {shown} a module {missing} in {os.getcwd()} or on "
                "Python's path (PYTHONPATH), found none."
            ) from None
        said = str(error).strip().splitlines()
        text = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
        raise ValueError(
            f"Expected for {shown} a module that can be imported, found"
            f"{_place(error, name)} {text.rstrip('.')}."
        ) from error


def _place(error: BaseException, name: str) -> str:
    """Where in the module an error comes from, if it is known."""
    if isinstance(error, SyntaxError):
        return f" in {error.filename}, line {error.lineno},"
    stem = name.rpartition(".")[2]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = pathlib.Path(frame.filename)
        if stem in (path.stem, path.parent.name):
            return f" in {path}, line {frame.lineno},"
    return ""


def _checksum(module: types.ModuleType) -> int:
    file = pathlib.Path(module.__file__ or "")
    files = sorted(file.parent.rglob("*.py")) if hasattr(module, "__path__") else [file]
    found = 0
    for path in files:
        if path.is_file():
            found = zlib.crc32(path.read_bytes(), found)
    return found
