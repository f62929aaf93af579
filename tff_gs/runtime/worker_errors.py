"""What a TFF worker process answers when a computation fails, as one sentence."""

import contextlib
import re
from collections.abc import Callable, Iterator

import grpc


class WorkerError(RuntimeError):
    """The worker process did not start, or could not do what it was asked to."""


class WorkerLostError(WorkerError):
    """A worker process ended, or was silent for too long, while it was in use.

    Attributes:
      address: Where it was reached, "host:port"; None: it was a process that this
        program had started.
    """

    def __init__(self, sentence: str, address: str | None = None) -> None:
        """Says of a worker how it was lost."""
        super().__init__(sentence)
        self.address = address


class WorkerNotReachedError(WorkerLostError):
    """A worker at an address did not answer at the start."""


# TensorFlow prints each part of an assertion's message in brackets, and C-escaped.
_ASSERTED = re.compile(
    r"assertion failed: \[(Expected\b.*?, found\b.*?)\](?: \[|\s*\n|\s*$)", re.DOTALL
)


def _not_known(error: grpc.RpcError) -> None:
    del error


@contextlib.contextmanager
def readable(
    loss: Callable[[grpc.RpcError], WorkerLostError | None] = _not_known,
) -> Iterator[None]:
    """Turns an error of a worker into one sentence, for as long as the context lasts.

    Args:
      loss: Says of an error that can be a connection which broke how the worker was
        lost; None: it was not, or it is not known which it is.

    Raises:
      ValueError: If an assertion of this library, or one of the same form, failed in a
        computation: its message "Expected ..., found ...".
      WorkerLostError: If the worker is lost.
      WorkerError: If another thing went wrong in the worker.
    """
    try:
        yield
    except grpc.RpcError as error:
        lost = loss(error) if _is_lost(error) else None
        if lost is not None:
            raise lost from error
        details = _details(error)
        asserted = _ASSERTED.search(details)
        if asserted is not None:
            raise ValueError(_unescaped(asserted[1])) from error
        raise WorkerError(
            f"The TFF worker process answered with an error: {_first_line(details)}"
        ) from error


def _is_lost(error: grpc.RpcError) -> bool:
    """Whether it can be the connection that broke, rather than the computation."""
    code = error.code() if isinstance(error, grpc.Call) else None
    return code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.INVALID_ARGUMENT)


def _details(error: grpc.RpcError) -> str:
    details = getattr(error, "details", None)
    return (details() if callable(details) else None) or str(error)


def _first_line(text: str) -> str:
    return text.strip().split("\n")[0]


def _unescaped(text: str) -> str:
    """The text that TensorFlow printed with C's escapes."""
    try:
        plain = text.encode().decode("unicode_escape")
    except UnicodeDecodeError:
        return text
    return plain.encode("latin-1", "replace").decode("utf-8", "replace")
