"""All clients of a run: their data, and their states from round to round."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import runtime
from tff_gs.learning import sparsified_process


class Population:
    """The clients of a run, all of which take part in every round.

    In a resident context data and states stay in the worker; `client_states` copies
    the states out of it, and `restore` puts them back.
    """

    def __init__(
        self,
        process: sparsified_process.SparsifiedProcess,
        data: Sequence[Any],
        *,
        context: runtime.ResidentContext | None = None,
    ):
        """Begins without client states: `initialize` or `restore` makes them.

        Args:
          process: What a round computes.
          data: For each client all its examples, a structure like the model's batch.
          context: The resident context that the process runs in; None: it runs in
            another one, and clients' values travel through Python.
        """
        self.process = process
        self._count = len(data)
        self._context = context
        self._clients_type = process.next.type_signature.parameter.clients
        self._data = self._place(list(data), process.next.type_signature.parameter.data)
        self._clients: Any = None

    def __len__(self) -> int:
        return self._count

    def initialize(self, state: sparsified_process.ServerState) -> int:
        """Begins with clients that have just received the dense model.

        Args:
          state: The server's.

        Returns:
          The bits of that download, for each client.
        """
        self._clients, bits = self.process.initialize_clients(
            state, list(range(self._count))
        )
        return int(bits)

    def next(self, state: sparsified_process.ServerState) -> tuple[Any, Any, Any]:
        """Runs a round.

        Where it raises an error, the clients' states are those from before it.

        Returns:
          The server's state, the metrics and the timing, as in `RoundOutput`.
        """
        output = self.process.next(state, self._clients, self._data)
        self._clients = output.clients
        return output.state, output.metrics, output.timing

    def client_states(self) -> sparsified_process.Clients:
        """The states of all clients: arrays [N, ...] in place of each client's."""
        clients = self._clients
        if isinstance(clients, runtime.ResidentValue):
            clients = clients.fetch()
        return tf.nest.map_structure(lambda *values: np.stack(values), *clients)

    def client_states_spec(self) -> sparsified_process.Clients:
        """Arrays of the structure, shapes and dtypes of `client_states`, all zeros.

        They take no memory.
        """
        member = self._clients_type.member
        return tff.types.type_to_py_container(_zeros(member, self._count), member)

    def restore(self, states: sparsified_process.Clients) -> None:
        """Goes on from what `client_states` has returned."""
        clients = [
            tf.nest.map_structure(lambda values, i=i: values[i], states)
            for i in range(self._count)
        ]
        self._clients = self._place(clients, self._clients_type)

    def _place(self, values: list[Any], type_signature: tff.Type) -> Any:
        if self._context is None:
            return values
        return self._context.place(values, type_signature)


def _zeros(type_signature: tff.Type, count: int) -> Any:
    if isinstance(type_signature, tff.StructType):
        return tff.structure.Struct(
            (name, _zeros(element, count))
            for name, element in tff.structure.iter_elements(type_signature)
        )
    shape = (count, *type_signature.shape)
    return np.broadcast_to(np.zeros((), type_signature.dtype), shape)
