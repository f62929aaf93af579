import gc
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tasks import cnn
from tff_gs import learning, runtime

_CLIENTS = 3
_ROUNDS = 4


@pytest.fixture(scope="module")
def process():
    return learning.build_sparsified_fed_sgd(
        cnn.small_cnn((8, 8, 1), 10, 0), learning_rate=0.2, batch_size=4
    )


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return [
        (
            rng.random((size, 8, 8, 1), dtype=np.float32),
            rng.integers(0, 10, size).astype(np.int32),
        )
        for size in (6, 9, 5)
    ]


@pytest.fixture(scope="module")
def add_one():
    @tff.tensorflow.computation(tff.TensorType(np.float32, [2]))
    def add(vector):
        return vector + 1.0

    placed = tff.FederatedType(tff.TensorType(np.float32, [2]), tff.CLIENTS)

    @tff.federated_computation(placed)
    def comp(values):
        added = tff.federated_map(add, values)
        return added, tff.federated_sum(added)

    return comp


@pytest.fixture(scope="module")
def context():
    with runtime.execution_context() as installed:
        yield installed


def _run(process, data):
    state = process.initialize()
    state, clients, bits = process.initialize_clients(state, list(range(_CLIENTS)))
    metrics = []
    for _ in range(_ROUNDS):
        state, clients, measured, _ = process.next(state, clients, data)
        metrics.append(measured)
    return state, clients, metrics, bits


def _workers():
    """The ids of the worker processes of this process."""
    found = set()
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if "worker_binary" in text and f"PPid:\t{os.getpid()}\n" in text:
            found.add(int(status.parent.name))
    return found


def test_a_run_is_that_of_a_plain_context_to_the_bit(process, data, context):
    placed = context.place(data, process.next.type_signature.parameter.data)
    resident = _run(process, placed)
    assert isinstance(resident[1], runtime.ResidentValue)
    plain_context = tff.backends.native.create_sync_local_cpp_execution_context()
    with tff.framework.get_context_stack().install(plain_context):
        plain = _run(process, data)
    assert isinstance(plain[1], list)
    tf.nest.map_structure(
        np.testing.assert_array_equal,
        (resident[0], resident[1].fetch(), resident[2], resident[3]),
        plain,
    )
    assert resident[2][-1]["training_loss"] != resident[2][0]["training_loss"]


def test_a_list_serves_as_well_as_a_placed_value(process, data, context):
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, list(range(_CLIENTS)))
    placed = context.place(data, process.next.type_signature.parameter.data)
    from_handles = process.next(state, clients, placed)
    from_lists = process.next(state, clients.fetch(), data)
    tf.nest.map_structure(
        np.testing.assert_array_equal, from_handles.metrics, from_lists.metrics
    )


def test_the_servers_state_comes_back_without_travelling(process, data, context):
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, list(range(_CLIENTS)))
    state, clients, *_ = process.next(state, clients, data)
    changed = state._replace(weights=state.weights + np.float32(1))
    again = type(state)(*state)
    expected = process.next(again, clients, data)
    found = process.next(state, clients, data)
    tf.nest.map_structure(
        np.testing.assert_array_equal, found.metrics, expected.metrics
    )
    other = process.next(changed, clients, data)
    np.testing.assert_allclose(
        other.state.weights - found.state.weights, 1.0, atol=1e-5
    )
    # A structure that came from the runtime cannot be changed behind its back.
    with pytest.raises(ValueError, match="read-only"):
        state.weights[0] = 1.0


def test_only_clients_values_stay(add_one, context):
    values = [np.array([1.0, 2.0], np.float32), np.array([3.0, 4.0], np.float32)]
    added, total = add_one(values)
    np.testing.assert_array_equal(total, [6.0, 8.0])
    assert len(added) == 2
    assert str(added.type_signature) == "{float32[2]}@CLIENTS"
    added, total = add_one(added)
    np.testing.assert_array_equal(added.fetch(), [[3.0, 4.0], [5.0, 6.0]])
    np.testing.assert_array_equal(total, [8.0, 10.0])


def test_other_numbers_of_clients_live_side_by_side(add_one, context):
    one, _ = add_one([np.zeros(2, np.float32)])
    three, _ = add_one([np.zeros(2, np.float32)] * 3)
    np.testing.assert_array_equal(add_one(one)[1], [2.0, 2.0])
    np.testing.assert_array_equal(add_one(three)[1], [6.0, 6.0])


def test_arguments_of_different_numbers_of_clients_are_refused(context):
    placed = tff.FederatedType(np.float32, tff.CLIENTS)

    @tff.federated_computation(placed, placed)
    def pair(first, second):
        return tff.federated_zip((first, second))

    with pytest.raises(ValueError, match=r"same number of clients.*found \[1, 2\]"):
        pair([np.float32(1.0)], [np.float32(1.0), np.float32(2.0)])


def test_values_of_another_context_are_refused(add_one, context):
    mine, _ = add_one([np.zeros(2, np.float32)])
    with (
        runtime.execution_context(),
        pytest.raises(ValueError, match=r"ResidentValue of another one: fetch\(\)"),
    ):
        add_one(mine)


def test_the_worker_ends_with_the_block(add_one):
    before = _workers()
    with runtime.execution_context():
        add_one([np.zeros(2, np.float32)])
        assert len(_workers() - before) == 1
    assert _workers() == before


def test_dropped_values_leave_the_worker(context):
    size = 4_000_000
    placed = tff.TensorType(np.float32, [size])

    def place_and_drop(times):
        for _ in range(times):
            value = context.place([np.ones(size, np.float32)], placed)
            assert len(value) == 1
            del value
            gc.collect()

    def megabytes():
        kilobytes = 0
        for worker in _workers():
            status = pathlib.Path(f"/proc/{worker}/status").read_text()
            kilobytes += int(status.split("VmRSS:")[1].split()[0])
        return kilobytes / 1000

    place_and_drop(10)
    start = megabytes()
    place_and_drop(60)
    # Freed memory is not always given back at once: half of what 60 values would take.
    assert megabytes() - start < 30 * size * 4 / 1e6
