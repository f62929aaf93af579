"""Addresses of workers on other machines, as users write them."""

import re
from typing import NamedTuple

#: Where `launch.worker` listens unless it is told otherwise.
DEFAULT_PORT = 8470

_MOST_PORT = 2**16 - 1
_MOST_SHARE = 1024
_FORM = re.compile(
    r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[\w.-]+))"
    r"(?::(?P<port>[0-9]+))?"
    r"(?:\*(?P<share>[0-9]+))?",
    re.ASCII,
)


class WorkerAddress(NamedTuple):
    """Where a worker is, and for how much of the work.

    Attributes:
      host: A name, or an IP address without brackets.
      port: From 1 to 65535.
      share: It has as many times the clients of a worker with share 1; at least 1.
    """

    host: str
    port: int
    share: int = 1

    @property
    def target(self) -> str:
        """Host and port as gRPC and users write them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return self.target if self.share == 1 else f"{self.target}*{self.share}"


def parse_address(text: str) -> WorkerAddress:
    """Reads HOST:PORT, or HOST:PORT*SHARE; an IPv6 address is in brackets.

    >>> parse_address("10.0.0.3:8470*2")
    WorkerAddress(host='10.0.0.3', port=8470, share=2)

    Raises:
      ValueError: In one sentence, if it is none.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise _unreadable(text)
    host, share = found["ipv6"] or found["host"], found["share"] or "1"
    if found["port"] is None:
        meant = WorkerAddress(host, DEFAULT_PORT, _bounded(text, share, _MOST_SHARE))
        raise ValueError(
            f"Expected a worker with its port, found {text!r}: did you mean {meant}?"
        )
    return WorkerAddress(
        host,
        _bounded(text, found["port"], _MOST_PORT),
        _bounded(text, share, _MOST_SHARE),
    )


def _bounded(text: str, digits: str, most: int) -> int:
    value = int(digits) if len(digits) <= len(str(most)) else most + 1
    if not 1 <= value <= most:
        raise _unreadable(text)
    return value


def _unreadable(text: str) -> ValueError:
    return ValueError(
        f"Expected a worker as HOST:PORT or HOST:PORT*SHARE, such as 10.0.0.2:8470 or "
        f"10.0.0.2:8470*2, with a port up to {_MOST_PORT} and a share up to "
        f"{_MOST_SHARE}, found {text!r}."
    )
