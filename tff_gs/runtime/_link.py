"""The connection to one worker process, which answers in bounded time or is lost.

TFF's own stub waits for ever for a worker that hangs. gRPC's keepalive is no way out:
TFF's server answers it with "Too many pings" and ends healthy long calls.
"""

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import grpc
from tensorflow_federated.proto.v0 import executor_pb2, executor_pb2_grpc

from tff_gs.runtime import worker_errors

#: Seconds in which a worker has to show that it lives.
PATIENCE = 60.0

# What a call to a worker elsewhere ends with if the worker is gone, or another one came
# in its place.
_OF_LOST_WORKERS = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)


class Link:
    """Asks one worker; its errors are those of `worker_errors`.

    Attributes:
      name: What the worker is called in sentences.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        name: str = "The TFF worker process",
        *,
        patience: float = PATIENCE,
        address: str | None = None,
        how_it_ended: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Begins to connect.

        Args:
          channel: Leads to the worker.
          name: See the class.
          patience: Seconds after which a worker that does not answer is lost.
          address: Where the worker is, "host:port", if it is not a process of this
            program: it is lost with its connection.
          how_it_ended: Says how the process of this program ended; None: it goes on.
        """
        self.name = name
        self._patience = patience
        self._address = address
        self._how_it_ended = how_it_ended
        self._stub = executor_pb2_grpc.ExecutorGroupStub(channel)
        self._told: set[grpc.Future] = set()
        self._is_ready = threading.Event()
        channel.subscribe(self._note, try_to_connect=True)

    def wait_until_ready(self, seconds: float) -> bool:
        """Whether the worker has been reached before this time is over."""
        return self._is_ready.wait(seconds)

    def start(self, method: str, request: Any) -> grpc.Future:
        """Sends a request, without waiting for the answer.

        Args:
          method: Its name in TFF's `ExecutorGroup`.
          request: A message of `executor_pb2`.
        """
        return getattr(self._stub, method).future(request)

    def tell(self, method: str, request: Any) -> None:
        """Sends a request whose answer nobody needs."""
        call = self.start(method, request)
        # gRPC cancels a call that nobody holds any more.
        self._told.add(call)
        call.add_done_callback(self._told.discard)

    def answer(self, call: grpc.Future) -> Any:
        """Waits for the answer to what was started; a computation may take long.

        Raises:
          WorkerLostError: If the worker has ended, or is silent for longer than the
            patience.
          WorkerError: If another thing went wrong in the worker.
          ValueError: If an assertion failed there; see `worker_errors`.
        """
        with worker_errors.readable(self._loss):
            while True:
                with contextlib.suppress(grpc.FutureTimeoutError):
                    return call.result(timeout=self._patience / 2)
                self._require_life(call)

    def ask(self, method: str, request: Any) -> Any:
        """Sends a request and waits for the answer; see `start` and `answer`."""
        return self.answer(self.start(method, request))

    def _require_life(self, call: grpc.Future) -> None:
        """A worker that lives answers this at once, whatever else it does."""
        nobody = executor_pb2.ExecutorId(id="")
        request = executor_pb2.DisposeExecutorRequest(executor=nobody)
        try:
            self._stub.DisposeExecutor(request, timeout=self._patience / 2)
        except grpc.RpcError as error:
            call.cancel()
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            raise worker_errors.WorkerLostError(
                f"{self.name} did not answer for {self._patience:g} seconds: it hangs, "
                "or its machine cannot be reached.",
                self._address,
            ) from error

    def _loss(self, error: grpc.RpcError) -> worker_errors.WorkerLostError | None:
        if self._address is not None:
            if error.code() not in _OF_LOST_WORKERS:
                return None
            told = f"{self.name} was lost: {error.code().name}, {error.details()}."
            return worker_errors.WorkerLostError(told, self._address)
        ending = self._how_it_ended()
        if ending is None:
            return None
        return worker_errors.WorkerLostError(
            f"{self.name} ended while it was in use: {ending}; out of memory is the "
            "usual cause."
        )

    def _note(self, connectivity: grpc.ChannelConnectivity) -> None:
        if connectivity is grpc.ChannelConnectivity.READY:
            self._is_ready.set()
