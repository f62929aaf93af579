"""Rounds of cohorts: who takes part, and what is fetched and kept for it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_federated as tff

from tff_gs.learning import client_data, sparsified_process
from tff_gs.runtime import client_store, resident, worker_errors


class CohortOutput(NamedTuple):
    """The result of a round.

    Attributes:
      state: The `ServerState` after it.
      metrics: As of `SparsifiedProcess.next`.
      timing: Likewise.
      joined: How many clients took part for the first time.
      joined_bits: The size of the dense models that these received, of all together.
    """

    state: sparsified_process.ServerState
    metrics: Any
    timing: Any
    joined: int
    joined_bits: int


def build_cohort_fn(
    client_ids: Sequence[int], clients_per_round: int, *, seed: int
) -> Callable[[int], list[int]]:
    """The function from a round's number to the ids of its cohort, ascending.

    Cohorts are drawn without replacement by
    `tff.simulation.build_uniform_sampling_fn`, each round on its own.

    >>> cohort = build_cohort_fn(range(100), 3, seed=0)
    >>> cohort(5)
    [11, 17, 69]
    >>> cohort(5) == cohort(5)
    True

    Args:
      client_ids: Whom to draw from.
      clients_per_round: The size of a cohort.
      seed: Fixes the cohorts of all rounds; from 0 to 2**32 - 1.

    Raises:
      ValueError: If there are not enough clients.
    """
    if not 1 <= clients_per_round <= len(client_ids):
        raise ValueError(
            f"Expected from 1 to {len(client_ids)} clients a round, found "
            f"{clients_per_round}."
        )
    sample = tff.simulation.build_uniform_sampling_fn(
        np.asarray(client_ids), replace=False, random_seed=seed
    )

    def cohort(round_number: int) -> list[int]:
        return sorted(sample(int(round_number), clients_per_round))

    return cohort


def run_round(
    process: sparsified_process.SparsifiedProcess,
    state: sparsified_process.ServerState,
    store: client_store.ClientStore,
    client_ids: Sequence[int],
    data: Any,
) -> CohortOutput:
    """Runs a round of the process with a cohort.

    Clients that the store or the server does not know receive the dense model first;
    the states of the cohort, and of nobody else, are read from the store and written
    back. If the round raises an error, the store is as it was before.

    Args:
      process: Built with `participation`, unless all clients take part every time.
      state: The server's.
      store: Where clients' states are.
      client_ids: The cohort; distinct ids.
      data: Its data, in the order of the ids: a list, or placed in the runtime. Data
        that were placed once cannot be recombined into a cohort: those of a cohort
        that changes are given as a list, and move into the worker in every round.
        What a list may hold says `tff_gs.learning.check_data`.

    Raises:
      ValueError: In one sentence, if an id or a client's data cannot be used.
    """
    ids = client_data.check_client_ids(client_ids)
    parameter = process.next.type_signature.parameter
    if not isinstance(data, resident.ResidentValue):
        data = client_data.check_data(data, parameter.data.member, clients=ids)
    state, clients, joined, joined_bits = _states(process, state, store, ids)
    with worker_errors.readable():
        output = process.next(
            state,
            _placed(clients, parameter.clients),
            _placed(data, parameter.data),
        )
    store.write(ids, output.clients)
    return CohortOutput(
        output.state, output.metrics, output.timing, joined, joined_bits
    )


def _states(
    process: sparsified_process.SparsifiedProcess,
    state: sparsified_process.ServerState,
    store: client_store.ClientStore,
    ids: Sequence[int],
) -> tuple[sparsified_process.ServerState, Any, int, int]:
    """The server's state, which knows the cohort, and the cohort's states.

    With how many of them are new, and the bits that these received.
    """
    # The server forgets clients if its model was set: their states are of another one.
    known = set(store.client_ids.tolist()) & set(np.asarray(state.client_ids).tolist())
    new = [place for place, client in enumerate(ids) if client not in known]
    if not new:
        return state, store.read(ids), 0, 0
    # Of all: the worker then needs no executor for another number of clients.
    state, begun, bits = process.initialize_clients(state, list(ids))
    joined_bits = int(bits) * len(new)
    if len(new) == len(ids):
        return state, begun, len(new), joined_bits
    kept = [client for client in ids if client in known]
    states = dict(zip(kept, client_store.as_list(kept, store.read(kept)), strict=True))
    states.update(zip((ids[place] for place in new), _pick(begun, new), strict=True))
    return state, [states[client] for client in ids], len(new), joined_bits


def _pick(values: Any, places: Sequence[int]) -> list[Any]:
    if isinstance(values, resident.ResidentValue):
        return values.fetch(places)
    return [values[place] for place in places]


def _placed(values: Any, type_signature: tff.Type) -> Any:
    """The values where the computation runs, by the quickest way there."""
    context = tff.framework.get_context_stack().current
    if isinstance(values, list) and isinstance(context, resident.ResidentContext):
        return context.place(values, type_signature)
    return values
