"""The model's own metrics are those of TFF's algorithms, and cost what they take."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tests import models
from tff_gs import learning, runtime

_FEATURES, _CLASSES = 3, 4


def _kernel():
    rng = np.random.default_rng(4)
    return rng.normal(size=(_FEATURES, _CLASSES)).astype(np.float32)


def _functional():
    return learning.with_metrics(
        models.linear(_kernel()), {"accuracy": learning.accuracy}
    )


def _keras():
    return models.of_layers(
        [
            tf.keras.layers.Dense(
                _CLASSES, kernel_initializer=tf.constant_initializer(_kernel())
            )
        ],
        features=_FEATURES,
    )


@pytest.fixture(name="data", scope="module")
def _data():
    rng = np.random.default_rng(5)
    return [
        (
            rng.normal(size=(size, _FEATURES)).astype(np.float32),
            rng.integers(0, _CLASSES, size).astype(np.int32),
        )
        for size in (5, 8)
    ]


@pytest.fixture(name="context", scope="module")
def _context():
    with runtime.execution_context() as installed:
        yield installed


def _round(process, data):
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, range(len(data)))
    return process.next(state, clients, data).metrics


@pytest.mark.parametrize("model", [_functional(), _keras], ids=["functional", "keras"])
def test_a_round_of_all_examples_has_the_metrics_of_tff(model, data, context):
    """TFF's FedSGD passes over all examples at the weights that we begin with."""
    process = learning.build_sparsified_fed_sgd(model, batch_size=100)
    found = _round(process, data)["model_metrics"]
    plain = tff.learning.algorithms.build_fed_sgd(model)
    datasets = [
        tf.data.Dataset.from_tensor_slices(client).batch(100) for client in data
    ]
    output = plain.next(plain.initialize(), datasets)
    expected = output.metrics["client_work"]["train"]
    assert sorted(found) == sorted(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6)


@pytest.mark.parametrize("model", [_functional(), _keras], ids=["functional", "keras"])
def test_local_steps_add_up(model, data, context):
    """Steps of a rate of 0: two passes over the examples are twice their metrics."""
    process = learning.build_sparsified_fed_avg(
        model,
        client_optimizer=tff.learning.optimizers.build_sgdm(0.0),
        local_epochs=2,
        batch_size=1,
    )
    found = _round(process, data)["model_metrics"]
    x, y = (np.concatenate(parts) for parts in zip(*data, strict=True))
    logits = x @ _kernel()
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(y)), y]
    np.testing.assert_allclose(found["loss"], losses.mean(), rtol=1e-5)
    examples = found["examples" if "examples" in found else "num_examples"]
    assert examples == 2 * len(y)
    if "accuracy" in found:
        assert found["accuracy"] == np.mean(logits.argmax(axis=1) == y)


def test_they_are_part_of_the_reports(data, context):
    with_metrics, without = (
        _round(learning.build_sparsified_fed_sgd(model, batch_size=100), data)
        for model in (_functional(), models.linear(_kernel()))
    )
    assert "model_metrics" not in without
    # Two sums and a count, of 64 bits each.
    assert with_metrics["report_bits"] == without["report_bits"] + len(data) * 3 * 64
    for name, value in without.items():
        if name != "report_bits":
            np.testing.assert_array_equal(with_metrics[name], value)
