"""Release managers that a resumed program takes back to where it goes on from."""

import abc
from typing import Any, Protocol

import tensorflow_federated as tff
from typing_extensions import override


class ResumableReleaseManager(tff.program.ReleaseManager[Any, int]):
    """A `tff.program.ReleaseManager` whose state is part of the program state.

    A program that is killed may have released more rounds than its last program
    state knows of; they are released again when it is resumed. What TFF's own
    managers wrote of them stays where it is; this one takes it back.
    """

    @abc.abstractmethod
    def state(self) -> Any:
        """What `rewind` needs: NumPy values in a structure that never changes."""

    @abc.abstractmethod
    async def rewind(self, state: Any, key: int) -> None:
        """Takes back all that was released after `key`.

        Called before the first release, if at all.

        Args:
          state: What `state` returned when `key` was the last key released.
          key: The round.

        Raises:
          ValueError: In one sentence, if that is not possible; nothing is changed
            then.
        """


class Record(Protocol):
    """What can be a release manager, but needs no TFF to be defined."""

    async def record(self, value: Any, key: int) -> None:
        """See `tff.program.ReleaseManager.release`."""

    def state(self) -> Any:
        """See `ResumableReleaseManager`."""

    async def rewind(self, state: Any, key: int) -> None:
        """See `ResumableReleaseManager`."""


class RecordReleaseManager(ResumableReleaseManager):
    """Releases to a `Record`."""

    def __init__(self, record: Record):
        """Releases to `record`."""
        self._record = record

    @override
    async def release(self, value: Any, key: int) -> None:
        await self._record.record(value, key)

    @override
    def state(self) -> Any:
        return self._record.state()

    @override
    async def rewind(self, state: Any, key: int) -> None:
        await self._record.rewind(state, key)
