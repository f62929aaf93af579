"""Reaches the TFF worker process that a program starts for itself."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import grpc
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs.runtime import _channels, _worker_process, worker_errors
from tff_gs.runtime.worker_errors import WorkerError, WorkerLostError

__all__ = ["Stub", "WorkerError", "WorkerLostError", "running_worker"]

_START_SECONDS = 60.0
_POLL_SECONDS = 0.01


class Stub(tff.framework.RemoteExecutorGrpcStub):
    """Reaches the worker; its errors are those of `worker_errors.readable`."""

    def __init__(
        self, channel: grpc.Channel, how_it_ended: Callable[[], str | None]
    ) -> None:
        """Reaches by `channel` a worker that ended as the function says."""
        super().__init__(channel)
        self._how_it_ended = how_it_ended

    @override
    def get_executor(self, request: Any) -> Any:
        return self._readable(super().get_executor, request)

    @override
    def create_value(self, request: Any) -> Any:
        return self._readable(super().create_value, request)

    @override
    def create_struct(self, request: Any) -> Any:
        return self._readable(super().create_struct, request)

    @override
    def create_call(self, request: Any) -> Any:
        return self._readable(super().create_call, request)

    @override
    def create_selection(self, request: Any) -> Any:
        return self._readable(super().create_selection, request)

    @override
    def compute(self, request: Any) -> Any:
        return self._readable(super().compute, request)

    @override
    def dispose(self, request: Any) -> None:
        """Called when Python drops a value, at any moment."""
        # ValueError: the channel is closed. With the worker all values are gone.
        with contextlib.suppress(WorkerError, ValueError):
            self._readable(super().dispose, request)

    @override
    def dispose_executor(self, request: Any) -> None:
        with contextlib.suppress(WorkerError, ValueError):
            self._readable(super().dispose_executor, request)

    def _readable(self, call: Callable[[Any], Any], request: Any) -> Any:
        with worker_errors.readable(self._how_it_ended):
            return call(request)


@contextlib.contextmanager
def running_worker(
    *,
    max_concurrent_computation_calls: int,
    environment: Mapping[str, str],
) -> Iterator[Stub]:
    """Runs a worker on this machine for as long as the context lasts.

    Args:
      max_concurrent_computation_calls: How many calls of one computation the worker
        runs at the same time; 0 or less: no limit.
      environment: Variables of the worker's environment, beside the program's own.

    Yields:
      The stub that reaches the worker.

    Raises:
      WorkerError: If the worker ends, or does not answer, while it is started.
    """
    with (
        _worker_process.running_process(
            max_concurrent_computation_calls=max_concurrent_computation_calls,
            environment=environment,
        ) as worker,
        contextlib.closing(_channels.open_channel(worker.target)) as channel,
    ):
        stub = Stub(channel, worker.how_it_ended)
        _wait_until_ready(stub, worker)
        yield stub


def _wait_until_ready(stub: Stub, worker: _worker_process.WorkerProcess) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not stub.is_ready:
        if time.monotonic() > deadline:
            raise worker.unanswered()
        time.sleep(_POLL_SECONDS)
