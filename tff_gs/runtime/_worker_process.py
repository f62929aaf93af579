"""A TFF worker process: started, seen to end, and ended.

Nothing here needs TensorFlow.
"""

import atexit
import contextlib
import functools
import importlib.util
import os
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import IO

from tff_gs.runtime import _lasting_thread, _worker_door
from tff_gs.runtime.worker_errors import WorkerError

_DYING_WITH_PARENT = pathlib.Path(__file__).with_name("_dying_with_parent.py")
_START_SECONDS = 60.0
_POLL_SECONDS = 0.02
# A connection breaks a little before the process that it leads to is seen to end.
_END_SECONDS = 2.0


class WorkerProcess:
    """A worker that runs, and where it is reached.

    Attributes:
      address: The path of a Unix socket; or the host and the port, if the worker could
        not be kept off the network.
    """

    def __init__(
        self, process: subprocess.Popen, address: _worker_door.Address, log: IO[bytes]
    ) -> None:
        """Is of a process that writes what it says to `log`."""
        self.address = address
        self._process, self._log = process, log

    @property
    def target(self) -> str:
        """The address as gRPC writes it."""
        if isinstance(self.address, str):
            return f"unix:{self.address}"
        host, port = self.address
        return f"{host}:{port}"

    def how_it_ended(self) -> str | None:
        """How the process ended; None: it goes on."""
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"signal {-code} ({signal.Signals(-code).name})"
        except ValueError:
            return f"signal {-code}"

    def wait_until_it_listens(self) -> None:
        """Raises WorkerError if the worker ends before that, or is silent."""
        deadline = time.monotonic() + _START_SECONDS
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise self.unanswered()
            time.sleep(_POLL_SECONDS)

    def unanswered(self) -> WorkerError:
        """What there is to say of a worker that does not answer."""
        return WorkerError(
            "Expected the TFF worker process to answer when it starts, found "
            f"{self.how_it_ended() or 'silent'}; its last words: "
            f"{self._last_words()!r}."
        )

    def _listens(self) -> bool:
        is_path = isinstance(self.address, str)
        family = socket.AF_UNIX if is_path else socket.AF_INET
        with socket.socket(family) as probe:
            return probe.connect_ex(self.address) == 0

    def _last_words(self) -> str:
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


@contextlib.contextmanager
def running_process(
    *, max_concurrent_computation_calls: int, environment: Mapping[str, str]
) -> Iterator[WorkerProcess]:
    """Runs a worker on this machine for as long as the context lasts.

    Args:
      max_concurrent_computation_calls: How many calls of one computation the worker
        runs at the same time; 0 or less: no limit.
      environment: Variables of the worker's environment, beside the program's own.

    Yields:
      The worker, which listens.

    Raises:
      WorkerError: If the worker ends, or does not answer, while it is started.
      SpoolError: If there is no temporary directory for its socket.
    """
    with _worker_door.opened() as door, tempfile.TemporaryFile() as log:
        start = functools.partial(
            subprocess.Popen,
            _command(door.port, max_concurrent_computation_calls),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment, **door.environment},
            pass_fds=door.inherited,
            # Ctrl-C in a terminal is for the program, which then ends the worker.
            start_new_session=True,
        )
        process = _starter().run(start)
        atexit.register(process.kill)
        try:
            door.hand_over()
            worker = WorkerProcess(process, door.address, log)
            worker.wait_until_it_listens()
            yield worker
        finally:
            process.kill()
            process.wait()
            atexit.unregister(process.kill)


def usual_environment(intra_op_threads: int | None = None) -> dict[str, str]:
    """Variables of a worker's environment that make it quick and small.

    Args:
      intra_op_threads: How many threads one operation uses; None: as many as
        TensorFlow finds cores.
    """
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # oneDNN's own allocator doubles its regions and never gives one back: a fifth
        # more memory than the clients' values need.
        "TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1",
        # With an arena for each thread, what one frees is of no use to the others, and
        # the executors of many numbers of clients leave more and more memory; with one
        # for all, threads wait for each other.
        "MALLOC_ARENA_MAX": os.environ.get("MALLOC_ARENA_MAX", "2"),
    }
    if intra_op_threads is not None:
        environment["TF_NUM_INTRAOP_THREADS"] = str(intra_op_threads)
    return environment


@functools.cache
def _starter() -> _lasting_thread.LastingThread:
    """The thread that starts all workers: they are killed when their thread ends."""
    return _lasting_thread.LastingThread("tff_gs worker starter")


# A process that was forked has none of its parent's threads.
os.register_at_fork(after_in_child=_starter.cache_clear)


def _command(port: int, max_concurrent_computation_calls: int) -> list[str]:
    return [
        # No code of ours runs between fork and exec: see the script.
        *(sys.executable, "-I", "-S", os.fspath(_DYING_WITH_PARENT), str(os.getpid())),
        os.fspath(_binary()),
        f"--port={port}",
        f"--max_concurrent_computation_calls={max_concurrent_computation_calls}",
    ]


def _binary() -> pathlib.Path:
    """TFF's worker; finds it without the seconds that an import takes."""
    spec = importlib.util.find_spec("tensorflow_federated")
    if spec is None or spec.origin is None:
        raise WorkerError("Expected tensorflow_federated to be installed, found none.")
    return pathlib.Path(spec.origin).parent / "data" / "worker_binary"
