"""The process over client ids, for TFF's own drivers of learning processes.

    process = learning.build_sparsified_fed_sgd(
        model, participation=learning.PartialParticipation()
    )
    with runtime.execution_context(), runtime.MemoryStore() as store:
        tff.simulation.run_training_process(
            programs.ClientIdProcess(process, client_data, store),
            training_selection_fn=functools.partial(
                tff.simulation.build_uniform_sampling_fn(client_data.client_ids),
                size=10,
            ),
            total_rounds=100,
        )

trains the model for 100 rounds of 10 clients of a `tff.simulation.datasets.ClientData`.
"""

import collections
import contextlib
import zlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_federated as tff
from absl import logging

from tff_gs import _client_values, learning, runtime
from tff_gs.learning import sparsified_process


class _Undo(NamedTuple):
    """What takes the store back to where it was before the last round."""

    marks: frozenset[int]  # of the server states that it belonged to
    clients: list[int]
    states: Any


class ClientIdProcess:
    """A process whose clients are ids: what they have is kept in a store.

    It has the interface of `tff.learning.templates.LearningProcess`, so
    `tff.simulation.run_training_process` and `tff.learning.programs.train_model` can
    drive it. It is no instance of that class, which takes `tff.Computation`s only: a
    round reads clients' states from the store and writes them back, which no
    computation can do.

    The state that drivers hold, save and load is the server's, a `ServerState`. The
    store belongs to one sequence of such states:

    * If a driver discards a round and repeats it, the store goes back too.
    * If it goes on from any other state, such as one that an earlier program saved,
      clients begin again: each receives the dense model when it takes part, and its
      residual is lost. Metrics count it, and there is a warning. A program that goes on
      with the same numbers to the bit is `tff_gs.programs.train_model`.

    Attributes:
      client_ids: The ids of all clients; the metrics call a client by its place there.
    """

    def __init__(
        self,
        process: sparsified_process.SparsifiedProcess,
        data: Mapping[Any, Any] | tff.simulation.datasets.ClientData,
        store: runtime.ClientStore,
        *,
        context: tff.framework.SyncContext | None = None,
    ) -> None:
        """Begins without client states.

        Args:
          process: Built with `participation`, unless all clients take part in every
            round.
          data: From each client's id to its examples, as of
            `tff_gs.learning.check_data`; or TFF's clients, whose examples are read for
            every round again.
          store: Where clients' states are between their rounds.
          context: Where rounds run, such as what `tff_gs.runtime.execution_context`
            gives; None: in the context that is installed then. Needed in a
            `tff.program.FederatedContext`, as of `tff.learning.programs.train_model`,
            whose calls return references.

        Raises:
          ValueError: If `data` are neither, or of no client.
        """
        if not isinstance(data, Mapping | tff.simulation.datasets.ClientData):
            raise ValueError(
                "Expected a mapping from clients' ids to their data, or a "
                f"tff.simulation.datasets.ClientData, found "
                f"{_client_values.described(data)}."
            )
        ids = data if isinstance(data, Mapping) else data.client_ids
        self.client_ids = list(ids)
        if not self.client_ids:
            raise ValueError("Expected data of at least one client, found none.")
        self._places = {name: place for place, name in enumerate(self.client_ids)}
        self._process, self._data, self._store = process, data, store
        self._context = context
        # The server states that the clients' states in the store belong to.
        self._marks: frozenset[int] = frozenset()
        self._undo: _Undo | None = None

    @property
    def state_type(self) -> tff.Type:
        """The type of the state: a `ServerState` at SERVER."""
        return self._process.initialize.type_signature.result

    def initialize(self) -> learning.ServerState:
        """The server's state before the first round, without clients."""
        with self._installed():
            return self._process.initialize()

    def next(
        self, state: learning.ServerState, client_ids: Sequence[Hashable]
    ) -> tff.learning.templates.LearningProcessOutput:
        """Runs a round.

        Args:
          state: The server's.
          client_ids: Who takes part; distinct.

        Returns:
          The server's state and the metrics of `SparsifiedProcess.next`, with `joined`
          int32, how many clients received the dense model before the round, and
          `joined_bits` int64, the size of all these. They are under `client_work` and
          `train`, the place that TFF's drivers release.

        Raises:
          ValueError: In one sentence, if an id is unknown or there twice, or a client's
            data cannot be used.
        """
        places = self._check(client_ids)
        with self._installed():
            state = self._follow(state)
            kept = self._kept(state, places)
            undo = _Undo(
                self._marks | {_mark(state)},
                kept,
                self._store.read(kept) if kept else [],
            )
            output = runtime.run_round(
                self._process, state, self._store, places, self._examples(places)
            )
        self._undo, self._marks = undo, frozenset([_mark(output.state)])
        metrics = collections.OrderedDict(
            output.metrics,
            joined=np.int32(output.joined),
            joined_bits=np.int64(output.joined_bits),
        )
        return tff.learning.templates.LearningProcessOutput(
            output.state,
            collections.OrderedDict(client_work=collections.OrderedDict(train=metrics)),
        )

    def get_model_weights(
        self, state: learning.ServerState
    ) -> tff.learning.models.ModelWeights:
        """See `SparsifiedProcess.get_model_weights`."""
        return self._process.get_model_weights(state)

    def set_model_weights(
        self, state: learning.ServerState, weights: tff.learning.models.ModelWeights
    ) -> learning.ServerState:
        """See `SparsifiedProcess.set_model_weights`; rounds see to the clients."""
        updated = self._process.set_model_weights(state, weights)
        if _mark(state) in self._marks:
            self._marks |= {_mark(updated)}
        return updated

    def get_hparams(self, state: learning.ServerState) -> Mapping[str, Any]:
        """As of a process of TFF's without any: none."""
        del state
        return collections.OrderedDict()

    def set_hparams(
        self, state: learning.ServerState, hparams: Mapping[str, Any]
    ) -> learning.ServerState:
        """As of a process of TFF's without any: the state as it is."""
        del hparams
        return state

    def _check(self, client_ids: Sequence[Hashable]) -> list[int]:
        names = _client_values.as_list(client_ids, "distinct ids of clients")
        unknown = [name for name in names if name not in self._places]
        if unknown:
            raise ValueError(
                f"Expected ids of the {len(self._places)} clients that there are data "
                f"of, found {unknown[0]!r}."
            )
        name, count = collections.Counter(names).most_common(1)[0]
        if count > 1:
            raise ValueError(f"Expected distinct ids of clients, found {name!r} twice.")
        return [self._places[name] for name in names]

    def _examples(self, places: Sequence[int]) -> list[Any]:
        """Their data, checked here: the sentences then have the clients' own ids."""
        names = [self.client_ids[place] for place in places]
        if isinstance(self._data, Mapping):
            data = [self._data[name] for name in names]
        else:
            data = learning.clients_from_client_data(self._data, names).data
        data_type = self._process.next.type_signature.parameter.data
        return learning.check_data(data, data_type, clients=names)

    def _follow(self, state: learning.ServerState) -> learning.ServerState:
        """Takes the store to where the state is; otherwise no client has the model."""
        mark = _mark(state)
        if not np.size(state.client_ids) or mark in self._marks:
            return state
        if self._undo is not None and mark in self._undo.marks:
            if self._undo.clients:
                self._store.write(self._undo.clients, self._undo.states)
            self._marks, self._undo = self._undo.marks, None
            return state
        logging.warning(
            "The clients' states are not of the state of round %d: all clients begin "
            "again, each with the dense model.",
            state.round,
        )
        return state._replace(client_ids=np.zeros(0, np.int32))

    def _kept(self, state: learning.ServerState, places: Sequence[int]) -> list[int]:
        """Those of the clients whose states in the store the round begins with."""
        known = set(np.asarray(state.client_ids).tolist())
        known &= set(self._store.client_ids.tolist())
        return [place for place in places if place in known]

    def _installed(self) -> contextlib.AbstractContextManager[Any]:
        stack = tff.framework.get_context_stack()
        if self._context is not None:
            return stack.install(self._context)
        if isinstance(stack.current, tff.program.FederatedContext):
            raise ValueError(
                "Expected context=, an execution context that rounds run in, since a "
                "tff.program.FederatedContext is installed, found None."
            )
        return contextlib.nullcontext()


def _mark(state: learning.ServerState) -> int:
    """What tells one server state from another, also when it was saved and loaded."""
    mark = int(state.round)
    for leaf in (state.weights, state.client_ids):
        mark = zlib.crc32(np.ascontiguousarray(leaf).data, mark)
    return mark
