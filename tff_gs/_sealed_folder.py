"""Folders whose files are on the disk itself, and of which any change is noticed.

`seal` writes a file that has the size and checksum of every other one, and notes of the
caller. Nothing here needs TensorFlow.
"""

import errno
import hashlib
import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from tff_gs import _files

SEAL = "seal.json"

_FORMAT = 1
# What the system says of files that are gone or on a bad disk, or were replaced.
_DAMAGE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EIO)


class BrokenSealError(ValueError):
    """A folder is not as it was sealed; says in one sentence what is not."""


class OtherFormatError(BrokenSealError):
    """A folder is sealed in another way than this version of tff_gs does."""


def seal(folder: pathlib.Path, notes: Mapping[str, Any]) -> None:
    """Seals a folder; all that is in it is on the disk when this returns.

    Args:
      folder: What is in it stays as it is from now on.
      notes: What JSON can hold; `read_notes` returns it.

    Raises:
      OSError: If the disk is full or fails.
    """
    content = {"format": _FORMAT, "files": _describe(folder), "notes": dict(notes)}
    text = json.dumps(content, sort_keys=True)
    path = folder / SEAL
    path.write_text(f"{_digest(text.encode())}\n{text}\n", encoding="utf-8")
    for parent, _, files in os.walk(folder):
        for name in files:
            _files.sync(pathlib.Path(parent, name))
        _files.sync(pathlib.Path(parent))


def read_notes(folder: pathlib.Path) -> dict[str, Any]:
    """The notes of a folder; its files are not looked at.

    Raises:
      BrokenSealError: If there is no seal, or it is damaged.
      OSError: If the system does not let it be read, which is no damage.
    """
    return _read(folder)["notes"]


def check(folder: pathlib.Path) -> None:
    """Looks at every bit of a folder.

    Raises:
      BrokenSealError: If not all files are as they were sealed.
      OSError: If the system does not let them be read, which is no damage.
    """
    sealed = _read(folder)["files"]
    try:
        found = _describe(folder)
    except OSError as error:
        if error.errno not in _DAMAGE:
            raise
        raise BrokenSealError(
            f"Expected the files of {folder}, found {error.filename}: {error.strerror}."
        ) from error
    for name in sorted({*sealed, *found}):
        if sealed.get(name) != found.get(name):
            raise BrokenSealError(
                f"Expected the files of {folder} as they were written, found {name} "
                f"{'missing' if name not in found else 'changed'}."
            )


def remove(folder: pathlib.Path) -> None:
    """Removes a folder with all that is in it; nothing if there is none.

    Its name is gone first: no part of it is ever taken for a whole folder.
    """
    doomed = folder.with_name(doomed_name(folder.name))
    shutil.rmtree(doomed, ignore_errors=True)
    if folder.exists():
        folder.rename(doomed)
        shutil.rmtree(doomed)


def doomed_name(name: str) -> str:
    """What the folder of that name is called while `remove` removes it."""
    return f".{name}.removed"


def _read(folder: pathlib.Path) -> dict[str, Any]:
    path = folder / SEAL
    try:
        digest, _, text = path.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError) as error:
        if isinstance(error, OSError) and error.errno not in _DAMAGE:
            raise
        raise BrokenSealError(
            f"Expected a {SEAL} that can be read in {folder}, found none: the folder "
            "is damaged, or of another version of tff_gs."
        ) from error
    text = text.removesuffix("\n")
    if digest != _digest(text.encode()):
        raise BrokenSealError(f"Expected {path} as it was written, found it changed.")
    content = json.loads(text)
    if content["format"] != _FORMAT:
        raise OtherFormatError(
            f"Expected {path} of format {_FORMAT}, found format {content['format']}, "
            "of another version of tff_gs."
        )
    return content


def _describe(folder: pathlib.Path) -> dict[str, str]:
    """Of every file but the seal its checksum, by its path within the folder."""
    found = {}
    for parent, _, files in os.walk(folder, onerror=_raise):
        for name in files:
            path = pathlib.Path(parent, name)
            if path != folder / SEAL:
                with path.open("rb") as file:
                    digest = hashlib.file_digest(file, _hash)
                found[str(path.relative_to(folder))] = digest.hexdigest()
    return found


def _raise(error: OSError) -> None:
    raise error


def _hash() -> Any:
    return hashlib.blake2b(digest_size=16)


def _digest(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()
