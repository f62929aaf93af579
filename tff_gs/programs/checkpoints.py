"""Program states on disk: whole or not there, and any damage is noticed."""

import errno
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import _files, _sealed_folder

# Where a state is written, until it is whole and has its name.
UNFINISHED = ".unfinished"


class CheckpointManager(tff.program.ProgramStateManager[Any]):
    """A `tff.program.FileProgramStateManager` whose states can be trusted.

    It reads and writes TFF's own form, and adds what a program needs that is killed,
    that runs on a disk which fills up, or whose files are damaged:

    * A state has its name when all of it is on the disk itself; earlier ones are
      removed after that.
    * A state is read only if every bit of it is as it was written.
    * What an earlier program left unfinished is removed at the start.

    >>> import asyncio, numpy as np
    >>> manager = CheckpointManager("saved", keep_total=1)
    >>> for version in (1, 2):
    ...     asyncio.run(manager.save({"k": np.int32(10 * version)}, version))
    >>> asyncio.run(manager.get_versions())
    [2]
    >>> asyncio.run(manager.load(2, {"k": np.int32(0)}))
    {'k': 20}
    """

    def __init__(
        self,
        root_dir: str | os.PathLike[str],
        *,
        prefix: str = "program_state_",
        keep_total: int = 2,
        notes: Mapping[str, Any] | None = None,
    ):
        """Makes the directory if it is missing.

        Args:
          root_dir: Where the states go; no other program uses it at the same time.
          prefix: What the name of a state begins with; the version follows.
          keep_total: How many states are kept, the latest ones; at least 1.
          notes: What JSON can hold, kept with every state; see `sealed_folder`.
        """
        if keep_total < 1:
            raise ValueError(f"Expected keep_total of at least 1, found {keep_total}.")
        self._root = pathlib.Path(root_dir)
        self._prefix = prefix
        self._keep_total = keep_total
        self._notes = dict(notes or {})
        self._files = tff.program.FileProgramStateManager(
            self._root, prefix=prefix, keep_total=0
        )
        doomed = self._root.glob(_sealed_folder.doomed_name("*"))
        for path in (self._root / UNFINISHED, *doomed):
            shutil.rmtree(path, ignore_errors=True)

    @override
    async def get_versions(self) -> list[int] | None:
        return await self._files.get_versions()

    @override
    async def load(self, version: int, structure: Any) -> Any:
        """Reads the state that was saved with this version.

        Raises:
          BrokenSealError: If the state is not as it was written.
        """
        _sealed_folder.check(self._path(version))
        return await self._files.load(version, structure)

    @override
    async def remove_all(self) -> None:
        for version in await self.get_versions() or ():
            _sealed_folder.remove(self._path(version))

    def remove_after(self, version: int) -> None:
        """Removes the states of later versions, from which no program can go on."""
        for path in self._root.glob(f"{self._prefix}*"):
            number = path.name.removeprefix(self._prefix)
            if number.isdigit() and int(number) > version:
                _sealed_folder.remove(path)

    @override
    async def save(self, program_state: Any, version: int) -> None:
        """Saves a state; see the class for which are kept.

        Raises:
          OSError: If the disk is full or fails; earlier states are as they were.
        """
        if self._path(version).exists():
            raise tff.program.ProgramStateExistsError(
                version=version, path=os.fspath(self._root)
            )
        unfinished = self._root / UNFINISHED
        try:
            await _write(program_state, unfinished, self._prefix, version)
            written = unfinished / self._path(version).name
            _sealed_folder.seal(written, self._notes)
            written.rename(self._path(version))
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        _files.sync(self._root)
        for earlier in (await self.get_versions() or ())[: -self._keep_total]:
            _sealed_folder.remove(self._path(earlier))

    def _path(self, version: int) -> pathlib.Path:
        return self._root / f"{self._prefix}{version}"


async def _write(
    program_state: Any, folder: pathlib.Path, prefix: str, version: int
) -> None:
    """Has TFF write the state into a folder; its errors become one of the system."""
    try:
        folder.mkdir()
        manager = tff.program.FileProgramStateManager(folder, prefix=prefix)
        await manager.save(program_state, version)
    except tf.errors.OpError as error:
        # TensorFlow tells what the system said in words only.
        number = errno.ENOSPC if _is_full(error) else errno.EIO
        reason = os.strerror(number)
        raise OSError(number, reason, os.fspath(folder.parent)) from error


def _is_full(error: tf.errors.OpError) -> bool:
    told = isinstance(error, tf.errors.ResourceExhaustedError)
    return told or os.strerror(errno.ENOSPC) in str(error)
