import numpy as np
import pytest
import tensorflow as tf

from launch import evaluation
from tasks import ACCURACY, TASKS, ClientData
from tff_gs import learning


@pytest.fixture(name="test_data", scope="module")
def _test_data():
    rng = np.random.default_rng(2)
    features = rng.normal(size=(50, 3)).astype(np.float32)
    return ClientData("test", features, rng.integers(0, 4, 50).astype(np.int32))


def _batches(data, size):
    return [
        (data.features[i : i + size], data.labels[i : i + size])
        for i in range(0, len(data.labels), size)
    ]


def test_it_is_the_evaluation_of_the_program(model_and_process, test_data, context):
    model, process = model_and_process
    here = evaluation.build_evaluate(model, process.objective, test_data, (ACCURACY,))
    batches = _batches(test_data, 8)
    federated = learning.build_federated_evaluation(
        learning.with_metrics(model, {"accuracy": learning.accuracy}),
        process,
        [batches[:1], batches[1:3], batches[3:]],
        context=context,
    )
    state = process.initialize()
    for weights in (state.weights, -state.weights):
        moved = state._replace(weights=weights)
        expected, found = here(moved), federated(moved)
        assert found["accuracy"] == expected["accuracy"]
        np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-6)
        assert found["examples"] == 50
    assert 0 < expected["accuracy"] < 1


def test_digits_at_the_clients_are_digits_at_the_program(context):
    task = TASKS.build("digits", {"clients": 5})
    data = task.load()
    model = task.build_model(0)
    process = learning.build_sparsified_fed_sgd(model, learning_rate=0.1)
    here = evaluation.build_evaluate(model, process.objective, data.test, task.metrics)
    batches = _batches(data.test, 32)
    federated = learning.build_federated_evaluation(
        learning.with_metrics(model, {"accuracy": learning.accuracy}),
        process,
        [batches[:4], batches[4:]],
        context=context,
    )
    state = process.initialize()
    expected, found = here(state), federated(state)
    assert found["examples"] == len(data.test.labels) == 355
    assert found["accuracy"] == expected["accuracy"]
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=1e-6)


def test_data_of_an_evaluation_are_checked_and_may_be_datasets(
    model_and_process, test_data, context
):
    model, process = model_and_process
    measured = learning.with_metrics(model, {"accuracy": learning.accuracy})
    batches = _batches(test_data, 8)
    dataset = tf.data.Dataset.from_tensor_slices(
        (test_data.features, test_data.labels)
    ).batch(8)
    state = process.initialize()
    found, expected = (
        learning.build_federated_evaluation(measured, process, [data], context=context)(
            state
        )
        for data in (dataset, batches)
    )
    assert found == expected
    bad = (test_data.features[:2, :2], test_data.labels[:2])
    for data, message in (
        ([], "batches of each client, of at least one client, found none"),
        ([batches, [batches[0], bad]], r"element 1 of client 1, found float32\[2,2\]"),
        ([dataset.repeat()], "as client 0, found an infinite one"),
    ):
        with pytest.raises(ValueError, match=message):
            learning.build_federated_evaluation(
                measured, process, data, context=context
            )
