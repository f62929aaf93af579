"""Clients' states that never leave the worker, if all clients take part."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs.runtime import client_store, resident, snapshots


class ResidentStore(client_store.ClientStore):
    """Keeps the handle of all clients' states, which stay in the worker.

    The fastest store, and the narrowest: TFF's executors cannot take a cohort out of a
    CLIENTS-placed value or put several together, so every round is of the same
    clients, in the same order. Nothing survives the execution context.
    """

    def __init__(self) -> None:
        """Starts without clients."""
        self._ids: list[int] = []
        self._states: Any = None

    @property
    @override
    def client_ids(self) -> np.ndarray:
        return np.array(sorted(self._ids), np.int64)

    @override
    def read(self, client_ids: Sequence[int]) -> resident.ResidentValue:
        """All states, as handles.

        Raises:
          ValueError: As the base class says, and if the ids are not all ids in their
            order.
        """
        client_store.require_known(client_ids, set(self._ids))
        self._require_all(client_ids)
        return self._states

    @override
    def write(self, client_ids: Sequence[int], states: Any) -> None:
        """Keeps the states that a round returned.

        Raises:
          ValueError: As the base class says, and if the ids are not those of the first
            call.
          TypeError: If the states are not in the worker.
        """
        if not isinstance(states, resident.ResidentValue):
            raise TypeError(
                "Expected states that live in an execution context of "
                f"tff_gs.runtime, found {type(states).__name__}."
            )
        client_store.require_one_each(client_ids, states)
        if self._states is not None:
            self._require_all(client_ids)
        self._ids = [int(client) for client in client_ids]
        self._states = states

    @override
    def restore(self, state_type: tff.Type, snapshot: snapshots.Snapshot) -> None:
        """Into the worker of the execution context in use."""
        states = snapshots.take_apart(snapshot)
        context = tff.framework.get_context_stack().current
        placed = context.place(list(states.values()), state_type)
        self.write(list(states), placed)

    @override
    def close(self) -> None:
        """Drops the states."""
        self._ids, self._states = [], None

    def _require_all(self, client_ids: Sequence[int]) -> None:
        if [int(client) for client in client_ids] != self._ids:
            raise ValueError(
                f"Expected a cohort of all {len(self._ids)} clients in their order, "
                f"found {[int(client) for client in client_ids]}: states in the worker "
                "cannot be taken apart; use a store in memory or on disk."
            )
