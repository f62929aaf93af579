"""Starts or reaches workers, and makes an execution context of them."""

import atexit
import contextlib
import os
from collections.abc import Iterator, Sequence

import tensorflow_federated as tff

from tff_gs.runtime import (
    _default_context,
    _delivery,
    _link,
    _remote_worker,
    _worker,
    _workers,
)
from tff_gs.runtime.resident import ResidentContext

atexit.register(_default_context.let_go)


@contextlib.contextmanager
def execution_context(
    *,
    workers: int | Sequence[str] | None = None,
    patience: float = _link.PATIENCE,
    max_concurrent_computation_calls: int | None = None,
    intra_op_threads: int | None = None,
) -> Iterator[ResidentContext]:
    """Makes a resident context TFF's default; its workers end with the `with` block.

    Args:
      workers: Those that compute what clients do: how many processes of this machine,
        or the addresses of workers that run, "host:port" each. One that is to have
        twice as many clients as the others is "host:port*2". What the server does is
        then computed by one more process of this machine. None: one process of this
        machine computes everything.
      patience: Seconds after which a worker that does not answer is lost.
      max_concurrent_computation_calls: How many clients compute at the same time in a
        worker of this machine; by default one per processor core.
      intra_op_threads: How many threads one operation uses there; by default as many
        as TensorFlow finds cores.

    Raises:
      ValueError: In one sentence, if `workers` or `patience` cannot be used.
      WorkerError: If a worker does not start.
      WorkerLostError: If an address is of no worker.
    """
    _check(workers, patience)
    calls = max_concurrent_computation_calls or len(os.sched_getaffinity(0))
    with contextlib.ExitStack() as held:

        def start(name: str) -> _workers.Worker:
            link = held.enter_context(
                _worker.running_worker(
                    max_concurrent_computation_calls=calls,
                    environment=_environment(intra_op_threads),
                    name=name,
                    patience=patience,
                )
            )
            files = held.enter_context(contextlib.closing(_delivery.FileDelivery()))
            return _workers.Worker(link, files)

        server = start("The TFF worker process")
        if workers is None:
            others = [server]
        elif isinstance(workers, int):
            others = [start(f"TFF worker process {n + 1}") for n in range(workers)]
        else:
            others = [
                held.enter_context(_remote_worker.reached(address, patience=patience))
                for address in workers
            ]
        context = ResidentContext(server, others)
        held.enter_context(contextlib.closing(context))
        held.enter_context(tff.framework.get_context_stack().install(context))
        yield context


def _check(workers: int | Sequence[str] | None, patience: float) -> None:
    if not patience > 0:
        raise ValueError(f"Expected a patience above 0 seconds, found {patience}.")
    if isinstance(workers, str):
        raise ValueError(
            f"Expected a list of workers' addresses, found the text {workers!r}."
        )
    if workers is None:
        return
    if (workers if isinstance(workers, int) else len(workers)) < 1:
        raise ValueError(f"Expected at least one worker, found {workers}.")


def _environment(intra_op_threads: int | None) -> dict[str, str]:
    """Variables of a worker's environment, beside the program's own."""
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
