"""Arrays read from slow files, kept in a compact form for the next start."""

import hashlib
import json
import os
import pathlib
import stat
import uuid
import zipfile
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from absl import logging

from tff_gs import _user_cache

Arrays = Mapping[str, np.ndarray]

_FINGERPRINT = "fingerprint"


def load_or_build(
    build: Callable[[], Arrays],
    *,
    name: str,
    version: int,
    data_dir: pathlib.Path,
    sources: Sequence[pathlib.Path],
    cache_dir: str | None = None,
) -> Arrays:
    """Returns the arrays of `build()`, from a cache file if that is valid.

    The cache is an uncompressed .npz file. It is valid while `version` and the
    names, sizes and modification times of the sources stay what they were. It lies
    in `cache_dir` if that is given; else beside the data if that directory is
    writable; else in the user's cache directory ($XDG_CACHE_HOME or ~/.cache). It
    is replaced in one step, so a reader never meets half a file; a damaged one
    is built again.

    Args:
      build: Reads the sources.
      name: Names the cache file.
      version: The version of what `build` returns.
      data_dir: The directory that holds the sources.
      sources: The files that `build` reads.
      cache_dir: A directory for the cache file; made if absent.

    Returns:
      The arrays by name, equal to the bit whether read or built.

    Raises:
      ValueError: `cache_dir` is given and cannot be written.
    """
    fingerprint = _fingerprint(version, data_dir, sources)
    places = _places(name, data_dir, cache_dir)
    for place in places:
        arrays = _read(place, fingerprint)
        if arrays is not None:
            return arrays
    arrays = build()
    for place in places:
        try:
            _write(place, fingerprint, arrays)
        except OSError as error:
            if cache_dir is not None:
                raise ValueError(
                    f"Expected a writable cache_dir, found {cache_dir} ({error})."
                ) from error
            logging.info("No cache at %s: %s", place, error)
        else:
            return arrays
    logging.warning("No cache for %s could be written; it is read again.", data_dir)
    return arrays


def _fingerprint(
    version: int, data_dir: pathlib.Path, sources: Sequence[pathlib.Path]
) -> str:
    files = [
        (str(path.relative_to(data_dir)), path.stat().st_size, path.stat().st_mtime_ns)
        for path in sources
    ]
    text = json.dumps([version, sorted(files)])
    return hashlib.sha256(text.encode()).hexdigest()


def _places(
    name: str, data_dir: pathlib.Path, cache_dir: str | None
) -> list[pathlib.Path]:
    # One directory may hold the caches of several data directories.
    digest = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:16]
    shared = f"{name}-{digest}.npz"
    if cache_dir is not None:
        return [pathlib.Path(cache_dir) / shared]
    own = _user_cache.find()
    return [data_dir / f"{name}.cache.npz", *([own / shared] if own else [])]


def _read(path: pathlib.Path, fingerprint: str) -> Arrays | None:
    try:
        with np.load(path, allow_pickle=False) as archive:
            if archive[_FINGERPRINT].item() != fingerprint:
                return None
            return {key: archive[key] for key in archive.files if key != _FINGERPRINT}
    except FileNotFoundError:
        return None
    # All that NumPy and zipfile raise for bytes that are no sound archive.
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
    ) as error:
        logging.warning("Damaged cache %s is built again: %s", path, error)
        return None


def _write(path: pathlib.Path, fingerprint: str, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # The superuser may write anywhere; a directory that is marked read-only is
    # left alone all the same.
    if not path.parent.stat().st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        raise PermissionError(f"{path.parent} is read-only")
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("xb") as file:
            np.savez(file, **{_FINGERPRINT: np.array(fingerprint)}, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
