"""Computations in a resident context."""

import contextlib
import gc
import os
import pathlib
import re
import signal
import threading

import numpy as np
import psutil
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tasks import cnn
from tff_gs import learning, runtime
from tff_gs.runtime import _worker, worker_errors

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


@pytest.fixture(scope="module", params=[None, 2], ids=["one_worker", "two_workers"])
def context(request):
    with runtime.execution_context(workers=request.param) as installed:
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
        # One that has ended, and that nobody has waited for yet, is none.
        lives = "State:\tZ" not in text
        if lives and "worker_binary" in text and f"PPid:\t{os.getpid()}\n" in text:
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
    assert _workers() <= before


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
        for number in _workers():
            status = pathlib.Path(f"/proc/{number}/status").read_text()
            kilobytes += int(status.split("VmRSS:")[1].split()[0])
        return kilobytes / 1000

    place_and_drop(6)
    start = megabytes()
    place_and_drop(20)
    # Freed memory is not always given back at once: half of what 20 values would take.
    assert megabytes() - start < 10 * size * 4 / 1e6


def test_a_value_of_a_closed_context_says_so(add_one):
    with runtime.execution_context() as closed:
        value, _ = add_one([np.zeros(2, np.float32)])
    message = "found one whose with block has ended"
    with pytest.raises(ValueError, match=message):
        value.fetch()
    with pytest.raises(ValueError, match=message):
        closed.place([np.zeros(2, np.float32)], value.type_signature)
    with (
        pytest.raises(ValueError, match=message),
        tff.framework.get_context_stack().install(closed),
    ):
        add_one([np.zeros(2, np.float32)])
    with pytest.raises(ValueError, match=message), runtime.execution_context():
        add_one(value)


def test_a_lost_worker_is_named_with_its_signal(add_one, capfd):
    before = _workers()
    with runtime.execution_context() as context:
        value, _ = add_one([np.zeros(2, np.float32)])
        (number,) = _workers() - before
        os.kill(number, signal.SIGKILL)
        for call, *arguments in (
            (add_one, value),
            (add_one, [np.zeros(2, np.float32)] * 3),
            (value.fetch,),
            (context.place, [np.zeros(2, np.float32)], value.type_signature),
        ):
            with pytest.raises(runtime.WorkerLostError, match=r"signal 9 \(SIGKILL\)"):
                call(*arguments)
        # What Python drops is dropped without a word.
        del value, call, arguments
        gc.collect()
    assert "Traceback" not in capfd.readouterr().err


@pytest.fixture(scope="module")
def checked():
    """A client's number, which an assertion wants to be positive."""

    @tff.tensorflow.computation(np.float32)
    def check(x):
        positive = tf.debugging.assert_greater(
            x, 0.0, "Expected 3 of all clients' rounds, found 2: pass 'it' [é]."
        )
        with tf.control_dependencies([positive]):
            return tf.identity(x)

    @tff.federated_computation(tff.FederatedType(np.float32, tff.CLIENTS))
    def comp(values):
        return tff.federated_map(check, values)

    @tff.federated_computation(tff.FederatedType(np.float32, tff.CLIENTS))
    def summed(values):
        return tff.federated_sum(comp(values))

    return comp, summed


def test_a_failed_assertion_is_its_sentence(checked, context):
    comp, summed = checked
    sentence = re.escape("Expected 3 of all clients' rounds, found 2: pass 'it' [é].")
    bad = [np.float32(1.0), np.float32(-1.0)]
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        summed(bad)
    values = comp(bad)
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        values.fetch()
    # The worker goes on.
    assert summed([np.float32(1.0), np.float32(2.0)]) == 3.0
    plain = tff.backends.native.create_sync_local_cpp_execution_context()
    with (
        pytest.raises(ValueError, match=f"^{sentence}$"),
        worker_errors.readable(),
        tff.framework.get_context_stack().install(plain),
    ):
        summed(bad)


def test_another_error_in_the_worker_is_one_sentence(context):
    @tff.tensorflow.computation(np.float32)
    def reshape(x):
        return tf.reshape(tf.range(tf.cast(x, tf.int32)), [3, -1])

    @tff.federated_computation(tff.FederatedType(np.float32, tff.CLIENTS))
    def comp(values):
        return tff.federated_map(reshape, values)

    values = comp([np.float32(4.0)])
    with pytest.raises(runtime.WorkerError, match="reshape is a tensor") as error:
        values.fetch()
    assert "\n" not in str(error.value)


def test_a_context_outlives_the_thread_that_entered_it(add_one, context):
    entered, contexts = contextlib.ExitStack(), []

    def enter():
        contexts.append(entered.enter_context(runtime.execution_context()))

    def in_a_thread(function):
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()

    before = _workers()
    in_a_thread(enter)
    # TFF installs contexts for a thread.
    with tff.framework.get_context_stack().install(contexts[0]):
        added, total = add_one([np.ones(2, np.float32)])
        np.testing.assert_array_equal(total, [2.0, 2.0])
        np.testing.assert_array_equal(added.fetch(), [[2.0, 2.0]])
    in_a_thread(entered.close)
    # Another test's may have ended meanwhile.
    assert _workers() <= before


def test_no_proxy_is_asked_for_the_worker(monkeypatch):
    # Nobody answers at this port: whoever asks waits for a minute.
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("no_grpc_proxy", raising=False)
    monkeypatch.setattr(_worker, "_START_SECONDS", 20.0)
    with runtime.execution_context() as context:
        placed = context.place([np.float32(2.0)], np.float32)
        assert placed.fetch() == [2.0]


_TO_ADD = tff.FederatedType(tff.TensorType(np.float32, [2]), tff.CLIENTS)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "at least one client, found none"),
        (np.float32(1.0), "in a list, found an object of float32"),
        ({"a": np.zeros(2, np.float32)}, "in a list, found an object of dict"),
        ([np.zeros(3, np.float32)], r"float32\[2\] as client 0, found float32\[3\]"),
        (
            [np.zeros(2, np.float32), np.array([0.1, 0.2])],
            r"client 1, found float64\[2\] with entries that float32 does not hold",
        ),
        ([np.zeros(2, np.int32)], r"as client 0, found int32\[2\]"),
        (["ab"], "as client 0, found 'ab'"),
    ],
)
def test_lists_are_checked_before_they_are_placed(add_one, context, values, message):
    for call in (add_one, lambda v: context.place(v, _TO_ADD)):
        with pytest.raises(ValueError, match=message) as error:
            call(values)
        assert "\n" not in str(error.value)


def test_memory_is_flat_for_varying_numbers_of_clients(process, data):
    before = _workers()

    def use(clients):
        state = process.initialize()
        state, states, _ = process.initialize_clients(state, list(range(clients)))
        return process.next(state, states, data[:1] * clients).metrics

    with runtime.execution_context():
        (number,) = _workers() - before
        seen = psutil.Process(number)
        for _ in range(3):
            use(3)
        memory, threads, files = _usage(seen)
        for clients in range(1, 13):
            use(clients)
        now_memory, now_threads, now_files = _usage(seen)
    # Each of these twelve took some ten megabytes and four threads for good.
    assert now_memory < 1.3 * memory
    assert now_threads <= threads + 4
    assert now_files <= files


def _usage(seen):
    return seen.memory_info().rss, seen.num_threads(), seen.num_fds()


def test_a_value_keeps_its_executor(add_one, context):
    kept, _ = add_one([np.ones(2, np.float32)] * 5)
    placed = context.place([np.ones(2, np.float32)] * 4, _TO_ADD)
    for clients in range(6, 12):
        add_one([np.zeros(2, np.float32)] * clients)
    np.testing.assert_array_equal(kept.fetch(), [[2.0, 2.0]] * 5)
    np.testing.assert_array_equal(add_one(placed)[1], [8.0, 8.0])
