"""Rounds of FAB consensus: what they cost, by hand, and what they leave."""

import math

import numpy as np
import pytest

from tff_gs import costs, exchange
from tff_gs.controllers import waiting
from tff_gs.costs import normalised
from tff_gs.sparsifiers import fab_consensus, pipelined_consensus

_D = 48
_K, _K_PROBE = 20, 9
_CLIENTS = 5
_METHODS = [fab_consensus.FabConsensus(), pipelined_consensus.PipelinedConsensus()]


def _ballot_bits(ranks):
    """Id and weight; frame; 6 bits an index; a float32, and a bit a rank and 63."""
    payload = math.ceil(6 * ranks / 8) + 4 + math.ceil((ranks + 63) / 8)
    return 64 + 8 * (8 + payload)


def _message_bits(numbers):
    return 8 * (8 + 4 * numbers)


@pytest.fixture(scope="module")
def rounds(build_process, functional_model, scripted_controller, client_data):
    """Three rounds of all clients: the outputs."""
    process = build_process(
        functional_model,
        scripted_controller(k=_K, k_probe=_K_PROBE),
        sparsifier=fab_consensus.FabConsensus(),
        cost=normalised.NormalisedTime(price_probe_downlink=True),
    )
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, list(range(_CLIENTS)))
    outputs = []
    for _ in range(3):
        output = process.next(state, clients, client_data)
        state, clients = output.state, output.clients
        outputs.append(output)
    return outputs


def test_the_ranks_follow_the_last_election(rounds):
    expected = _K
    for output in rounds:
        metrics = output.metrics
        assert metrics["ballot_ranks"] == expected
        assert metrics["kappa"] <= metrics["ballot_ranks"]
        assert metrics["short_union"] == (metrics["downlink_elements"] < _K)
        needed = 1.25 * (metrics["kappa"] + 1)
        if metrics["short_union"]:
            needed = 2 * metrics["kappa"]
        share = output.state.sparsifier.ranks_per_k
        assert share == pytest.approx(min(needed / _K, 1.0))
        expected = max(math.ceil(share * _K), _K // _CLIENTS + 1)
    assert expected < _K


def test_the_time_by_hand(rounds):
    for output in rounds:
        metrics = output.metrics
        ranks, count = metrics["ballot_ranks"], metrics["downlink_elements"]
        assert metrics["uplink_elements"] == _CLIENTS * count
        # Ballots are pairs; r, then J, then its values; a bit a coordinate for k'.
        units = 2 * ranks + count + 1 + 2 * count + count / 32
        # One example of four is probed; beta = 10.
        assert metrics["round_time"] == pytest.approx(1.25 + 10 / (2 * _D) * units)
        smaller = (2 * ranks + count) * _K_PROBE / _K + 1 + 2 * _K_PROBE + count / 32
        if not metrics["short_union"]:
            assert metrics["probe_time"] == pytest.approx(
                1.25 + 10 / (2 * _D) * smaller
            )


def test_bits_by_hand(rounds):
    for output in rounds:
        metrics = output.metrics
        ballot = _ballot_bits(metrics["ballot_ranks"])
        values = 64 + _message_bits(metrics["downlink_elements"])
        assert metrics["ballot_bits"] == _CLIENTS * ballot
        assert metrics["uplink_bits"] == _CLIENTS * (ballot + values)
        assert metrics["uplink_bits_max"] == ballot + values
        announced = _message_bits(metrics["downlink_elements"])
        assert metrics["announcement_bits"] == announced
        # k, k' and r; J; b.
        assert metrics["downlink_bits"] == 96 + 2 * announced
        mask = math.ceil(metrics["downlink_elements"] / 8) + 4
        assert metrics["probe_downlink_bits"] == 8 * mask


def test_every_client_contributes_and_empties_its_residual(rounds):
    for output in rounds:
        metrics = output.metrics
        assert metrics["contributed_min"] >= _K // _CLIENTS
        assert metrics["contributed_max"] <= metrics["ballot_ranks"]
        np.testing.assert_array_equal(metrics["refusals"], np.zeros(_CLIENTS))
    for client in rounds[-1].clients:
        np.testing.assert_array_equal(client.exchange.weights, rounds[-1].state.weights)
        empty = np.count_nonzero(client.exchange.residual == 0)
        assert empty >= rounds[-1].metrics["downlink_elements"]


def test_the_probe_is_the_round_at_the_other_k(rounds):
    for output in rounds:
        seen = output.state.controller.feedback
        assert np.isfinite(seen.loss_probe)
        assert seen.loss_probe != seen.loss_after


@pytest.mark.parametrize("method", _METHODS)
def test_some_of_the_clients(build_process, functional_model, client_data, method):
    process = build_process(
        functional_model,
        waiting.Waiting(k_min=20, k_max=21),
        sparsifier=method,
        participation=exchange.PartialParticipation(),
    )
    state = process.initialize()
    everybody = list(range(_CLIENTS))
    state, clients, _ = process.initialize_clients(state, everybody)
    clients = dict(enumerate(clients))
    for cohort in ([0, 3], [1], [0, 1, 2, 3, 4], [4, 2]):
        output = process.next(
            state,
            [clients[i] for i in cohort],
            [client_data[i] for i in cohort],
        )
        state, metrics = output.state, output.metrics
        clients.update(zip(cohort, output.clients, strict=True))
        k = int(metrics["k"])
        assert metrics["ballot_ranks"] >= min(k // len(cohort) + 1, k)
        if method.is_fair:
            assert metrics["contributed_min"] >= k // len(cohort)
        np.testing.assert_array_equal(metrics["client_ids"], sorted(cohort))
        for i in cohort:
            np.testing.assert_array_equal(clients[i].exchange.weights, state.weights)
        # What the rule sees comes in the order of the election.
        last = state.controller.last_sent
        assert np.sum(last == metrics["round"]) == metrics["downlink_elements"]
        assert metrics["probe_downlink_bits"] == 0


@pytest.mark.parametrize("method", _METHODS)
def test_every_trip_costs_its_latency(
    build_process, functional_model, scripted_controller, client_data, method
):
    process = build_process(
        functional_model,
        scripted_controller(k=_K, k_probe=0, probes=False),
        sparsifier=method,
        cost=costs.LinkTime(
            compute_seconds=2.0,
            up_bits_per_second=1e3,
            down_bits_per_second=1e4,
            latency_seconds=0.5,
        ),
        num_clients=_CLIENTS,
    )
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, list(range(_CLIENTS)))
    metrics = process.next(state, clients, client_data).metrics
    up, down = metrics["uplink_bits_max"] / 1e3, metrics["downlink_bits"] / 1e4
    latency = 2 * method.trips * 0.5
    assert metrics["round_time"] == pytest.approx(2 + latency + up + down)


def test_the_first_k_is_priced_without_indices(build_process, functional_model):
    process = build_process(
        functional_model,
        waiting.Waiting(k_min=4),
        sparsifier=fab_consensus.FabConsensus(),
        cost=costs.LinkTime(
            compute_seconds=6.0,
            up_bits_per_second=64.0,
            down_bits_per_second=1e12,
            latency_seconds=0.5,
        ),
        num_clients=_CLIENTS,
    )
    # Of nothing: 6 + 4 / 2 seconds, and a header of 64 bits. k values take k / 2
    # seconds, and k // 5 + 1 pairs in a ballot one each: 6 + 3 at 12.
    assert process.initialize().controller.k == 12
