"""Where a worker listens. Nothing here imports TensorFlow."""

import contextlib
import logging
import os
import pathlib
import re
import shutil
import socket
import stat
import subprocess
import sys

import psutil
import pytest

from tff_gs import _sealed_folder
from tff_gs.runtime import _private_bind, _worker_door, _worker_process, worker_errors

_library = _private_bind.library


@pytest.fixture(autouse=True)
def _forget():
    """Each test finds the library by itself."""
    _library.cache_clear()
    _worker_door._warn.cache_clear()
    yield
    _library.cache_clear()
    _worker_door._warn.cache_clear()


@pytest.fixture(name="no_compiler")
def _no_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))


def _running(**environment):
    return _worker_process.running_process(
        max_concurrent_computation_calls=1, environment=environment
    )


def _process():
    """The worker that this program has started last."""
    return max(
        (
            child
            for child in psutil.Process().children()
            if child.name() == "worker_binary"
        ),
        key=psutil.Process.create_time,
    )


def _addresses(process):
    """Where a process listens on the network."""
    return [
        connection.laddr
        for connection in process.connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]


def _answers(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(60.0)
        client.connect(address)
        # What HTTP/2 begins with; the other side answers with its settings.
        client.sendall(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5)
        )
        return client.recv(9)[3:4] == b"\4"


def test_it_listens_on_no_port():
    with _running() as worker:
        assert _answers(worker.address)
        assert _addresses(_process()) == []
        folder = pathlib.Path(worker.address).parent.resolve()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not folder.exists()


def test_a_library_of_the_user_is_preloaded_too(monkeypatch, tmp_path):
    own = tmp_path / "own.so"
    shutil.copy(_library(), own)
    monkeypatch.setenv("LD_PRELOAD", str(own))
    with _running() as worker:
        assert _answers(worker.address)
        assert str(own) in [found.path for found in _process().memory_maps()]


def test_a_long_temporary_directory(monkeypatch, tmp_path):
    # The path of a Unix socket has at most 107 bytes.
    long = tmp_path / ("long" * 40)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    with _running() as worker:
        assert pathlib.Path(worker.address).resolve().is_relative_to(long)
        assert _answers(worker.address)


def test_a_worker_without_the_library_ends(monkeypatch, tmp_path):
    # The system passes over what it cannot preload.
    monkeypatch.setattr(_private_bind, "library", lambda: tmp_path / "gone.so")
    with (
        pytest.raises(worker_errors.WorkerError, match="failed to start"),
        _running(TF_CPP_MIN_LOG_LEVEL="0"),
    ):
        pass


def test_without_a_compiler_it_listens_on_a_port_and_that_is_said_once(
    no_compiler, caplog
):
    with caplog.at_level(logging.WARNING), _running() as worker:
        host, port = worker.address
        assert host == "127.0.0.1"
        assert _answers(worker.address)
        assert port in [address.port for address in _addresses(_process())]
        # No other program is given the port, or takes it.
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", port))
    with _running():
        pass
    (record,) = caplog.records
    assert re.fullmatch(
        r"Whoever reaches this machine can run code in the TFF worker process, .*\. "
        r"Expected gcc, found no C compiler\.",
        record.getMessage(),
    )


def test_many_workers_have_addresses_of_their_own(no_compiler):
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(_running()) for _ in range(3)]
        assert len({worker.address for worker in workers}) == 3


@pytest.fixture(name="cache")
def _cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tff_gs"


@pytest.fixture(name="compiled")
def _compiled(monkeypatch):
    """Notes what is compiled."""
    made, compile_ = [], _private_bind._compiled

    def noted(folder):
        made.append(folder)
        return compile_(folder)

    monkeypatch.setattr(_private_bind, "_compiled", noted)
    return made


def test_the_library_is_compiled_once(cache, compiled):
    first = _library()
    _library.cache_clear()
    assert _library() == first
    assert len(compiled) == 1
    assert first.is_relative_to(cache)
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    assert [path.name for path in cache.iterdir()] == [first.parent.name]


def test_another_source_is_another_library(cache, compiled, monkeypatch, tmp_path):
    first = _library()
    source = tmp_path / "other.c"
    source.write_bytes(_private_bind._SOURCE.read_bytes() + b"/* Changed. */\n")
    monkeypatch.setattr(_private_bind, "_SOURCE", source)
    _library.cache_clear()
    assert _library().parent != first.parent
    assert len(compiled) == 2


@pytest.mark.parametrize("damage", ["changed", "cut", "gone", "no seal"])
def test_a_damaged_library_is_compiled_again(cache, compiled, damage):
    first = _library()
    whole = first.read_bytes()
    if damage == "changed":
        first.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif damage == "cut":
        first.write_bytes(whole[:100])
    elif damage == "gone":
        first.unlink()
    else:
        (first.parent / _sealed_folder.SEAL).unlink()
    _library.cache_clear()
    assert _library() == first
    assert first.read_bytes() == whole
    assert len(compiled) == 2


def _opened_to_others(cache):
    cache.chmod(0o777)


def _folder_opened_to_others(cache):
    next(cache.iterdir()).chmod(0o770)


def _a_link(cache):
    cache.rename(cache.with_name("elsewhere"))
    cache.symlink_to("elsewhere")


def _a_file(cache):
    cache.rename(cache.with_name("elsewhere"))
    cache.touch()


@pytest.mark.parametrize(
    "spoil", [_opened_to_others, _folder_opened_to_others, _a_link, _a_file]
)
def test_what_others_could_change_is_not_used(cache, compiled, spoil):
    first = _library()
    spoil(cache)
    _library.cache_clear()
    second = _library()
    assert len(compiled) == 2
    assert second != first
    assert stat.S_IMODE(second.parent.stat().st_mode) == 0o700


def test_what_belongs_to_another_user_is_not_used(cache, compiled, monkeypatch):
    first = _library()
    monkeypatch.setattr(os, "getuid", lambda: first.stat().st_uid + 1)
    _library.cache_clear()
    assert _library() != first


def test_a_compiler_that_fails_is_one_sentence(cache, monkeypatch, tmp_path):
    compiler = tmp_path / "gcc"
    compiler.write_text("#!/bin/sh\necho first >&2\necho no space left >&2\nexit 1\n")
    compiler.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(_private_bind.NoLibraryError) as raised:
        _library()
    assert str(raised.value) == (
        f"Expected {compiler} to compile _private_bind.c, found: no space left"
    )
    assert list(cache.iterdir()) == []


def test_a_library_that_the_system_does_not_load(cache, monkeypatch, tmp_path):
    def empty(folder):
        (folder / "private_bind.so").write_bytes(b"no library")
        return folder / "private_bind.so"

    monkeypatch.setattr(_private_bind, "_compiled", empty)
    with pytest.raises(_private_bind.NoLibraryError, match="Expected a system that"):
        _library()


_BINDS = """
import socket
for family, address in (
    (socket.AF_INET, "0.0.0.0"),
    (socket.AF_INET6, "::"),
    (socket.AF_INET6, "::ffff:0.0.0.0"),
    (socket.AF_INET, "127.0.0.1"),
):
    with socket.socket(family) as bound:
        bound.bind((address, 0))
        with socket.socket(fileno=bound.detach()) as found:
            print(found.family.name, found.getsockname())
"""


def test_only_what_is_bound_to_all_addresses_changes(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        told = subprocess.run(
            [sys.executable, "-c", _BINDS],
            env={
                **os.environ,
                "LD_PRELOAD": os.fspath(_library()),
                "TFF_GS_LISTENER": str(listener.fileno()),
            },
            pass_fds=[listener.fileno()],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
    assert told[:3] == [f"AF_UNIX {tmp_path / 's'}"] * 3
    assert told[3].startswith("AF_INET ('127.0.0.1', ")
