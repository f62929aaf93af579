"""Opens gRPC channels to workers, of this machine and of others."""

import pathlib

import grpc

from tff_gs.runtime import _certificates

_MAX_MESSAGE_BYTES = 2 * 1000 * 1000 * 1000
_NEVER = 2**31 - 1


def open_channel(target: str, certificate: pathlib.Path | None = None) -> grpc.Channel:
    """A channel with a connection of its own, which it keeps until it is closed.

    Args:
      target: What gRPC connects to, such as "10.0.0.2:8470".
      certificate: A file as `_certificates.check` wants it, which the other side has,
        too; None: neither side shows one.
    """
    options: list[tuple[str, str | int]] = [
        ("grpc.max_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
        # A worker is reached directly, whatever http_proxy says.
        ("grpc.enable_http_proxy", 0),
        # A worker of another machine ends with its connection: so none is shared with
        # another channel, or given up because there was nothing to do for a while.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.client_idle_timeout_ms", _NEVER),
    ]
    if certificate is None:
        return grpc.insecure_channel(target, options)
    content = certificate.read_bytes()
    return grpc.secure_channel(
        target,
        grpc.ssl_channel_credentials(content, content, content),
        [*options, ("grpc.ssl_target_name_override", _certificates.NAME)],
    )
