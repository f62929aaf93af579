"""The TFF worker process: started, reached and ended by the program that uses it."""

import atexit
import contextlib
import ctypes
import os
import pathlib
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping

import grpc
import portpicker
import tensorflow_federated as tff

_BINARY = pathlib.Path(tff.__file__).parent / "data" / "worker_binary"
_MAX_MESSAGE_BYTES = 2 * 1000 * 1000 * 1000
_POLL_SECONDS = 0.02
_START_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1


class WorkerError(RuntimeError):
    """The worker process did not start."""


def _die_with_parent() -> None:
    """Runs in the child: without it the worker outlives a program that is killed."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@contextlib.contextmanager
def running_worker(
    *,
    max_concurrent_computation_calls: int,
    environment: Mapping[str, str],
) -> Iterator[tff.framework.RemoteExecutorGrpcStub]:
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
    port = portpicker.pick_unused_port()
    command = [
        os.fspath(_BINARY),
        f"--port={port}",
        f"--max_concurrent_computation_calls={max_concurrent_computation_calls}",
    ]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            # Ctrl-C in a terminal is for the program, which then ends the worker.
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        atexit.register(process.kill)
        channel = grpc.insecure_channel(
            f"localhost:{port}",
            [
                ("grpc.max_message_length", _MAX_MESSAGE_BYTES),
                ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
                ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
                # The first attempts come before the worker listens.
                ("grpc.initial_reconnect_backoff_ms", 50),
                ("grpc.min_reconnect_backoff_ms", 50),
                ("grpc.max_reconnect_backoff_ms", 200),
            ],
        )
        try:
            stub = tff.framework.RemoteExecutorGrpcStub(channel)
            _wait_until_ready(stub, process, log)
            yield stub
        finally:
            channel.close()
            process.kill()
            process.wait()
            atexit.unregister(process.kill)


def _wait_until_ready(
    stub: tff.framework.RemoteExecutorGrpcStub,
    process: subprocess.Popen,
    log: tempfile.TemporaryFile,
) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not stub.is_ready:
        if process.poll() is not None or time.monotonic() > deadline:
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines() or [""]
            raise WorkerError(
                "Expected the TFF worker process to answer, found it "
                f"{'ended' if process.poll() is not None else 'silent'}; its last "
                f"words: {lines[-1]!r}."
            )
        time.sleep(_POLL_SECONDS)
