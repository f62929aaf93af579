"""Where clients' states are kept between the rounds that they take part in."""

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs.learning import client_data
from tff_gs.runtime import resident, snapshots


class ClientStore(abc.ABC):
    """Clients' states by client id; a context manager.

    A state is what `SparsifiedProcess.next` takes and gives for one client, and those
    of several clients are in the order of their ids. Only the states that are asked for
    are read or written.

    A snapshot is what a checkpoint keeps of the store: arrays [N, ...] in a structure
    that follows from the type of a state and the number N of all clients, whose ids
    are below N. It may be a copy of the states, or say where the store keeps them.
    """

    @property
    @abc.abstractmethod
    def client_ids(self) -> np.ndarray:
        """The ids, ascending int64 [n], of the clients whose state is kept."""

    @abc.abstractmethod
    def read(self, client_ids: Sequence[int]) -> Any:
        """The states of some clients, as an argument for `next`.

        Args:
          client_ids: Distinct ids.

        Raises:
          ValueError: If the state of one of them is not kept.
        """

    @abc.abstractmethod
    def write(self, client_ids: Sequence[int], states: Any) -> None:
        """Keeps the states of some clients, in the place of their earlier ones.

        Args:
          client_ids: Distinct ids, not negative.
          states: One state for each, in a list or as a `ResidentValue`.

        Raises:
          ValueError: If there is not one state for each id.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Ends the use of the store, with all that was written where it belongs."""

    def snapshot(self, state_type: tff.Type, clients: int) -> Any:
        """What `restore` needs to come back to the states as they are now.

        What is written later leaves it as it is.

        Args:
          state_type: The type of one client's state.
          clients: N.
        """
        ids = self.client_ids.tolist()
        states = as_list(ids, self.read(ids)) if ids else []
        return snapshots.collect(
            state_type, clients, dict(zip(ids, states, strict=True))
        )

    def snapshot_spec(self, state_type: tff.Type, clients: int) -> Any:
        """Arrays of the structure, shapes and dtypes of `snapshot`, all zeros."""
        return snapshots.Snapshot(
            np.zeros(clients, bool), snapshots.zeros(state_type, clients)
        )

    def restore(self, state_type: tff.Type, snapshot: Any) -> None:
        """Comes back to the states of a snapshot, in a store without others.

        Args:
          state_type: The type of one client's state.
          snapshot: What `snapshot` returned, of this store or of an earlier program's.

        Raises:
          ValueError: In one sentence, if the states are not there any more; nothing
            is changed then.
        """
        del state_type  # Of use to stores that place values.
        states = snapshots.take_apart(snapshot)
        self.write(list(states), list(states.values()))

    # Nothing is to be done if snapshots are copies.
    def forget_earlier_snapshots(self) -> None:  # noqa: B027
        """Called when the last snapshot is saved.

        Only it, and the last one that was saved before it, are restored again.
        """

    def __enter__(self) -> "ClientStore":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class MemoryStore(ClientStore):
    """States as NumPy arrays in the memory of the program.

    >>> store = MemoryStore()
    >>> store.write([3, 1], [np.float32(0.3), np.float32(0.1)])
    >>> store.client_ids
    array([1, 3])
    >>> store.read([1])
    [array(0.1, dtype=float32)]
    """

    def __init__(self) -> None:
        """Starts without clients."""
        self._states: dict[int, Any] = {}

    @property
    @override
    def client_ids(self) -> np.ndarray:
        return np.array(sorted(self._states), np.int64)

    @override
    def read(self, client_ids: Sequence[int]) -> list[Any]:
        """The arrays can only be read."""
        require_known(client_ids, self._states)
        return [self._states[int(client)] for client in client_ids]

    @override
    def write(self, client_ids: Sequence[int], states: Any) -> None:
        states = as_list(client_ids, states)
        for client, state in zip(client_ids, states, strict=True):
            self._states[int(client)] = tf.nest.map_structure(_own, state)

    @override
    def close(self) -> None:
        """Drops the states."""
        self._states.clear()


def as_list(client_ids: Sequence[int], states: Any) -> list[Any]:
    """The states as a list in Python, checked against the ids.

    Raises:
      ValueError: If the ids are not distinct and not negative, or there is not one
        state for each.
    """
    require_one_each(client_ids, states)
    if isinstance(states, resident.ResidentValue):
        return states.fetch()
    return states


def require_one_each(client_ids: Sequence[int], states: Any) -> None:
    """Raises ValueError unless the ids are distinct, with a state for each."""
    require_distinct(client_ids)
    if len(states) != len(client_ids):
        raise ValueError(
            f"Expected a state for each of {len(client_ids)} clients, found "
            f"{len(states)}."
        )


def require_distinct(client_ids: Sequence[int]) -> None:
    """Raises ValueError unless the ids are distinct, int32 and not negative."""
    if len(client_ids):
        client_data.check_client_ids(client_ids)


def require_known(client_ids: Sequence[int], known: Any) -> None:
    """Raises ValueError unless all distinct `client_ids` are in `known`."""
    require_distinct(client_ids)
    unknown = [int(client) for client in client_ids if int(client) not in known]
    if unknown:
        raise ValueError(
            f"Expected clients among the {len(known)} whose state is kept, found "
            f"{unknown}."
        )


def _own(leaf: Any) -> np.ndarray:
    array = np.array(leaf)
    array.setflags(write=False)
    return array
