"""Gives each program that connects a fresh worker of this machine.

A connection begins a session: a worker process of its own, reached by this connection
alone. When the connection ends, however it ends, the worker ends, with all that is in
it. Nothing here needs TensorFlow.
"""

import asyncio
import contextlib
import dataclasses
import pathlib
import socket
import ssl
import time
from collections.abc import Callable

from tff_gs.runtime import _certificates, _worker_process
from tff_gs.runtime.spool_folder import SpoolError
from tff_gs.runtime.worker_errors import WorkerError

# What HTTP/2, and so gRPC, begins with.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
# For a connection to show what it has to.
_ADMISSION_SECONDS = 10.0
# Connections that have not shown it yet; others are closed at once.
_MOST_WAITING = 64
_PAUSE_SECONDS = 0.1
_BUFFER_BYTES = 2**20
# A program whose machine is gone is noticed after 30 + 3 * 10 seconds.
_KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000),
)


class _RefusedError(Exception):
    """A connection that begins no session; says why."""


@dataclasses.dataclass(frozen=True)
class _Stream:
    """A connection, by which bytes come and go."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def end(self) -> None:
        """Ends the connection at once."""
        self.writer.transport.abort()

    async def copy_to(self, other: "_Stream") -> None:
        """Passes on what comes until one of the two ends."""
        with contextlib.suppress(OSError):
            while content := await self.reader.read(_BUFFER_BYTES):
                other.writer.write(content)
                await other.writer.drain()


class WorkerServer:
    """Sessions with workers, for those who connect to a socket."""

    def __init__(
        self,
        listener: socket.socket,
        start: Callable[
            [], contextlib.AbstractContextManager[_worker_process.WorkerProcess]
        ],
        say: Callable[[str], None],
        *,
        sessions: int = 1,
        certificate: pathlib.Path | None = None,
    ) -> None:
        """Prepares the server; `serve` runs it.

        Args:
          listener: A socket that listens; only programs of this machine reach it if
            there is no certificate.
          start: Runs a worker for as long as the context lasts.
          say: Is told, in one line, of each session and of who was refused.
          sessions: How many there may be at the same time.
          certificate: A file as of `_certificates.check`, which the other side must
            have; None: whoever connects is let in.
        """
        self._listener, self._start, self._say = listener, start, say
        self._free, self._waiting = sessions, 0
        self._context = (
            None if certificate is None else _certificates.server_context(certificate)
        )

    async def serve(self) -> None:
        """Serves until it is cancelled, which ends all sessions."""
        self._listener.setblocking(False)
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as connections:
            while True:
                try:
                    connection, peer = await loop.sock_accept(self._listener)
                except OSError:
                    # One that has left already, or too many open files.
                    await asyncio.sleep(_PAUSE_SECONDS)
                    continue
                connections.create_task(self._connected(connection, str(peer[0])))

    async def _connected(self, connection: socket.socket, who: str) -> None:
        """Serves one connection, to its end."""
        with contextlib.ExitStack() as stack:
            stack.callback(connection.close)
            try:
                program = await self._admit(connection, stack)
                self._say(await self._run_session(program, who))
            except _RefusedError as error:
                self._say(f"Refused {who}: {error}.")
            except (WorkerError, SpoolError, OSError) as error:
                self._say(f"No session of {who}: {error}")

    async def _admit(
        self, connection: socket.socket, stack: contextlib.ExitStack
    ) -> _Stream:
        """The stream of a connection that may begin a session, which `stack` ends.

        Raises:
          _RefusedError: If it may not.
        """
        if self._waiting >= _MOST_WAITING:
            raise _RefusedError("too many wait to be let in")
        self._waiting += 1
        try:
            async with asyncio.timeout(_ADMISSION_SECONDS):
                program = await _open(connection, self._context)
                stack.callback(program.end)
                begin = await program.reader.readexactly(len(_PREFACE))
        except ssl.SSLError as error:
            raise _RefusedError(_certificates.reason(error)) from error
        except TimeoutError as error:
            raise _RefusedError("it said nothing") from error
        except (OSError, EOFError) as error:
            raise _RefusedError("it left") from error
        finally:
            self._waiting -= 1
        if begin != _PREFACE:
            raise _RefusedError("it does not speak gRPC")
        if not self._free:
            raise _RefusedError("no session is free")
        return program

    async def _run_session(self, program: _Stream, who: str) -> str:
        """Lets a program use a worker; says how that ended."""
        began = time.monotonic()
        self._free -= 1
        try:
            # It takes a tenth of a second, in which other sessions wait.
            with self._start() as worker:
                self._say(f"Session of {who} begins.")
                by_worker = await _relay(program, worker)
                how = worker.how_it_ended() if by_worker else None
        finally:
            self._free += 1
        reason = "" if how is None else f": its worker has ended ({how})"
        return f"Session of {who} ends after {time.monotonic() - began:.0f} s{reason}."


async def _open(connection: socket.socket, context: ssl.SSLContext | None) -> _Stream:
    """The stream of an accepted connection, after its handshake if there is one."""
    for option in _KEEPALIVE:
        connection.setsockopt(*option)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_BUFFER_BYTES)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(
        lambda: protocol,
        connection,
        ssl=context,
        # Not before ours.
        ssl_handshake_timeout=None if context is None else 2 * _ADMISSION_SECONDS,
    )
    return _Stream(reader, asyncio.StreamWriter(transport, protocol, reader, loop))


async def _relay(program: _Stream, process: _worker_process.WorkerProcess) -> bool:
    """Connects program and worker until one of them ends; whether that is the worker.

    Raises:
      WorkerError: If others could reach the worker.
    """
    if not isinstance(process.address, str):
        raise WorkerError("Expected a worker on a Unix socket, found one on a port.")
    worker = _Stream(
        *await asyncio.open_unix_connection(process.address, limit=_BUFFER_BYTES)
    )
    worker.writer.write(_PREFACE)
    up = asyncio.create_task(program.copy_to(worker))
    down = asyncio.create_task(worker.copy_to(program))
    try:
        await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        return worker.reader.at_eof()
    finally:
        up.cancel()
        down.cancel()
        worker.end()
