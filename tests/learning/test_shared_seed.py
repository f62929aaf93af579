"""Rounds of the methods that send no indices: state, cost and metrics."""

import itertools

import numpy as np
import pytest

from tff_gs.costs import normalised
from tff_gs.sparsifiers import periodic_k, random_k, send_all

_D = 48
_K, _K_PROBE = 20, 9
_CLIENTS = 5
# By method: its class, how many numbers it shares, and what three rounds send.
_METHODS = {
    "random": (random_k.RandomK, 1, [20, 20, 20]),
    "periodic": (periodic_k.PeriodicK, 2, [20, 20, 8]),
    "send_all": (send_all.SendAll, 0, [48, 48, 48]),
}


@pytest.fixture(scope="module", params=_METHODS)
def rounds(request, build_process, functional_model, scripted_controller, client_data):
    """Three rounds: states and metrics; each with a round at k' from the same start."""
    sparsifier, shared, counts = _METHODS[request.param]
    process = build_process(
        functional_model,
        scripted_controller(k=_K, k_probe=_K_PROBE),
        sparsifier=sparsifier(),
        cost=normalised.NormalisedTime(price_probe_downlink=True),
    )
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, list(range(_CLIENTS)))
    states, metrics, others = [state], [], []
    for _ in range(3):
        alone = state.controller._replace(k=np.int32(_K_PROBE), k_probe=np.int32(0))
        others.append(
            process.next(state._replace(controller=alone), clients, client_data).metrics
        )
        output = process.next(state, clients, client_data)
        state, clients = output.state, output.clients
        states.append(state)
        metrics.append(output.metrics)
    return request.param, shared, counts, states, metrics, others


def test_the_time_by_hand(rounds):
    _, shared, counts, _, history, _ = rounds
    for metrics, count in zip(history, counts, strict=True):
        assert metrics["uplink_elements"] == _CLIENTS * count
        assert metrics["downlink_elements"] == count
        # One example of four is probed; beta = 10; an entry is one number, and two
        # of the probe's.
        units = count + count + shared + 2 * metrics["probe_downlink_elements"]
        assert metrics["round_time"] == pytest.approx(1.25 + 10 / (2 * _D) * units)


def test_the_time_at_the_other_k_is_that_of_a_round_there(rounds):
    _, _, _, _, history, others = rounds
    for metrics, other in zip(history, others, strict=True):
        probe = 0.25 + 10 / (2 * _D) * 2 * metrics["probe_downlink_elements"]
        assert metrics["probe_time"] == pytest.approx(other["round_time"] + probe)


def test_bits_by_hand(rounds):
    _, shared, counts, _, history, _ = rounds
    for metrics, count in zip(history, counts, strict=True):
        # Header and checksum are 8 bytes; client id and weight beside it.
        assert metrics["uplink_bits"] == _CLIENTS * 8 * (8 + 4 * count + 8)
        assert metrics["downlink_bits"] == 8 * (8 + 4 * count + 8 + 4 * shared)
        assert metrics["uplink_estimate_error"] == 0
        for direction in ("uplink", "downlink"):
            assert metrics[f"{direction}_bits_per_index"] == 0
            assert metrics[f"{direction}_bits_per_value"] == 32
        assert metrics["kappa"] == 0
        assert metrics["overlap"] == _CLIENTS


def test_the_state_of_the_method_is_the_servers(rounds):
    method, _, _, states, _, _ = rounds
    found = [state.sparsifier for state in states]
    if method == "periodic":
        assert [tuple(state) for state in found] == [(0, 0), (0, 20), (0, 40), (1, 0)]
    else:
        assert found == ([0, 1, 2, 3] if method == "random" else [()] * 4)


def test_three_periodic_rounds_change_every_weight_once(rounds):
    method, _, counts, states, _, _ = rounds
    changed = [
        after.weights != before.weights for before, after in itertools.pairwise(states)
    ]
    assert all(np.sum(c) <= n for c, n in zip(changed, counts, strict=True))
    if method == "periodic":
        assert np.sum(changed, axis=0).max() == 1
        assert np.any(changed, axis=0).sum() > 40
