"""All clients of a run: their data, and their states from round to round."""

import collections
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow_federated as tff

from tff_gs import learning, runtime
from tff_gs.learning import sparsified_process


class Population:
    """The clients of a run, and who of them takes part in a round.

    Either all of them do, in every round. They receive the dense model before the
    first one; in a resident context, data and states stay in the worker.

    Or each round has a cohort. A client receives the dense model when it takes part for
    the first time, and what it missed when it comes back. The metrics of a round say
    it of each:

    * `joined` int32, how many clients took part for the first time, and `joined_bits`
      int64, what they received before, all together;
    * those of `tff_gs.learning.PartialParticipation`, of clients that came back.

    Attributes:
      process: What a round computes.
    """

    def __init__(
        self,
        process: sparsified_process.SparsifiedProcess,
        data: Sequence[Any],
        *,
        cohort: Callable[[int], Sequence[int]] | None = None,
        store: runtime.ClientStore | None = None,
    ):
        """Begins with the clients that the store knows.

        Args:
          process: What a round computes; built with `participation` if there are
            cohorts.
          data: For each client all its examples, as of `tff_gs.learning.check_data`. A
            client's id is its place here.
          cohort: From a round's number, from 0 on, to the ids of who takes part; such
            as `tff_gs.runtime.build_cohort_fn` returns. None: everybody.
          store: Where clients' states are between their rounds; None: in the worker if
            everybody takes part and a resident context is in use, else in memory.

        Raises:
          ValueError: In one sentence, if a client's data cannot be used.
        """
        self.process = process
        parameter = process.next.type_signature.parameter
        self._data: Any = learning.check_data(data, parameter.data)
        self._count = len(self._data)
        self._cohort = cohort
        self._state_type = parameter.clients.member
        context = tff.framework.get_context_stack().current
        stays = cohort is None and isinstance(context, runtime.ResidentContext)
        if stays:
            self._data = context.place(self._data, parameter.data)
        if store is None:
            store = runtime.ResidentStore() if stays else runtime.MemoryStore()
        self._store = store

    def __len__(self) -> int:
        """N, the number of clients."""
        return self._count

    def initialize(
        self, state: sparsified_process.ServerState
    ) -> tuple[sparsified_process.ServerState, int]:
        """Begins with the first round.

        Args:
          state: The server's.

        Returns:
          The server's state, which knows the clients that have received the dense
          model before that round, and the bits of it for each; 0 if there are cohorts,
          because each client then receives it in its own first round.
        """
        if self._cohort is not None:
            return state, 0
        ids = list(range(self._count))
        state, clients, bits = self.process.initialize_clients(state, ids)
        self._store.write(ids, clients)
        return state, int(bits)

    def next(self, state: sparsified_process.ServerState) -> tuple[Any, Any, Any]:
        """Runs a round.

        If it raises an error, the clients' states are those from before it.

        Returns:
          The server's state, the metrics and the timing, as in `RoundOutput`.
        """
        if self._cohort is None:
            output = self._run(state, list(range(self._count)), self._data)
            return output.state, output.metrics, output.timing
        ids = learning.check_client_ids(self._cohort(int(state.round)))
        if max(ids) >= self._count:
            raise ValueError(
                f"Expected a cohort of ids below {self._count}, the number of clients, "
                f"found {max(ids)}."
            )
        output = self._run(state, ids, [self._data[client] for client in ids])
        metrics = collections.OrderedDict(
            output.metrics,
            joined=np.int32(output.joined),
            joined_bits=np.int64(output.joined_bits),
        )
        return output.state, metrics, output.timing

    def client_states(self) -> Any:
        """What `restore` needs to go on from here: a snapshot of the store.

        It is a structure of arrays [N, ...].
        """
        return self._store.snapshot(self._state_type, self._count)

    def client_states_spec(self) -> Any:
        """Arrays of the structure, shapes and dtypes of `client_states`."""
        return self._store.snapshot_spec(self._state_type, self._count)

    def restore(self, states: Any) -> None:
        """Goes on from what `client_states` has returned.

        Raises:
          ValueError: In one sentence, if that is not possible; nothing is changed
            then.
        """
        self._store.restore(self._state_type, states)

    def client_states_saved(self) -> None:
        """Called when what `client_states` returned last is saved.

        Of what it returned before, only what was saved last is still needed.
        """
        self._store.forget_earlier_snapshots()

    def _run(
        self, state: sparsified_process.ServerState, ids: Sequence[int], data: Any
    ) -> runtime.CohortOutput:
        return runtime.run_round(self.process, state, self._store, ids, data)
