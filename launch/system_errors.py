"""What the operating system refuses, in one sentence."""

import os
import pathlib
from collections.abc import Mapping

_BEGINNING = "Expected files that can be read and written, found "
# What a `tff_gs.runtime.SpoolError` says.
_OF_SPOOL = ("Expected room for clients' values in", "Expected a temporary directory")


def sentence(error: OSError, paths: Mapping[str, str]) -> str:
    """Names the file, what is wrong with it, and the flag that leads to it.

    Args:
      error: What was raised.
      paths: The program's flags that take a path, by name.
    """
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return f"{_BEGINNING}one for which the system says: {reason}."
    file = os.fsdecode(error.filename)
    flag = _flag(file, paths)
    return f"{_BEGINNING}{file}: {reason}{flag}."


def is_sentence(line: str) -> bool:
    """Whether a program has ended for what the system refused, by its last line."""
    return line.startswith((_BEGINNING, *_OF_SPOOL))


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
