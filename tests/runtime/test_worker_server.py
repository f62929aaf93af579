"""Sessions with workers that are made up. Nothing here imports TensorFlow."""

import asyncio
import contextlib
import functools
import os
import socket
import ssl

import pytest

from tests import certificates
from tff_gs.runtime import _certificates, _worker_server, worker_errors
from tff_gs.runtime.spool_folder import SpoolError

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class _Echo:
    """Says what it hears, in the place of a worker."""

    def __init__(self, address):
        self.address = address

    def how_it_ended(self):
        return "exit code 7"


@pytest.fixture(name="echo")
def _echo(tmp_path):
    """Where a server listens that sends back what it is sent; ends at b'END'."""

    async def serve(reader, writer):
        while (content := await reader.read(2**16)) and not content.endswith(b"END"):
            writer.write(content)
            await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def run():
        path = str(tmp_path / "echo")
        async with await asyncio.start_unix_server(serve, path):
            yield contextlib.nullcontext(_Echo(path))

    return run


class _Server:
    """A server at work, what it said, and connections to it."""

    def __init__(self, start, *, certificate=None, **options):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.said = asyncio.Queue()
        self._server = _worker_server.WorkerServer(
            self._listener,
            start,
            self.said.put_nowait,
            certificate=certificate,
            **options,
        )

    async def __aenter__(self):
        self._task = asyncio.create_task(self._server.serve())
        return self

    async def __aexit__(self, *exception):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._listener.close()

    async def connect(self, **options):
        host, port = self._listener.getsockname()
        reader, writer = await asyncio.open_connection(host, port, **options)
        return reader, writer

    async def refused(self, content=b""):
        """What it says of a connection that sends this, and gets nothing."""
        reader, writer = await self.connect()
        writer.write(content)
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
        return await self.said.get()


def _run(scenario):
    """A test that is a coroutine."""

    @functools.wraps(scenario)
    def test(*args, **kwargs):
        asyncio.run(scenario(*args, **kwargs))

    return test


@pytest.mark.parametrize("is_secure", [False, True])
@_run
async def test_every_byte_arrives(echo, tmp_path, is_secure):
    certificate, options = None, {}
    if is_secure:
        certificate = certificates.make(tmp_path)
        client = ssl.create_default_context(cafile=certificate)
        client.load_cert_chain(certificate)
        options = {"ssl": client, "server_hostname": _certificates.NAME}
    content = os.urandom(10_000_000)
    async with (
        echo() as worker,
        _Server(lambda: worker, certificate=certificate) as server,
    ):
        reader, writer = await server.connect(**options)
        sending = asyncio.create_task(_send(writer, _PREFACE + content))
        assert await reader.readexactly(len(_PREFACE)) == _PREFACE
        assert await reader.readexactly(len(content)) == content
        await sending
        writer.close()
        assert await server.said.get() == "Session of 127.0.0.1 begins."
        assert (await server.said.get()).endswith(" s.")


async def _send(writer, content):
    writer.write(content)
    await writer.drain()


@_run
async def test_a_worker_that_ends(echo):
    async with echo() as worker, _Server(lambda: worker) as server:
        reader, writer = await server.connect()
        writer.write(_PREFACE)
        await reader.readexactly(len(_PREFACE))
        writer.write(b"END")
        assert await reader.read() == b""
        await server.said.get()
        said = await server.said.get()
        assert said.endswith(": its worker has ended (exit code 7).")


@pytest.mark.parametrize(
    "error",
    [
        worker_errors.WorkerError("no worker"),
        SpoolError("no room"),
        OSError(24, "Too many open files"),
    ],
)
@_run
async def test_a_worker_that_does_not_start_ends_its_session_only(error):
    def start():
        raise error

    async with _Server(start) as server:
        for _ in range(2):
            assert await server.refused(_PREFACE) == f"No session of 127.0.0.1: {error}"


@_run
async def test_a_worker_that_others_could_reach_is_not_used():
    worker = contextlib.nullcontext(_Echo(("127.0.0.1", 1)))
    async with _Server(lambda: worker) as server:
        assert await server.refused(_PREFACE) == "Session of 127.0.0.1 begins."
        assert "Expected a worker on a Unix socket" in await server.said.get()


@_run
async def test_who_says_nothing_is_sent_away(monkeypatch):
    monkeypatch.setattr(_worker_server, "_ADMISSION_SECONDS", 0.05)
    async with _Server(None) as server:
        assert await server.refused() == "Refused 127.0.0.1: it said nothing."


@_run
async def test_who_says_nothing_in_tls_is_sent_away(monkeypatch, tmp_path):
    monkeypatch.setattr(_worker_server, "_ADMISSION_SECONDS", 0.05)
    async with _Server(None, certificate=certificates.make(tmp_path)) as server:
        assert await server.refused() == "Refused 127.0.0.1: it said nothing."


@_run
async def test_not_too_many_wait(monkeypatch):
    monkeypatch.setattr(_worker_server, "_MOST_WAITING", 1)
    async with _Server(None) as server:
        _, writer = await server.connect()
        said = await server.refused()
        assert said == "Refused 127.0.0.1: too many wait to be let in."
        writer.close()
        assert await server.said.get() == "Refused 127.0.0.1: it left."
        assert await server.refused(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") == (
            "Refused 127.0.0.1: it does not speak gRPC."
        )
