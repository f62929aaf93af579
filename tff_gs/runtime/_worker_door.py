"""Where a worker listens: on a socket that only this user reaches, or else on a port.

The worker is told a port that is taken. With the library of `_private_bind` it listens
on the socket that it inherits instead; if the system should not preload the library, it
finds the port taken and ends. So it never listens where it should not.
"""

import contextlib
import functools
import os
import socket
from collections.abc import Iterator, Mapping, Sequence

from absl import logging

from tff_gs.runtime import _private_bind, spool_folder

#: The path of a Unix socket, or a host and a port.
Address = str | tuple[str, int]

_LOOPBACK = "127.0.0.1"
_PREFIX = "tff_gs_worker_"
_NAME = "socket"


class Door:
    """Where a worker that is started next will listen.

    Attributes:
      address: Where it is reached.
      port: What it has to be told.
      environment: Variables that it needs.
    """

    def __init__(
        self,
        address: Address,
        port: int,
        listener: socket.socket | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Has a socket that the worker inherits, if there is one."""
        self.address, self.port = address, port
        self.environment = dict(environment or {})
        self._listener = listener

    @property
    def inherited(self) -> Sequence[int]:
        """Descriptors that the worker has to inherit."""
        return [] if self._listener is None else [self._listener.fileno()]

    def hand_over(self) -> None:
        """Leaves the socket to the worker, which has been started.

        Else it would seem to be listened on when the worker has ended.
        """
        if self._listener is not None:
            self._listener.close()


@contextlib.contextmanager
def opened() -> Iterator[Door]:
    """A door for one worker, for as long as the context lasts.

    Raises:
      SpoolError: If there is no temporary directory for the socket.
    """
    try:
        library = _private_bind.library()
    except _private_bind.NoLibraryError as error:
        _warn(str(error))
        with _reserved_port(shared=True) as port:
            yield Door((_LOOPBACK, port), port)
        return
    with (
        contextlib.closing(spool_folder.SpoolFolder(_PREFIX)) as folder,
        _reserved_port(shared=False) as port,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        # By its descriptor: the path of a socket has at most 107 bytes.
        address = f"/proc/self/fd/{folder.descriptor}/{_NAME}"
        with spool_folder.readable_errors(folder.path):
            listener.bind(address)
        listener.setblocking(False)
        own = os.environ.get("LD_PRELOAD")
        environment = {
            "LD_PRELOAD": os.fspath(library) + (f":{own}" if own else ""),
            "TFF_GS_LISTENER": str(listener.fileno()),
        }
        yield Door(address, port, listener, environment)


@contextlib.contextmanager
def _reserved_port(*, shared: bool) -> Iterator[int]:
    """A port that this program holds and does not listen on.

    Args:
      shared: Whether another process of this user may listen on it. The system still
        gives it to no other program that asks for a free port.
    """
    with socket.socket(socket.AF_INET) as holder:
        if shared:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(("", 0))
        yield holder.getsockname()[1]


@functools.cache
def _warn(reason: str) -> None:
    """Says once that workers are open to others."""
    logging.warning(
        "Whoever reaches this machine can run code in the TFF worker process, which "
        "listens on a port: it could not be closed. %s",
        reason,
    )
