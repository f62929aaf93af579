"""Reaches a worker that runs already, on this machine or another."""

import contextlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import grpc

from tff_gs.runtime import _delivery, _link, _workers, worker_errors

_MAX_MESSAGE_BYTES = 2 * 1000 * 1000 * 1000
_FORM = re.compile(r"(?P<target>.+:\d+)(?:\*(?P<share>[1-9]\d*))?")


class Address(NamedTuple):
    """Where a worker is.

    Attributes:
      target: Host and port, "host:port".
      share: How many clients it is to have in comparison to the others.
    """

    target: str
    share: int


def parse(text: str) -> Address:
    """Reads "host:port", or "host:port*2" for a share of 2.

    >>> parse("10.0.0.2:8470*2")
    Address(target='10.0.0.2:8470', share=2)

    Raises:
      ValueError: In one sentence, if it is neither.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(
            f"Expected the address of a worker as host:port or host:port*SHARE, found "
            f"{text!r}."
        )
    return Address(found["target"], int(found["share"] or 1))


@contextlib.contextmanager
def reached(text: str, *, patience: float) -> Iterator[_workers.Worker]:
    """Connects to a worker for as long as the context lasts.

    Args:
      text: Its address, as of `parse`.
      patience: Seconds after which a worker that does not answer is lost.

    Raises:
      ValueError: In one sentence, if it is no address.
      WorkerLostError: If nobody answers there.
    """
    address = parse(text)
    name = f"The worker at {address.target}"
    with contextlib.closing(_channel(address.target)) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=patience)
        except grpc.FutureTimeoutError as error:
            raise worker_errors.WorkerLostError(
                f"{name} does not answer: is it running, and this its address?", name
            ) from error
        link = _link.Link(channel, name, patience=patience)
        yield _workers.Worker(link, _delivery.Delivery(), share=address.share)


def _channel(target: str) -> grpc.Channel:
    return grpc.insecure_channel(
        target,
        [
            ("grpc.max_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
            # Workers are reached directly, whatever http_proxy says.
            ("grpc.enable_http_proxy", 0),
        ],
    )
