"""The TFF worker process: started, reached and ended by the program that uses it."""

import atexit
import concurrent.futures
import contextlib
import functools
import os
import pathlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

import grpc
import portpicker
import tensorflow_federated as tff

from tff_gs.runtime import _link
from tff_gs.runtime.worker_errors import WorkerError


class LastingThread:
    """Runs functions one after the other, in a thread of its own.

    Unlike an executor of `concurrent.futures` it also serves threads that go on after
    the main thread has ended.
    """

    def __init__(self, name: str) -> None:
        """Starts the thread.

        Args:
          name: The thread's.
        """
        self._calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """What the function returns, or raises, in the thread."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._calls.put((future, function, args))
        return future.result()

    def end(self) -> None:
        """Ends the thread when all that it was given is done."""
        self._calls.put(None)

    def _serve(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function, args = call
            try:
                future.set_result(function(*args))
            except BaseException as error:
                future.set_exception(error)
            # Nothing of a call is held while the thread waits for the next one.
            del call, future, function, args


_DYING_WITH_PARENT = pathlib.Path(__file__).with_name("_dying_with_parent.py")
_BINARY = pathlib.Path(tff.__file__).parent / "data" / "worker_binary"
_MAX_MESSAGE_BYTES = 2 * 1000 * 1000 * 1000
_POLL_SECONDS = 0.02
_START_SECONDS = 60.0
# A connection breaks a little before the process that it leads to is seen to end.
_END_SECONDS = 2.0


def _ending(process: subprocess.Popen) -> str | None:
    """How the process ended; None: it goes on."""
    try:
        code = process.wait(_END_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"


@functools.cache
def _starter() -> LastingThread:
    """The thread that starts all workers: they are killed when their thread ends."""
    return LastingThread("tff_gs worker starter")


# A process that was forked has none of its parent's threads.
os.register_at_fork(after_in_child=_starter.cache_clear)


@contextlib.contextmanager
def running_worker(
    *,
    max_concurrent_computation_calls: int,
    environment: Mapping[str, str],
    name: str = "The TFF worker process",
    patience: float = _link.PATIENCE,
) -> Iterator[_link.Link]:
    """Runs a worker on this machine for as long as the context lasts.

    Args:
      max_concurrent_computation_calls: How many calls of one computation the worker
        runs at the same time; 0 or less: no limit.
      environment: Variables of the worker's environment, beside the program's own.
      name: What the worker is called in sentences.
      patience: Seconds after which a worker that does not answer is lost.

    Yields:
      What reaches the worker.

    Raises:
      WorkerError: If the worker ends, or does not answer, while it is started.
    """
    port = portpicker.pick_unused_port()
    command = [
        # No code of ours runs between fork and exec: see the script.
        *(sys.executable, "-I", "-S", os.fspath(_DYING_WITH_PARENT), str(os.getpid())),
        os.fspath(_BINARY),
        f"--port={port}",
        f"--max_concurrent_computation_calls={max_concurrent_computation_calls}",
    ]
    with tempfile.TemporaryFile() as log:
        start = functools.partial(
            subprocess.Popen,
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            # Ctrl-C in a terminal is for the program, which then ends the worker.
            start_new_session=True,
        )
        process = _starter().run(start)
        atexit.register(process.kill)
        channel = _channel(port)
        try:
            link = _link.Link(
                channel,
                name,
                patience=patience,
                how_it_ended=functools.partial(_ending, process),
            )
            _wait_until_ready(link, process, log)
            yield link
        finally:
            channel.close()
            process.kill()
            process.wait()
            atexit.unregister(process.kill)


def _channel(port: int) -> grpc.Channel:
    return grpc.insecure_channel(
        f"localhost:{port}",
        [
            ("grpc.max_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
            # The worker is on this machine, whatever http_proxy says.
            ("grpc.enable_http_proxy", 0),
            # The first attempts come before the worker listens.
            ("grpc.initial_reconnect_backoff_ms", 50),
            ("grpc.min_reconnect_backoff_ms", 50),
            ("grpc.max_reconnect_backoff_ms", 200),
        ],
    )


def _wait_until_ready(
    link: _link.Link, process: subprocess.Popen, log: IO[bytes]
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not link.is_ready:
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines() or [""]
            ending = "silent" if process.poll() is None else _ending(process)
            raise WorkerError(
                "Expected the TFF worker process to answer when it starts, found "
                f"{ending}; its last words: {lines[-1]!r}."
            )
        time.sleep(_POLL_SECONDS)
