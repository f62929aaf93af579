"""Training that starts from a trained model, and what it means for clients."""

import collections

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tests import models
from tff_gs import learning, runtime
from tff_gs.controllers import sign_descent

_FEATURES, _CLASSES = 4, 3
_D = _FEATURES * _CLASSES + _CLASSES
_ALL = [0, 1, 2, 3, 4]


def _kernel(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(_FEATURES, _CLASSES)).astype(np.float32)


def _weights(seed):
    return tff.learning.models.ModelWeights(
        (_kernel(seed), np.zeros(_CLASSES, np.float32)), ()
    )


@pytest.fixture(name="build", scope="module")
def _build(build_process):
    def build(seed, **options):
        return build_process(
            models.linear(_kernel(seed)), sign_descent.SignDescent().bind(_D), **options
        )

    return build


@pytest.fixture(name="process", scope="module")
def _process(build):
    return build(0)


@pytest.fixture(name="cohorts", scope="module")
def _cohorts(build):
    momentum = tff.learning.optimizers.build_sgdm(0.5, momentum=0.5)
    return build(
        0,
        participation=learning.PartialParticipation(),
        server_optimizer=momentum,
    )


def _assert_equal(first, second):
    tf.nest.map_structure(np.testing.assert_array_equal, first, second)


def test_what_was_set_is_what_is_got(process):
    state = process.set_model_weights(process.initialize(), _weights(7))
    _assert_equal(tuple(process.get_model_weights(state)), tuple(_weights(7)))
    kernel, bias = _weights(7).trainable
    # In the order of the model's tensors.
    np.testing.assert_array_equal(state.weights, [*kernel.ravel(), *bias])
    assert state.round == 0


def test_containers_and_exact_dtypes(process):
    kernel, bias = _weights(7).trainable
    given = ([tf.Variable(kernel), bias.astype(np.float64)], [])
    state = process.set_model_weights(process.initialize(), given)
    _assert_equal(tuple(process.get_model_weights(state)), tuple(_weights(7)))


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ((_weights(7).trainable, (np.ones(2),)), r"0 parts as non_trainable.*found 1"),
        (
            _weights(7).trainable[:1],
            r"\['trainable', 'non_trainable'\] as the model's weights, found 1",
        ),
        ((_weights(7).trainable[:1], ()), "2 parts as trainable .*, found 1"),
        (
            ((np.ones((4, 4), np.float32), np.zeros(3)), ()),
            r"float32\[4,3\] as part 0 of trainable .*, found float32\[4,4\]",
        ),
        (((np.ones((4, 3), int), np.zeros(3)), ()), r"part 0 .*found int64\[4,3\]"),
        (((_kernel(7), np.full(3, 0.1)), ()), "part 1 .*not hold exactly: cast it"),
        (7, r"'non_trainable'\] as the model's weights, found 7"),
    ],
)
def test_other_weights_are_one_sentence(process, weights, sentence):
    state = process.initialize()
    with pytest.raises(ValueError, match=f"^Expected .*{sentence}") as raised:
        process.set_model_weights(state, weights)
    assert "\n" not in str(raised.value)


def test_training_starts_from_them(process, build, client_data):
    """As the process of a model that has them from the start, to the bit."""
    outputs = []
    for other, state in (
        (build(7), None),
        (process, process.set_model_weights(process.initialize(), _weights(7))),
    ):
        state, clients, bits = other.initialize_clients(
            state or other.initialize(), _ALL
        )
        for _ in range(2):
            state, clients, metrics, _ = other.next(state, clients, client_data)
        outputs.append((state, clients, metrics, bits))
    _assert_equal(*outputs)


def test_clients_must_be_initialized_again(process, client_data):
    state, clients, _ = process.initialize_clients(process.initialize(), _ALL)
    state, clients, _, _ = process.next(state, clients, client_data)
    # Equal weights change nothing.
    same = process.set_model_weights(state, process.get_model_weights(state))
    assert same is state
    state = process.set_model_weights(state, _weights(7))
    with pytest.raises(Exception, match="call it again after set_model_weights"):
        process.next(state, clients, client_data)
    state, clients, _ = process.initialize_clients(state, _ALL)
    for client in clients:
        np.testing.assert_array_equal(client.exchange.weights, state.weights)
    state, clients, metrics, _ = process.next(state, clients, client_data)
    assert metrics["clients"] == 5
    for client in clients:
        np.testing.assert_array_equal(client.exchange.weights, state.weights)


def test_clients_of_cohorts_are_brought_up_to_date(cohorts, client_data):
    state, clients, _ = cohorts.initialize_clients(cohorts.initialize(), _ALL)
    state, begun, _, _ = cohorts.next(state, clients[:2], client_data[:2])
    clients[:2] = begun
    # Of round 1 are two, of round 0 three; all but the first entry change.
    weights = cohorts.get_model_weights(state)
    kernel = weights.trainable[0] + np.float32(1)
    kernel[0, 0] = weights.trainable[0][0, 0]
    changed = (kernel, weights.trainable[1] + np.float32(1))
    residuals = [client.exchange.residual for client in clients]
    updated = cohorts.set_model_weights(state, (changed, ()))
    assert updated.round == 2
    np.testing.assert_array_equal(updated.client_ids, _ALL)
    assert updated.last_changed[0] == state.last_changed[0]
    assert set(updated.last_changed[1:]) == {2}
    _assert_equal(updated.optimizer, state.optimizer)
    output = cohorts.next(updated, clients, client_data)
    for client in output.clients:
        _assert_equal(client.exchange.weights, output.state.weights)
        _assert_equal(client.exchange.optimizer, output.state.optimizer)
    assert output.metrics["catch_up_rounds"] == 1 + 1 + 2 + 2 + 2
    # The first entry too goes to those who missed its change in round 1, or all do.
    assert output.metrics["catch_up_elements"] >= 5 * (_D - 1)
    # Had no residual stayed, the round would have been another one.
    fresh = [
        client._replace(exchange=client.exchange._replace(residual=0 * residual))
        for client, residual in zip(clients, residuals, strict=True)
    ]
    other = cohorts.next(updated, fresh, client_data)
    assert any(np.any(residual) for residual in residuals)
    assert np.any(other.state.weights != output.state.weights)


def test_cohorts_from_a_store(cohorts, process, client_data):
    """The store's states are of the model before; a round makes that good."""
    for trained in (cohorts, process):
        state, store = trained.initialize(), runtime.MemoryStore()
        joined = []
        for number in range(3):
            if number == 2:
                state = trained.set_model_weights(state, _weights(7))
            output = runtime.run_round(trained, state, store, _ALL, client_data)
            state = output.state
            joined.append(output.joined)
            for client in store.read(_ALL):
                _assert_equal(client.exchange.weights, state.weights)
        assert joined == [5, 0, 0 if trained is cohorts else 5]


def test_weights_that_training_leaves_alone(build_process, variable_model, client_data):
    process = build_process(
        variable_model,
        sign_descent.SignDescent().bind(63),
        participation=learning.PartialParticipation(),
    )
    state, clients, _ = process.initialize_clients(process.initialize(), _ALL)
    weights = process.get_model_weights(state)
    moved = [array + np.float32(0.5) for array in weights.non_trainable]
    updated = process.set_model_weights(state, weights._replace(non_trainable=moved))
    # No weight of D changes; that clients have other statistics cannot be mended.
    np.testing.assert_array_equal(updated.weights, state.weights)
    assert updated.client_ids.shape == (0,)
    refused = process.next(updated, clients, client_data)
    assert refused.metrics["refused"][0] == 0
    updated, clients, _ = process.initialize_clients(updated, _ALL)
    _assert_equal(clients[0].non_trainable, updated.non_trainable)
    output = process.next(updated, clients, client_data)
    assert output.metrics["refused"][0] == 5


def test_a_mapping_of_weights_by_its_names(build_process):
    def logits(weights, x):
        return tf.matmul(x, weights["kernel"]) + weights["bias"]

    trainable = collections.OrderedDict(
        kernel=_kernel(0), bias=np.zeros(_CLASSES, np.float32)
    )
    model = models.functional(trainable, logits, features=_FEATURES)
    process = build_process(model, sign_descent.SignDescent().bind(_D))
    bias = np.arange(_CLASSES, dtype=np.float32)
    for given in (
        {"kernel": _kernel(7), "bias": bias},
        {"bias": bias, "kernel": _kernel(7)},
    ):
        state = process.set_model_weights(process.initialize(), (given, ()))
        found = process.get_model_weights(state).trainable
        np.testing.assert_array_equal(found["kernel"], _kernel(7))
        np.testing.assert_array_equal(found["bias"], bias)
