"""Lends this machine to programs elsewhere: each gets a fresh TFF worker.

    python -m launch.worker --port=8470
    python -m launch.worker --host=0.0.0.0 --certificate=cluster.pem

A program reaches it by launch.train --workers=HOST:8470. A worker runs whatever it is
sent, as the user who started it. So by default only programs of this machine, and those
that come by ssh -L, can connect; with a certificate, those that have the same one.
"""

import asyncio
import functools
import getpass
import ipaddress
import os
import pathlib
import socket
import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from launch import command_line, flag_types, interruption, screen, topic
from tff_gs.runtime import (
    _addresses,
    _certificates,
    _private_bind,
    _worker_process,
    _worker_server,
)

FLAGS = absl_flags.FlagValues()
_OWN = topic.Topic("Flags", values=FLAGS)
_OWN.define(
    "port",
    flag_types.whole_number(1, 2**16 - 1),
    "where it listens",
    str(_addresses.DEFAULT_PORT),
)
_OWN.define(
    "host",
    flag_types.text("an address of this machine"),
    "the address of this machine on which it listens; 0.0.0.0: all of them",
    "127.0.0.1",
)
_OWN.define(
    "certificate",
    flag_types.text("a file"),
    "a file with a key and its certificate, which the program must have too; "
    "docs/several_machines.md says how to make one",
)
_OWN.define(
    "sessions",
    flag_types.whole_number(1, 1024),
    "how many programs may have a worker at the same time",
    "1",
)
_OWN.define(
    "concurrent_clients",
    flag_types.whole_number(1, 1024),
    "how many clients a worker has at work at the same time; by default one for each "
    "processor core",
)


def main(argv: Sequence[str]) -> int:
    """Runs the program; returns its exit code."""
    try:
        with interruption.raised():
            _read(argv)
            certificate = _certificate()
            listener = _listen(has_certificate=certificate is not None)
            _serve(listener, certificate)
    except ValueError as error:
        screen.say_error(str(error))
    except _private_bind.NoLibraryError as error:
        screen.say_error(f"{error} Its workers would be open to everybody.")
    except OSError as error:
        screen.say_error(screen.error_sentence(error, _paths()))
    except KeyboardInterrupt as error:
        screen.say_error("Interrupted; its workers have ended.")
        return interruption.exit_code(error)
    return command_line.WRONG_INPUT


def _read(argv: Sequence[str]) -> None:
    others = command_line.parse(argv, _OWN, __doc__)
    if others:
        raise ValueError(f"Expected flags only, found {others[0]!r}.")
    # Else each worker would listen on a port of its own, open to all.
    _private_bind.library()


def _paths() -> dict[str, str]:
    return {} if FLAGS.certificate is None else {"certificate": FLAGS.certificate}


def _certificate() -> pathlib.Path | None:
    if FLAGS.certificate is None:
        return None
    certificate = pathlib.Path(FLAGS.certificate)
    _certificates.check(certificate)
    return certificate


def _listen(*, has_certificate: bool) -> socket.socket:
    """A socket on the address that the flags give.

    Raises:
      ValueError: In one sentence, if there can be none, or if others than programs of
        this machine would reach it without a certificate.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            FLAGS.host, FLAGS.port, type=socket.SOCK_STREAM
        )[0]
        host, _, _ = str(address[0]).partition("%")
        if not has_certificate and not ipaddress.ip_address(host).is_loopback:
            raise ValueError(
                "Expected --certificate with another --host than the loopback "
                f"(127.0.0.1), found --host={FLAGS.host} without it: whoever reaches a "
                "worker can run code on this machine."
            )
        return socket.create_server(address, family=family)
    except OSError as error:
        known = isinstance(error, socket.gaierror)
        reason = error.strerror if known else os.strerror(error.errno or 0)
        raise ValueError(
            "Expected an address of this machine and a free port, found "
            f"--host={FLAGS.host} --port={FLAGS.port} ({reason})."
        ) from error


def _serve(listener: socket.socket, certificate: pathlib.Path | None) -> None:
    """Serves until the program is interrupted."""
    start = functools.partial(
        _worker_process.running_process,
        max_concurrent_computation_calls=(
            FLAGS.concurrent_clients or len(os.sched_getaffinity(0))
        ),
        environment=_worker_process.usual_environment(),
    )
    with listener:
        server = _worker_server.WorkerServer(
            listener,
            start,
            screen.say,
            sessions=FLAGS.sessions,
            certificate=certificate,
        )
        screen.say(_greeting(listener))
        asyncio.run(server.serve())


def _greeting(listener: socket.socket) -> str:
    """Where it listens, and how others get there."""
    host, port, *_ = listener.getsockname()
    address = _addresses.WorkerAddress(host, port).target
    if not ipaddress.ip_address(host).is_loopback:
        return f"Listening on {address} for programs with {FLAGS.certificate}."
    return (
        f"Listening on {address}. To come from another machine, type there:\n"
        f"  ssh -N -L {port}:{address} {getpass.getuser()}@{socket.gethostname()}\n"
        f"and give the program --workers=127.0.0.1:{port}."
    )


def run() -> None:
    """Runs the program on the command line; the entry point of the package."""
    sys.exit(main(sys.argv))


if __name__ == "__main__":
    run()
