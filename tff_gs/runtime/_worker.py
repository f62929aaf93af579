"""Reaches workers: those that a program starts for itself, and those of others."""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping

from tff_gs.runtime import (
    _addresses,
    _certificates,
    _channels,
    _link,
    _worker_process,
)

_START_SECONDS = 60.0


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
    with (
        _worker_process.running_process(
            max_concurrent_computation_calls=max_concurrent_computation_calls,
            environment=environment,
        ) as worker,
        contextlib.closing(_channels.open_channel(worker.target)) as channel,
    ):
        link = _link.Link(
            channel, name, patience=patience, how_it_ended=worker.how_it_ended
        )
        if not link.wait_until_ready(_START_SECONDS):
            raise worker.unanswered()
        yield link


@contextlib.contextmanager
def reached_worker(
    address: _addresses.WorkerAddress,
    *,
    certificate: pathlib.Path | None = None,
    patience: float = _link.PATIENCE,
) -> Iterator[_link.Link]:
    """Connects to a worker that runs, for as long as the context lasts.

    Args:
      address: Where it is.
      certificate: As of `_certificates.check`; None: neither side shows one.
      patience: Seconds after which a worker that does not answer is lost.

    Yields:
      What will reach the worker; it has only begun to connect.

    Raises:
      ValueError: In one sentence, if the certificate cannot be used.
    """
    if certificate is not None:
        _certificates.check(certificate)
    target = address.target
    channel = _channels.open_channel(target, certificate)
    with contextlib.closing(channel):
        yield _link.Link(
            channel, f"The worker at {target}", patience=patience, address=target
        )
