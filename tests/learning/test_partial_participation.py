"""Rounds of cohorts: every replica is the server's model, at a measured price."""

import itertools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from hypothesis import strategies as st

from tests.oracles import crossings
from tff_gs import learning
from tff_gs.controllers import sign_descent

_D = 48
_CLIENTS = 5


@pytest.fixture(scope="module")
def process(build_process, functional_model):
    return build_process(
        functional_model,
        sign_descent.SignDescent().bind(_D),
        participation=learning.PartialParticipation(index_code="int32"),
        seed=11,
    )


@pytest.fixture(scope="module")
def always(build_process, functional_model):
    """The same, but for the option."""
    return build_process(functional_model, sign_descent.SignDescent().bind(_D), seed=11)


class Run:
    """Cohorts of a process, with all clients from the start."""

    def __init__(self, process, data):
        self._process, self._data = process, data
        self.state = process.initialize()
        ids = list(range(len(data)))
        self.state, self.clients, _ = process.initialize_clients(self.state, ids)

    def round(self, cohort):
        output = self._process.next(
            self.state,
            [self.clients[client] for client in cohort],
            [self._data[client] for client in cohort],
        )
        self.state = output.state
        for client, state in zip(cohort, output.clients, strict=True):
            self.clients[client] = state
        return output


def _assert_replica(client, state):
    np.testing.assert_array_equal(
        client.exchange.weights.view(np.int32), state.weights.view(np.int32)
    )
    tf.nest.map_structure(
        np.testing.assert_array_equal, client.exchange.optimizer, state.optimizer
    )
    assert client.model_round == state.round


_cohorts = st.lists(
    st.sets(st.integers(0, _CLIENTS - 1), min_size=1).map(sorted),
    min_size=2,
    max_size=6,
)


@hypothesis.settings(deadline=None, max_examples=12)
@hypothesis.given(cohorts=_cohorts)
def test_replicas_equal_the_server_whatever_the_history(process, client_data, cohorts):
    run = Run(process, client_data)
    history, last = [run.state.weights], [0] * _CLIENTS
    for number, cohort in enumerate(cohorts, start=1):
        output = run.round(cohort)
        for client in cohort:
            _assert_replica(run.clients[client], run.state)
        metrics = output.metrics
        # Bytes of a round's number, header, checksum and n pairs, or all weights.
        sizes, elements, units, behind = [0], [], [0], []
        for client in cohort:
            missed = history[last[client] :]
            changed = np.zeros(_D, bool)
            for one, two in itertools.pairwise(missed):
                changed |= one.view(np.int32) != two.view(np.int32)
            count = np.count_nonzero(changed)
            if len(missed) > 1:
                sizes.append(8 * (4 + 8 + min(8 * count, 4 * _D)))
                dense = 8 * count > 4 * _D
                elements.append(_D if dense else count)
                units.append(_D if dense else 2 * count)
            behind.append(number - 1 - last[client])
            last[client] = number
        assert metrics["catch_up_rounds"] == sum(behind)
        assert metrics["catch_up_rounds_max"] == max(behind)
        assert metrics["catch_up_bits"] == sum(sizes)
        assert metrics["catch_up_bits_max"] == max(sizes)
        assert metrics["catch_up_elements"] == sum(elements)
        assert metrics["catch_up_dense"] == elements.count(_D)
        assert metrics["catch_up_request_bits"] == 32 * len(cohort)
        assert metrics["clients"] == len(cohort)
        np.testing.assert_array_equal(metrics["client_ids"], cohort)
        k, selected = metrics["k"], metrics["downlink_elements"]
        np.testing.assert_allclose(
            metrics["round_time"],
            1
            + 0.25 * (metrics["k_probe"] > 0)
            + 10 / (2 * _D) * (2 * k + 2 * selected + max(units)),
            rtol=1e-12,
        )
        history.append(run.state.weights)


def test_all_clients_in_every_round_is_the_process_without_the_option(
    process, always, client_data
):
    run, other = Run(process, client_data), Run(always, client_data)
    everybody = list(range(_CLIENTS))
    for _ in range(4):
        one, two = run.round(everybody), other.round(everybody)
        assert one.metrics["catch_up_bits"] == 0
        assert one.metrics["catch_up_elements"] == 0
        for name, value in two.metrics.items():
            np.testing.assert_array_equal(one.metrics[name], value, err_msg=name)
        np.testing.assert_array_equal(
            one.state.weights.view(np.int32), two.state.weights.view(np.int32)
        )
        for mine, theirs in zip(run.clients, other.clients, strict=True):
            tf.nest.map_structure(
                np.testing.assert_array_equal, mine.exchange, theirs.exchange
            )


@pytest.mark.parametrize(
    "optimizer",
    [
        tff.learning.optimizers.build_sgdm(0.1, momentum=0.9),
        tff.learning.optimizers.build_adam(0.05),
    ],
    ids=["momentum", "adam"],
)
def test_replicas_of_an_optimizer_with_state(
    build_process, functional_model, client_data, optimizer
):
    process = build_process(
        functional_model,
        sign_descent.SignDescent().bind(_D),
        server_optimizer=optimizer,
        participation=learning.PartialParticipation(),
    )
    crossings.assert_sparse(crossings.crossings(process.next).selected, _D)
    run = Run(process, client_data)
    away = []
    for cohort in ([0, 1], [1, 2], [0, 3], [1, 4], [0, 2]):
        metrics = run.round(cohort).metrics
        away.append(int(metrics["catch_up_bits"]))
        for client in cohort:
            _assert_replica(run.clients[client], run.state)
    state_bytes = sum(leaf.nbytes for leaf in tf.nest.flatten(run.state.optimizer))
    assert state_bytes > 4 * _D
    # Nobody, then client 2, 0 and 3, 1 and 4, 0 and 2 had been away.
    assert away[0] == 0
    assert away[1] > 8 * state_bytes
    for bits in away[2:]:
        assert 2 * 8 * (state_bytes + 4 * _D + 64) > bits > 2 * 8 * state_bytes


def test_a_client_that_joins_later(process, client_data):
    run = Run(process, client_data)
    for cohort in ([0, 1], [1, 2], [0, 2]):
        run.round(cohort)
    registered, (joined,), bits = process.initialize_clients(run.state, [4])
    np.testing.assert_array_equal(registered.client_ids, range(_CLIENTS))
    _assert_replica(joined, run.state)
    # Weights, seed and round.
    assert bits == 32 * (_D + 2 + 1)
    assert joined.exchange.rounds == 0
    np.testing.assert_array_equal(joined.exchange.seed, run.clients[4].exchange.seed)
    run.clients[4] = joined
    assert run.round([4]).metrics["catch_up_bits"] == 0
    assert run.clients[4].exchange.rounds == 1
    _assert_replica(run.clients[4], run.state)


def test_the_mean_is_over_the_cohort(
    build_process, functional_model, scripted_controller, client_data
):
    process = build_process(
        functional_model,
        scripted_controller(k=_D, k_probe=0, probes=False),
        batch_size=20,
        participation=learning.PartialParticipation(),
    )
    run = Run(process, client_data)
    before, cohort = run.state.weights, [1, 4]
    run.round(cohort)
    gradients = [
        process.objective.loss_and_gradient(
            tf.constant(before), (), client_data[client]
        )[1]
        for client in cohort
    ]
    sizes = [len(client_data[client][1]) for client in cohort]
    mean = np.average(gradients, axis=0, weights=sizes)
    np.testing.assert_allclose(run.state.weights, before - 0.5 * mean, atol=1e-6)
