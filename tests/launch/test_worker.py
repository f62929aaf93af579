"""The program that lends a machine. Nothing here imports TensorFlow."""

import contextlib
import re
import signal
import socket
import time

import grpc
import psutil
import pytest

from launch import worker as worker_program
from tests import certificates
from tff_gs.runtime import _certificates, _channels, _private_bind

_SECONDS = 120
_CALL = "/tensorflow_federated.v0.ExecutorGroup/GetExecutor"


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory):
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(name="certificate", scope="module")
def _certificate(folder):
    return certificates.make(folder)


@pytest.fixture(name="stranger", scope="module")
def _stranger(folder):
    return certificates.make(folder, "stranger.pem")


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return holder.getsockname()[1]


class _Launcher:
    """The program at work, listening at `address`."""

    def __init__(self, process, port, greeting_lines):
        self.process = process
        self.address = f"127.0.0.1:{port}"
        self.greeting = [self.line() for _ in range(greeting_lines)]

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def line_of_session(self):
        """The next line of a session; who is refused may try again meanwhile."""
        while (line := self.line()).startswith("Refused"):
            pass
        return line

    def workers(self):
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if child.name() == "worker_binary"]

    def addresses(self):
        """Where it and its workers listen on the network."""
        return [
            connection.laddr
            for process in [psutil.Process(self.process.pid), *self.workers()]
            for connection in process.connections(kind="inet")
            if connection.status == psutil.CONN_LISTEN
        ]

    def call(self, certificate=None):
        """What a program that connects is answered, once."""
        with _channel(self.address, certificate) as channel:
            return _answer(channel)


@pytest.fixture(name="launch")
def _launch(start):
    with contextlib.ExitStack() as stack:

        def launch(*arguments, greeting_lines=3):
            port = _free_port()
            process = start(f"--port={port}", *arguments, module="launch.worker")
            stack.callback(process.wait)
            stack.callback(process.kill)
            return _Launcher(process, port, greeting_lines)

        yield launch


@contextlib.contextmanager
def _channel(address, certificate=None):
    with contextlib.closing(_channels.open_channel(address, certificate)) as channel:
        yield channel


def _answer(channel):
    """The worker's answer to a call that asks for nothing; what gRPC says otherwise."""
    try:
        return channel.unary_unary(_CALL)(b"", timeout=_SECONDS)
    except grpc.RpcError as error:
        return error.code()


_REFUSED = grpc.StatusCode.UNAVAILABLE


def test_it_listens_on_the_loopback_and_says_how_to_come(launch):
    launcher = launch()
    port = launcher.address.partition(":")[2]
    assert launcher.greeting[0] == (
        f"Listening on {launcher.address}. To come from another machine, type there:"
    )
    assert re.fullmatch(
        rf"  ssh -N -L {port}:127\.0\.0\.1:{port} \S+@\S+", launcher.greeting[1]
    )
    assert launcher.greeting[2] == f"and give the program --workers={launcher.address}."
    with _channel(launcher.address) as channel:
        assert _answer(channel) != _REFUSED
        assert launcher.addresses() == [("127.0.0.1", int(port))]


def test_each_program_has_a_fresh_worker_that_ends_with_it(launch):
    launcher = launch()
    seen = []
    for _ in range(2):
        with _channel(launcher.address) as channel:
            assert _answer(channel) != _REFUSED
            assert launcher.line_of_session() == "Session of 127.0.0.1 begins."
            (found,) = launcher.workers()
            seen.append(found)
            # There is room for one.
            assert launcher.call() == _REFUSED
            assert launcher.line() == "Refused 127.0.0.1: no session is free."
            assert _answer(channel) != _REFUSED
        assert re.fullmatch(
            r"Session of 127\.0\.0\.1 ends after \d+ s\.", launcher.line_of_session()
        )
        assert not found.is_running()
    assert seen[0] != seen[1]


def test_several_programs_have_workers_of_their_own(launch):
    launcher = launch("--sessions=2")
    with (
        _channel(launcher.address) as one,
        _channel(launcher.address) as other,
    ):
        assert _REFUSED not in (_answer(one), _answer(other))
        assert len(launcher.workers()) == 2
        assert launcher.call() == _REFUSED


def test_the_worker_of_a_program_that_is_killed_ends(launch):
    launcher = launch()
    host, port = launcher.address.split(":")
    with socket.create_connection((host, int(port))) as program:
        program.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert launcher.line() == "Session of 127.0.0.1 begins."
        (found,) = launcher.workers()
        # As of a killed program: what it has not read makes it a reset.
        program.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1] + [0] * 7))
    assert "ends after" in launcher.line()
    assert not found.is_running()


def test_a_worker_that_dies_ends_its_session_only(launch):
    launcher = launch()
    with _channel(launcher.address) as channel:
        assert _answer(channel) != _REFUSED
        (found,) = launcher.workers()
        found.kill()
        assert launcher.line() == "Session of 127.0.0.1 begins."
        assert re.fullmatch(
            r"Session of 127\.0\.0\.1 ends after \d+ s: its worker has ended "
            r"\(signal 9 \(SIGKILL\)\)\.",
            launcher.line(),
        )
    with _channel(launcher.address) as channel:
        assert _answer(channel) != _REFUSED


def test_who_does_not_speak_grpc_gets_no_worker(launch):
    launcher = launch()
    host, port = launcher.address.split(":")
    with socket.create_connection((host, int(port))) as browser:
        browser.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert launcher.line() == "Refused 127.0.0.1: it does not speak gRPC."
        assert browser.recv(1) == b""
    with socket.create_connection((host, int(port))) as scanner:
        scanner.sendall(b"PRI")
        time.sleep(0.1)
        assert launcher.workers() == []
    assert launcher.line() == "Refused 127.0.0.1: it left."


def test_strangers_get_nothing(launch, certificate, stranger):
    launcher = launch(
        f"--certificate={certificate}", "--host=0.0.0.0", greeting_lines=1
    )
    port = launcher.address.partition(":")[2]
    assert launcher.greeting == [
        f"Listening on 0.0.0.0:{port} for programs with {certificate}."
    ]
    assert launcher.call() == _REFUSED
    assert launcher.line() == "Refused 127.0.0.1: wrong version number."
    assert launcher.call(stranger) == _REFUSED
    assert launcher.line().startswith("Refused 127.0.0.1: ")
    # Who has only the certificate, without its key, and trusts the other side.
    credentials = grpc.ssl_channel_credentials(certificate.read_bytes())
    name = [("grpc.ssl_target_name_override", _certificates.NAME)]
    with contextlib.closing(
        grpc.secure_channel(launcher.address, credentials, name)
    ) as channel:
        assert _answer(channel) == _REFUSED
    assert "peer did not return a certificate" in launcher.line()
    assert launcher.workers() == []
    assert launcher.call(certificate) != _REFUSED
    assert launcher.line_of_session() == "Session of 127.0.0.1 begins."


def test_a_program_tells_a_false_worker(launch, certificate, stranger):
    launcher = launch(f"--certificate={stranger}")
    assert launcher.call(certificate) == _REFUSED
    assert launcher.workers() == []


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_it_and_its_workers(launch, finish, number, code):
    launcher = launch()
    with _channel(launcher.address) as channel:
        assert _answer(channel) != _REFUSED
        (found,) = launcher.workers()
        launcher.process.send_signal(number)
        ended = finish(launcher.process)
    assert ended.code == code
    assert ended.err == "Interrupted; its workers have ended.\n"
    assert not found.is_running()


def test_its_workers_end_with_it_if_it_is_killed(launch):
    launcher = launch()
    with _channel(launcher.address) as channel:
        assert _answer(channel) != _REFUSED
        (found,) = launcher.workers()
        launcher.process.kill()
        found.wait(_SECONDS)


@pytest.fixture(name="sentence")
def _sentence(capsys):
    """What the program says of wrong flags, in one line, when it ends with code 2."""
    yield lambda *arguments: _said(capsys, arguments)
    for name in worker_program.FLAGS:
        worker_program.FLAGS[name].unparse()


def _said(capsys, arguments):
    assert worker_program.main(["worker", *map(str, arguments)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    return line


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3"])
def test_others_need_a_certificate(sentence, host):
    assert sentence(f"--host={host}") == (
        "Expected --certificate with another --host than the loopback (127.0.0.1), "
        f"found --host={host} without it: whoever reaches a worker can run code on "
        "this machine."
    )


def test_a_port_that_is_taken(sentence):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        assert sentence(f"--port={port}") == (
            "Expected an address of this machine and a free port, found "
            f"--host=127.0.0.1 --port={port} (Address already in use)."
        )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--port=0"], "Flag --port=0: expected a whole number from 1 to 65535."),
        (["8470"], "Expected flags only, found '8470'."),
        (
            ["--prot=1"],
            "Expected a flag that exists, found --prot: did you mean --port?",
        ),
        (
            ["--certificate=/nowhere.pem"],
            "Expected files that can be read and written, found /nowhere.pem: No such "
            "file or directory (certificate=/nowhere.pem).",
        ),
    ],
)
def test_wrong_flags(sentence, arguments, expected):
    assert sentence(*arguments) == expected


def test_a_certificate_that_others_may_read(sentence, tmp_path):
    path = tmp_path / "open.pem"
    path.touch(0o644)
    assert sentence(f"--certificate={path}") == (
        "Expected a certificate that only you may read, found "
        f"{path} with mode 644: chmod 600 {path}"
    )


def test_a_machine_where_workers_would_be_open_to_all(sentence, monkeypatch):
    def fail():
        raise _private_bind.NoLibraryError("Expected gcc, found no C compiler.")

    monkeypatch.setattr(_private_bind, "library", fail)
    assert sentence() == (
        "Expected gcc, found no C compiler. Its workers would be open to everybody."
    )
