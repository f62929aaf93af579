"""Rounds over several workers: those of one worker, to the bit."""

import os

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tests import models
from tff_gs import controllers, learning, runtime, sparsifiers
from tff_gs.runtime import _delivery, _workers

_FEATURES, _CLASSES = 4, 3
_ROUNDS = 4


@pytest.fixture(scope="module")
def model():
    kernel = np.random.default_rng(0).normal(size=(_FEATURES, _CLASSES))
    return models.linear(kernel.astype(np.float32))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(1)
    return [
        (
            rng.normal(size=(size, _FEATURES)).astype(np.float32),
            rng.integers(0, _CLASSES, size).astype(np.int32),
        )
        for size in (3, 9, 1, 4, 20)
    ]


def _all_take_part(process, data):
    state = process.initialize()
    ids = list(range(len(data)))
    state, clients, bits = process.initialize_clients(state, ids)
    found = [bits]
    for _ in range(_ROUNDS):
        state, clients, metrics, _ = process.next(state, clients, data)
        found.append(metrics)
    return state, clients.fetch(), found


def _cohorts(process, data):
    state, found = process.initialize(), []
    with runtime.MemoryStore() as store:
        for cohort in ([0, 1, 2, 3, 4], [1, 3], [0, 2, 4], [1, 2, 3, 4]):
            output = runtime.run_round(
                process, state, store, cohort, [data[client] for client in cohort]
            )
            state = output.state
            found.append((output.metrics, output.joined, output.joined_bits))
        return state, store.read(store.client_ids.tolist()), found


def _assert_same_on_all(run, process, data, workers=(1, 2, 3)):
    with runtime.execution_context():
        expected = run(process, data)
    for number in workers:
        with runtime.execution_context(workers=number):
            found = run(process, data)
        tf.nest.map_structure(np.testing.assert_array_equal, found, expected)


def test_a_run_of_the_defaults_with_momentum(model, data):
    process = learning.build_sparsified_fed_sgd(
        model,
        learning_rate=0.5,
        server_optimizer=tff.learning.optimizers.build_sgdm(0.5, momentum=0.9),
    )
    _assert_same_on_all(_all_take_part, process, data)


def test_clients_that_come_back(model, data):
    """What they missed is selected for each; and pairs of clients are merged."""
    process = learning.build_sparsified_fed_sgd(
        model,
        learning_rate=0.5,
        sparsifier=sparsifiers.GTopK(),
        controller=controllers.FixedK(k=5),
        participation=learning.PartialParticipation(),
    )
    _assert_same_on_all(_cohorts, process, data, workers=(3,))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(sparsifiers.SPARSIFIERS))
@pytest.mark.parametrize("takes_all", [True, False])
def test_every_sparsifier(model, data, name, takes_all):
    process = learning.build_sparsified_fed_sgd(
        model,
        learning_rate=0.5,
        sparsifier=sparsifiers.SPARSIFIERS[name](),
        participation=None if takes_all else learning.PartialParticipation(),
    )
    run = _all_take_part if takes_all else _cohorts
    _assert_same_on_all(run, process, data)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(controllers.CONTROLLERS))
def test_every_rule_with_local_steps(model, data, name):
    kind = controllers.CONTROLLERS[name]
    given = {
        "fixed": {"k": 5},
        "schedule": {"schedule": ((0, 3), (2, 6))},
        "exp3": {"arms": (3, 6)},
    }
    process = learning.build_sparsified_fed_avg(
        model,
        client_optimizer=tff.learning.optimizers.build_sgdm(0.1),
        local_steps=3,
        controller=kind(**given.get(name, {})),
        rounds=_ROUNDS,
    )
    _assert_same_on_all(_all_take_part, process, data, workers=(3,))


def test_a_sum_that_depends_on_its_order_is_that_of_one_worker():
    """1e8 + 1 + ... in float32: the ones are lost one by one, but not their sum."""

    @tff.federated_computation(tff.FederatedType(np.float32, tff.CLIENTS))
    def total(values):
        return tff.federated_sum(values)

    values = [np.float32(1e8), *[np.float32(4.0)] * 5]
    assert np.float32(np.float32(1e8) + np.float32(20.0)) != np.float32(1e8)
    with runtime.execution_context(workers=2):
        assert total(values) == np.float32(1e8)


_TOGETHER = 3


def _meeting(folder):
    """A client's file is written, and then it waits for those of all others."""

    @tff.tensorflow.computation(np.int32)
    def meet(number):
        path = f"{folder}/" + tf.strings.as_string(number)
        with tf.control_dependencies([tf.io.write_file(path, "here")]):
            here = tf.constant(0)

        def count(_):
            return tf.size(tf.io.matching_files(f"{folder}/?"))

        return tf.while_loop(lambda n: n < _TOGETHER, count, [here])[0]

    @tff.federated_computation(tff.FederatedType(np.int32, tff.CLIENTS))
    def all_meet(numbers):
        return tff.federated_sum(tff.federated_map(meet, numbers))

    return all_meet


def test_clients_of_all_workers_compute_at_the_same_time(tmp_path):
    with runtime.execution_context(
        workers=_TOGETHER, max_concurrent_computation_calls=1
    ):
        meet = _meeting(os.fspath(tmp_path))
        assert meet(list(range(_TOGETHER))) == _TOGETHER * _TOGETHER


def test_a_value_that_does_not_vary_among_clients_comes_from_one_of_them():
    @tff.federated_computation(
        tff.FederatedType(np.int32, tff.SERVER),
        tff.FederatedType(np.int32, tff.CLIENTS),
    )
    def sent(x, y):
        return tff.federated_broadcast(x), y

    with runtime.execution_context(workers=2):
        found, values = sent(5, [1, 2, 3])
        assert found == 5
        assert values.fetch([2, 0]) == [3, 1]


def test_a_computation_of_no_client_has_no_sum():
    @tff.federated_computation
    def count():
        return tff.federated_sum(tff.federated_value(1, tff.CLIENTS))

    with runtime.execution_context(workers=2):
        assert count() == 0


@pytest.mark.parametrize(
    ("clients", "shares", "blocks"),
    [
        (5, (1, 1), [(0, range(2)), (1, range(2, 5))]),
        (6, (1, 2), [(0, range(2)), (1, range(2, 6))]),
        (1, (1, 1, 1), [(2, range(1))]),
        (120, (1, 1, 1), [(0, range(40)), (1, range(40, 80)), (2, range(80, 120))]),
        (0, (1, 1), [(0, range(0))]),
    ],
)
def test_clients_are_divided_by_the_workers_shares(clients, shares, blocks):
    workers = [_workers.Worker(None, None, share=share) for share in shares]
    found = _workers.divide(clients, workers)
    assert [(workers.index(worker), places) for worker, places in found] == blocks


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"workers": 0}, "at least one worker, found 0"),
        ({"workers": []}, r"at least one worker, found \[\]"),
        ({"workers": "10.0.0.2:8470"}, "list of workers' addresses, found the text"),
        ({"workers": ["10.0.0.2"]}, r"did you mean 10\.0\.0\.2:8470\?"),
        ({"patience": 0.0}, r"patience above 0 seconds, found 0\.0"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(arguments, sentence):
    with (
        pytest.raises(ValueError, match=sentence) as error,
        runtime.execution_context(**arguments),
    ):
        pass
    assert "\n" not in str(error.value)


def test_values_that_are_too_large_for_a_message_are_refused(monkeypatch):
    monkeypatch.setattr(_delivery, "_MOST_BYTES", 1000)
    placed = tff.FederatedType(tff.TensorType(np.float32, [None]), tff.CLIENTS)
    with pytest.raises(ValueError, match="at most 1,000 bytes as the values of the 2"):
        _delivery.Delivery().place(None, [[np.zeros(200, np.float32)]] * 2, placed)
