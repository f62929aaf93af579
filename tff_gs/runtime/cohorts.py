"""Rounds of cohorts: who takes part, and what is fetched and kept for it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_federated as tff

from tff_gs.learning import sparsified_process
from tff_gs.runtime import client_store, resident


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

    Clients that the store does not know receive the dense model first; the states of
    the cohort, and of nobody else, are read from the store and written back. Where the
    round raises an error, the store is as it was before.

    Args:
      process: Built with `participation`, unless all clients take part every time.
      state: The server's.
      store: Where clients' states are.
      client_ids: The cohort; distinct ids.
      data: Its data, in the order of the ids: a list, or placed in the runtime. Data
        that were placed once cannot be recombined into a cohort: those of a cohort
        that changes are given as a list, and move into the worker in every round.
    """
    known = set(store.client_ids.tolist())
    new = [int(client) for client in client_ids if int(client) not in known]
    clients, joined_bits = None, 0
    if new:
        state, clients, bits = process.initialize_clients(state, new)
        joined_bits = int(bits) * len(new)
    if len(new) < len(client_ids):
        clients = _join(store, client_ids, new, clients)
    parameter = process.next.type_signature.parameter
    output = process.next(
        state,
        _placed(clients, parameter.clients),
        _placed(data, parameter.data),
    )
    store.write(client_ids, output.clients)
    return CohortOutput(
        output.state, output.metrics, output.timing, len(new), joined_bits
    )


def _join(
    store: client_store.ClientStore,
    client_ids: Sequence[int],
    new: Sequence[int],
    new_states: Any,
) -> Any:
    """The states of a cohort, in the order of its ids, of which some are kept."""
    if not new:
        return store.read(client_ids)
    kept = [int(client) for client in client_ids if int(client) not in new]
    states = dict(zip(new, client_store.as_list(new, new_states), strict=True))
    states.update(zip(kept, client_store.as_list(kept, store.read(kept)), strict=True))
    return [states[int(client)] for client in client_ids]


def _placed(values: Any, type_signature: tff.Type) -> Any:
    """The values where the computation runs, by the quickest way there."""
    context = tff.framework.get_context_stack().current
    if isinstance(values, list) and isinstance(context, resident.ResidentContext):
        return context.place_quickly(values, type_signature)
    return values
