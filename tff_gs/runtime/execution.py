"""Starts or reaches workers, and makes an execution context of them."""

import atexit
import contextlib
import functools
import os
import pathlib
import time
from collections.abc import Iterator, Sequence

import tensorflow_federated as tff
from absl import logging

from tff_gs.runtime import (
    _addresses,
    _default_context,
    _delivery,
    _link,
    _worker,
    _worker_process,
    _workers,
    worker_errors,
)
from tff_gs.runtime.resident import ResidentContext

atexit.register(_default_context.let_go)


@contextlib.contextmanager
def execution_context(
    *,
    workers: int | Sequence[str] | None = None,
    certificate: str | os.PathLike[str] | None = None,
    patience: float = _link.PATIENCE,
    needs_all: bool = True,
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
      certificate: The file that workers at addresses were started with, if they were;
        see docs/several_machines.md.
      patience: Seconds after which a worker that does not answer is lost.
      needs_all: Whether there has to be a worker at each address; else those that
        answer are used, if there is one.
      max_concurrent_computation_calls: How many clients compute at the same time in a
        worker of this machine; by default as many as there are processor cores for
        each worker, at least one.
      intra_op_threads: How many threads one operation uses there; by default as many
        as TensorFlow finds cores.

    Raises:
      ValueError: In one sentence, if an argument cannot be used.
      WorkerError: If a worker does not start.
      WorkerNotReachedError: If nobody answers at an address.
    """
    if not patience > 0:
        raise ValueError(f"Expected a patience above 0 seconds, found {patience}.")
    addresses = _check(workers)
    count = workers if isinstance(workers, int) else 0
    cores = len(os.sched_getaffinity(0)) // max(1, count)
    start = functools.partial(
        _started,
        calls=max_concurrent_computation_calls or max(1, cores),
        intra_op_threads=intra_op_threads,
        patience=patience,
    )
    path = None if certificate is None else pathlib.Path(certificate)
    with contextlib.ExitStack() as held:
        server = held.enter_context(start("The TFF worker process"))
        names = [f"TFF worker process {number + 1}" for number in range(count)]
        others = [held.enter_context(start(name)) for name in names]
        if addresses:
            reach = _reached(addresses, path, patience, needs_all=needs_all)
            others = held.enter_context(reach)
        context = ResidentContext(server, others or [server])
        held.enter_context(contextlib.closing(context))
        held.enter_context(tff.framework.get_context_stack().install(context))
        yield context


def _check(workers: int | Sequence[str] | None) -> list[_addresses.WorkerAddress]:
    """The addresses, if `workers` are some; ValueError if it cannot be used."""
    if workers is None:
        return []
    if isinstance(workers, str):
        raise ValueError(
            f"Expected a list of workers' addresses, found the text {workers!r}."
        )
    if (workers if isinstance(workers, int) else len(workers)) < 1:
        raise ValueError(f"Expected at least one worker, found {workers}.")
    if isinstance(workers, int):
        return []
    return [_addresses.parse_address(text) for text in workers]


@contextlib.contextmanager
def _started(
    name: str, *, calls: int, intra_op_threads: int | None, patience: float
) -> Iterator[_workers.Worker]:
    """A worker of this machine."""
    with (
        _worker.running_worker(
            max_concurrent_computation_calls=calls,
            environment=_worker_process.usual_environment(intra_op_threads),
            name=name,
            patience=patience,
        ) as link,
        contextlib.closing(_delivery.FileDelivery()) as files,
    ):
        yield _workers.Worker(link, files)


@contextlib.contextmanager
def _reached(
    addresses: Sequence[_addresses.WorkerAddress],
    certificate: pathlib.Path | None,
    patience: float,
    *,
    needs_all: bool,
) -> Iterator[list[_workers.Worker]]:
    """The workers at the addresses that answer within the patience."""
    with contextlib.ExitStack() as held:
        reach = functools.partial(
            _worker.reached_worker, certificate=certificate, patience=patience
        )
        # All of them begin to connect.
        links = [held.enter_context(reach(address)) for address in addresses]
        yield _ready(addresses, links, patience, needs_all=needs_all)


def _ready(
    addresses: Sequence[_addresses.WorkerAddress],
    links: Sequence[_link.Link],
    patience: float,
    *,
    needs_all: bool,
) -> list[_workers.Worker]:
    """Those of them that answer; see `execution_context`."""
    end = time.monotonic() + patience
    found, missing = [], []
    for address, link in zip(addresses, links, strict=True):
        if link.wait_until_ready(max(0.0, end - time.monotonic())):
            delivery = _delivery.Delivery()
            found.append(_workers.Worker(link, delivery, share=address.share))
        else:
            missing.append(address.target)
    if missing and (needs_all or not found):
        raise worker_errors.WorkerNotReachedError(
            f"Expected a worker at {' and '.join(missing)}, found none that answers "
            f"within {patience:g} seconds: start launch.worker there.",
            missing[0],
        )
    if missing:
        logging.warning("Going on without the worker at %s.", " and ".join(missing))
    return found
