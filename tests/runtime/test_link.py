"""A worker answers in bounded time, or it is lost."""

import gc
import os
import signal

import grpc
import numpy as np
import psutil
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from tensorflow.python.data.experimental.ops import testing

from tff_gs import runtime
from tff_gs.runtime import _executors, _link, _worker, _worker_process

_ONE = np.float32(1.0)


def _workers():
    return {
        child.pid
        for child in psutil.Process().children()
        if child.name() == "worker_binary"
    }


def _started(number):
    return psutil.Process(number).create_time()


@tff.tensorflow.computation(np.int32)
def _sleep(x):
    """Takes two seconds."""
    slow = tf.data.Dataset.from_tensors(x).apply(testing.sleep(1_000_000))
    return slow.reduce(np.int32(0), tf.add)


@tff.federated_computation(tff.FederatedType(np.int32, tff.CLIENTS))
def _sleeping_sum(x):
    return tff.federated_sum(tff.federated_map(_sleep, x))


def test_a_worker_that_hangs_is_lost():
    before = _workers()
    with runtime.execution_context(patience=1.0) as context:
        value = context.place([_ONE], np.float32)
        (number,) = _workers() - before
        os.kill(number, signal.SIGSTOP)
        with pytest.raises(runtime.WorkerLostError, match="did not answer for 1 sec"):
            value.fetch()


@pytest.mark.parametrize("workers", [None, 2])
def test_a_computation_may_take_longer_than_the_patience(workers):
    with runtime.execution_context(workers=workers, patience=1.6):
        assert _sleeping_sum([3, 4]) == 7


def test_one_of_several_is_lost_with_its_name():
    before = _workers()
    with runtime.execution_context(workers=2, patience=1.0) as context:
        placed = context.place([_ONE] * 4, np.float32)
        # They were started in the order of their names.
        last = max(
            _workers() - before, key=lambda pid: psutil.Process(pid).create_time()
        )
        os.kill(last, signal.SIGSTOP)
        with pytest.raises(runtime.WorkerLostError, match=r"^TFF worker process 2 did"):
            placed.fetch()
        os.kill(last, signal.SIGKILL)
        with pytest.raises(runtime.WorkerLostError, match=r"signal 9 \(SIGKILL\)"):
            placed.fetch()


def test_a_dropped_value_asks_nobody_until_the_next_call(monkeypatch):
    asked, start = [], _link.Link.start

    def noted(self, method, request):
        asked.append(method)
        return start(self, method, request)

    with runtime.execution_context() as context:
        kept = context.place([_ONE], np.float32)
        dropped = context.place([_ONE], np.float32)
        monkeypatch.setattr(_link.Link, "start", noted)
        del dropped
        gc.collect()
        assert asked == []
        assert kept.fetch() == [_ONE]
        context.place([_ONE], np.float32)
        assert asked.count("Dispose") == 1


def test_what_is_left_of_a_worker_that_ended_is_closed_without_a_word():
    before = _workers()
    with _worker.running_worker(
        max_concurrent_computation_calls=1,
        environment=_worker_process.usual_environment(),
    ) as link:
        assert isinstance(link, _link.Link)
        executors = _executors.Executors(link)
        executors.use(2)
        (number,) = _workers() - before
        os.kill(number, signal.SIGKILL)
        executors.close()


class _Error(grpc.RpcError, grpc.Call):
    """What a call ends with."""

    def __init__(self, code):
        self._code = code

    def code(self):
        return self._code

    def details(self):
        return "Socket closed"


_Error.__abstractmethods__ = frozenset()


class _Call:
    """A call that ends with an error."""

    def __init__(self, code):
        self._code = code

    def result(self, timeout):
        del timeout
        raise _Error(self._code)


@pytest.fixture(name="elsewhere", scope="module")
def _elsewhere():
    with grpc.insecure_channel("127.0.0.1:9") as channel:
        yield _link.Link(
            channel, "The worker at 10.0.0.2:8470", address="10.0.0.2:8470"
        )


def test_a_worker_elsewhere_is_lost_with_its_connection(elsewhere):
    with pytest.raises(runtime.WorkerLostError) as error:
        elsewhere.answer(_Call(grpc.StatusCode.UNAVAILABLE))
    assert error.value.address == "10.0.0.2:8470"
    assert str(error.value) == (
        "The worker at 10.0.0.2:8470 was lost: UNAVAILABLE, Socket closed."
    )


@pytest.mark.parametrize("name", ["RESOURCE_EXHAUSTED", "INTERNAL", "UNIMPLEMENTED"])
def test_a_worker_elsewhere_that_refuses_is_not_lost(elsewhere, name):
    with pytest.raises(runtime.WorkerError, match="Socket closed") as error:
        elsewhere.answer(_Call(grpc.StatusCode[name]))
    assert not isinstance(error.value, runtime.WorkerLostError)
