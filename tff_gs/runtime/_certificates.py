"""The certificate by which a program and the workers of other machines know each other.

One file with a key and a certificate that is signed by that key: whoever has the file
is let in, and nobody else.
"""

import os
import pathlib
import ssl
import stat

#: The name that the certificate is for, on all machines.
NAME = "tff-gs-worker"


def check(path: pathlib.Path) -> None:
    """Tries the certificate on itself: both sides of a connection without a network.

    Raises:
      ValueError: In one sentence, if others may read the file, or if a connection
        would fail: no key, no certificate, another name, out of date.
      OSError: If the file cannot be read.
    """
    mode = os.stat(path).st_mode
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(
            f"Expected a certificate that only you may read, found {path} with mode "
            f"{stat.S_IMODE(mode):03o}: chmod 600 {path}"
        )
    try:
        _shake_hands(server_context(path), _client_context(path))
    except ssl.SSLError as error:
        raise ValueError(
            f"Expected a file with a key and its own certificate for {NAME}, found "
            f"{path} ({reason(error)}); docs/several_machines.md says how to make one."
        ) from error


def reason(error: ssl.SSLError) -> str:
    """Why a connection failed, in the words of OpenSSL."""
    told = getattr(error, "verify_message", "") or error.reason or "not readable"
    return told.replace("_", " ").lower().rstrip(".")


def server_context(path: pathlib.Path) -> ssl.SSLContext:
    """For the side of the worker: lets in who shows the same certificate.

    Raises:
      ssl.SSLError: If there is no key or no certificate in the file, or they do not
        belong together.
      OSError: If the file cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # What gRPC speaks.
    context.set_alpn_protocols(["h2"])
    return _with_certificate(context, path)


def _client_context(path: pathlib.Path) -> ssl.SSLContext:
    return _with_certificate(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), path)


def _with_certificate(context: ssl.SSLContext, path: pathlib.Path) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    # A key with a password would be asked for at the terminal.
    context.load_cert_chain(path, password="")
    context.load_verify_locations(path)
    return context


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """An ssl.SSLError if the two do not trust each other."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(down, up, server_hostname=NAME),
        server.wrap_bio(up, down, server_side=True),
    ]
    waiting = list(sides)
    while waiting:
        for side in list(waiting):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(side)
