"""Consensus whose values an aggregation of TFF adds up."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import learning, runtime, sparsifiers
from tff_gs.controllers import fixed, waiting
from tff_gs.controllers.registry import CONTROLLERS
from tff_gs.encoders.encoder import Encoder
from tff_gs.exchange import messages, server_update, summed_consensus_exchange

_PRIVATE = tff.aggregators.DifferentiallyPrivateFactory.gaussian_fixed(1.0, 10.0, 0.1)
_D = 48
_K = 20
_CLIENTS = 5


def _sums(bound):
    return tff.aggregators.SecureSumFactory(bound, -bound)


@pytest.fixture(scope="module")
def build(build_process, functional_model):
    return functools.partial(
        build_process, functional_model, sparsifier=sparsifiers.FabConsensus()
    )


def _train(process, data, rounds=3):
    with runtime.execution_context():
        state = process.initialize()
        state, clients, _ = process.initialize_clients(state, list(range(_CLIENTS)))
        metrics = []
        for _ in range(rounds):
            state, clients, measured, _ = process.next(state, clients, data)
            metrics.append(measured)
        return state, clients.fetch(), metrics


@pytest.fixture(scope="module")
def read_by_the_server(build, client_data):
    return _train(build(fixed.FixedK(k=_K)), client_data)


@pytest.mark.parametrize(
    ("value_sum", "precision"),
    [(tff.aggregators.SumFactory(), 1e-6), (_sums(100.0), 1e-5)],
)
def test_the_model_is_that_of_a_server_that_reads_all(
    build, client_data, read_by_the_server, value_sum, precision
):
    process = build(fixed.FixedK(k=_K), value_sum=value_sum)
    state, clients, metrics = _train(process, client_data)
    expected, others, measured = read_by_the_server
    np.testing.assert_allclose(state.weights, expected.weights, atol=precision)
    for client, other in zip(clients, others, strict=True):
        np.testing.assert_array_equal(client.exchange.weights, state.weights)
        residual = client.exchange.residual
        np.testing.assert_allclose(residual, other.exchange.residual, atol=precision)
        assert (residual == 0).sum() >= _K
    for found, wanted in zip(metrics, measured, strict=True):
        for name in ("kappa", "ballot_ranks", "clients", "training_loss"):
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-4)
        np.testing.assert_array_equal(found["contributed"], wanted["contributed"])
        # Two empty lists of refused ballots go with J and take no bit.
        assert found["downlink_bits"] == wanted["downlink_bits"]


def test_the_bytes_are_those_of_the_padded_vectors(build, client_data):
    process = build(
        waiting.Waiting(k_initial=10, k_max=30), value_sum=tff.aggregators.SumFactory()
    )
    _, _, metrics = _train(process, client_data, rounds=2)
    for measured in metrics:
        assert measured["k"] <= 30
        assert measured["uplink_elements"] == 30 * _CLIENTS
        values = measured["uplink_bits"] - measured["ballot_bits"]
        assert values == 32 * 30 * _CLIENTS
        # 1 for computing; beta / (2 D) a number: 2 r up and 1 down, 30, 2 |J|.
        numbers = (
            30 + 2 * measured["ballot_ranks"] + 1 + 2 * measured["downlink_elements"]
        )
        np.testing.assert_allclose(measured["round_time"], 1 + 10 / (2 * _D) * numbers)


def test_what_is_clipped_is_measured(build, client_data):
    process = build(fixed.FixedK(k=_K), value_sum=_sums(1e-3))
    _, _, (measured,) = _train(process, client_data, rounds=1)
    assert measured["value_sum"]["secure_upper_clipped_count"] > 0


def test_a_client_without_finite_work_adds_nothing(build, client_data):
    process = build(fixed.FixedK(k=_K), value_sum=tff.aggregators.SumFactory())
    features, labels = client_data[1]
    data = [*client_data]
    data[1] = (np.full_like(features, np.nan), labels)
    state, clients, (measured,) = _train(process, data, rounds=1)
    assert np.isfinite(state.weights).all()
    assert measured["non_finite"] == 1
    assert measured["uplink_elements"] == _K * (_CLIENTS - 1)
    assert measured["contributed"][1] == 0
    np.testing.assert_array_equal(clients[1].exchange.weights, state.weights)


@pytest.fixture(scope="module")
def exchange():
    code = Encoder().bind(dimension=6)
    return summed_consensus_exchange.SummedConsensusExchange(
        value_sum=tff.aggregators.SumFactory(),
        largest_k=4,
        sparsifier=sparsifiers.FabConsensus().bind(dimension=6, probes=False),
        uplink_encoder=code,
        downlink_encoder=code,
        probe_encoder=code,
        update=server_update.SparseSgd(learning_rate=1.0).bind(6),
    )


def _nominate(exchange, client_id, vector, weight):
    from tff_gs.controllers import controller
    from tff_gs.exchange import client_work

    client = exchange.initialize_client(
        tf.constant(client_id), server_update.Replica(tf.zeros([6]), ()), [0, 1]
    )
    config = messages.RoundConfig(
        controller.Decision(tf.constant(2), tf.constant(0)), tf.constant([2])
    )
    given = client_work.Given(tf.constant(vector), tf.constant(weight))
    return config, exchange.nominate(client, given, config)


def test_a_refused_ballot_by_hand(exchange):
    vectors = [[9.0, 0, 0, 0, 0, 3], [0, 8.0, 0, 1, 0, 0]]
    collected = exchange.no_messages()
    voters = []
    # Client 7 is unknown, so its ballot is refused.
    for client_id, vector, weight in zip((0, 7), vectors, (2.0, 5.0), strict=True):
        config, (ballot, voter) = _nominate(exchange, client_id, vector, weight)
        collected = exchange.collect(collected, ballot)
        voters.append(voter)
    announcement, election = exchange.elect(collected, config, tf.constant([0]))
    np.testing.assert_array_equal(announcement.rejected, [])
    np.testing.assert_array_equal(election.elected.coordinates, [0, 5])
    rejected = announcement._replace(rejected=tf.constant([7]))
    added, pending = exchange.send_values(voters[0], rejected)
    np.testing.assert_array_equal(added, [18, 6, 0, 0])
    assert pending.sent
    added, pending = exchange.send_values(voters[1], rejected)
    np.testing.assert_array_equal(added, [0, 0, 0, 0])
    assert not pending.sent
    np.testing.assert_array_equal(pending.residual, vectors[1])


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        (
            {"sparsifier": sparsifiers.FabTopK()},
            ValueError,
            r"elected before values travel with value_sum, .*found FabTopK\(\)",
        ),
        (
            {"uplink_encoder": Encoder("rice", "quantised8")},
            ValueError,
            "value code 'float32' with value_sum.* found 'quantised8'",
        ),
        (
            {"value_sum": _PRIVATE},
            ValueError,
            "value_sum without a state between rounds",
        ),
        (
            {"value_sum": tff.aggregators.MeanFactory()},
            TypeError,
            "value_sum to be an unweighted aggregation factory",
        ),
    ],
)
def test_sums_that_do_not_fit(functional_model, options, error, sentence):
    arguments = {
        "controller": fixed.FixedK(k=_K),
        "value_sum": tff.aggregators.SumFactory(),
    }
    with pytest.raises(error, match=sentence):
        learning.build_sparsified_fed_sgd(functional_model, **{**arguments, **options})


@pytest.mark.parametrize(
    ("rule", "options", "largest"),
    [
        ("fixed", {"k": 0.25}, 12),
        ("waiting", {"k_max": 0.5}, 24),
        ("sign", {"k_max": 30}, 30),
        ("exp3", {"arms": (2, 7)}, 7),
        ("bandit", {"k_max": 0.5}, 24),
    ],
)
def test_the_largest_k_of_rules(rule, options, largest):
    assert CONTROLLERS.build(rule, options).bind(_D).largest_k == largest
