"""All clients of a run: their data, and their states from round to round."""

import abc
import collections
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import learning, runtime
from tff_gs.learning import sparsified_process
from tff_gs.runtime import snapshots, worker_errors


class Population(abc.ABC):
    """The clients of a run, and who of them takes part in a round.

    Attributes:
      process: What a round computes.
    """

    def __init__(self, process: sparsified_process.SparsifiedProcess):
        """Begins without client states: `initialize` or `restore` makes them."""
        self.process = process

    @abc.abstractmethod
    def __len__(self) -> int:
        """N, the number of clients."""

    @abc.abstractmethod
    def initialize(
        self, state: sparsified_process.ServerState
    ) -> tuple[sparsified_process.ServerState, int]:
        """Begins with the first round.

        Args:
          state: The server's.

        Returns:
          The server's state, which knows the clients that have received the dense
          model before that round, and the bits of it for each.
        """

    @abc.abstractmethod
    def next(self, state: sparsified_process.ServerState) -> tuple[Any, Any, Any]:
        """Runs a round.

        If it raises an error, the clients' states are those from before it.

        Returns:
          The server's state, the metrics and the timing, as in `RoundOutput`.
        """

    @abc.abstractmethod
    def client_states(self) -> Any:
        """What `restore` needs to go on from here: a structure of arrays [N, ...]."""

    @abc.abstractmethod
    def client_states_spec(self) -> Any:
        """Arrays of the structure, shapes and dtypes of `client_states`."""

    @abc.abstractmethod
    def restore(self, states: Any) -> None:
        """Goes on from what `client_states` has returned.

        Raises:
          ValueError: In one sentence, if that is not possible; nothing is changed
            then.
        """

    @abc.abstractmethod
    def client_states_saved(self) -> None:
        """Called when what `client_states` returned last is saved.

        Of what it returned before, only what was saved last is still needed.
        """


class WholePopulation(Population):
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
          data: For each client all its examples, as of `tff_gs.learning.check_data`.
          context: The resident context that the process runs in; None: it runs in
            another one, and clients' values travel through Python.

        Raises:
          ValueError: In one sentence, if a client's data cannot be used.
        """
        super().__init__(process)
        parameter = process.next.type_signature.parameter
        checked = learning.check_data(data, parameter.data)
        self._count = len(checked)
        self._context = context
        self._clients_type = parameter.clients
        self._data = self._place(checked, parameter.data)
        self._clients: Any = None

    def __len__(self) -> int:
        return self._count

    @override
    def initialize(
        self, state: sparsified_process.ServerState
    ) -> tuple[sparsified_process.ServerState, int]:
        state, self._clients, bits = self.process.initialize_clients(
            state, list(range(self._count))
        )
        return state, int(bits)

    @override
    def next(self, state: sparsified_process.ServerState) -> tuple[Any, Any, Any]:
        with worker_errors.readable():
            output = self.process.next(state, self._clients, self._data)
        self._clients = output.clients
        return output.state, output.metrics, output.timing

    @override
    def client_states(self) -> sparsified_process.Clients:
        """The states of all clients."""
        clients = self._clients
        if isinstance(clients, runtime.ResidentValue):
            clients = clients.fetch()
        return tf.nest.map_structure(lambda *values: np.stack(values), *clients)

    @override
    def client_states_spec(self) -> sparsified_process.Clients:
        """They take no memory."""
        return snapshots.zeros(self._clients_type.member, self._count)

    @override
    def restore(self, states: sparsified_process.Clients) -> None:
        clients = [snapshots.state_of(client, states) for client in range(self._count)]
        self._clients = self._place(clients, self._clients_type)

    @override
    def client_states_saved(self) -> None:
        """Nothing is to be done."""

    def _place(self, values: list[Any], type_signature: tff.Type) -> Any:
        if self._context is None:
            return values
        return self._context.place(values, type_signature)


class CohortPopulation(Population):
    """The clients of a run, of which a cohort takes part in a round.

    A client receives the dense model when it takes part for the first time, and what
    it missed when it comes back. The metrics of a round say it of each:

    * `joined` int32, how many clients took part for the first time, and `joined_bits`
      int64, what they received before, all together;
    * those of `tff_gs.learning.PartialParticipation`, of clients that came back.
    """

    def __init__(
        self,
        process: sparsified_process.SparsifiedProcess,
        data: Sequence[Any],
        *,
        cohort: Callable[[int], Sequence[int]],
        store: runtime.ClientStore,
    ):
        """Begins with the clients that the store knows.

        Args:
          process: What a round computes; built with `participation`.
          data: For each client all its examples, as of `tff_gs.learning.check_data`.
          cohort: From a round's number, from 0 on, to the ids of who takes part; such
            as `tff_gs.runtime.build_cohort_fn` returns. A client's id is its place
            in `data`.
          store: Where clients' states are between their rounds.

        Raises:
          ValueError: In one sentence, if a client's data cannot be used.
        """
        super().__init__(process)
        self._data = learning.check_data(
            data, process.next.type_signature.parameter.data
        )
        self._cohort = cohort
        self._store = store
        self._state_type = process.next.type_signature.parameter.clients.member

    def __len__(self) -> int:
        return len(self._data)

    @override
    def initialize(
        self, state: sparsified_process.ServerState
    ) -> tuple[sparsified_process.ServerState, int]:
        """None, each client receives it in its own first round."""
        return state, 0

    @override
    def next(self, state: sparsified_process.ServerState) -> tuple[Any, Any, Any]:
        ids = learning.check_client_ids(self._cohort(int(state.round)))
        if max(ids) >= len(self):
            raise ValueError(
                f"Expected a cohort of ids below {len(self)}, the number of clients, "
                f"found {max(ids)}."
            )
        output = runtime.run_round(
            self.process,
            state,
            self._store,
            ids,
            [self._data[client] for client in ids],
        )
        metrics = collections.OrderedDict(
            output.metrics,
            joined=np.int32(output.joined),
            joined_bits=np.int64(output.joined_bits),
        )
        return output.state, metrics, output.timing

    @override
    def client_states(self) -> Any:
        """A snapshot of the store."""
        return self._store.snapshot(self._state_type, len(self))

    @override
    def client_states_spec(self) -> Any:
        return self._store.snapshot_spec(self._state_type, len(self))

    @override
    def restore(self, states: Any) -> None:
        self._store.restore(self._state_type, states)

    @override
    def client_states_saved(self) -> None:
        self._store.forget_earlier_snapshots()
