"""The flags that say on which machines a run is computed."""

import pathlib

from launch import flag_types
from launch.options import WorkerOptions
from launch.topic import Topic
from tff_gs.runtime import _addresses, _certificates

_MOST_PROCESSES = 1024

MACHINES = Topic("Machines")
MACHINES.define(
    "workers",
    flag_types.FlagType(
        lambda text: _workers(text),
        f"a number of processes up to {_MOST_PROCESSES}, or workers as HOST:PORT with "
        "commas between, such as 10.0.0.2:8470,10.0.0.3:8470*2",
        lambda text: _hint(text),
    ),
    "what computes the work of the clients, at the same time: so many processes of "
    "this machine, or launch.worker at these addresses, HOST:PORT*2 with twice as many "
    "clients as others; by default, and with 0, one process computes everything; of no "
    "effect on a run's numbers",
)
MACHINES.define(
    "certificate",
    flag_types.text("a file"),
    "the file that the workers at addresses were started with, if they were",
)
MACHINES.define(
    "worker_patience",
    flag_types.positive_number(),
    "seconds after which a worker that does not answer is lost; its clients then move "
    "to the others, and the run goes on from its last checkpoint",
    "60",
)


def check(options: WorkerOptions) -> None:
    """Raises ValueError, in one sentence, if the options do not fit together."""
    if options.certificate is not None and not isinstance(options.workers, tuple):
        raise ValueError(
            "Expected workers at addresses, --workers=HOST:PORT, with certificate, "
            f"found --certificate={options.certificate} without them."
        )


def check_certificate(options: WorkerOptions) -> None:
    """Raises ValueError, in one sentence, if there is one that cannot be used."""
    if options.certificate is not None:
        _certificates.check(pathlib.Path(options.certificate))


def _workers(text: str) -> int | tuple[str, ...]:
    if text.isdecimal() and int(text) <= _MOST_PROCESSES:
        return int(text)
    items = tuple(item.strip() for item in text.split(","))
    for item in items:
        _addresses.parse_address(item)
    return items


def _hint(text: str) -> str:
    """How the sentence ends: with the port that is missing, if one is."""
    if text.lstrip("-").isdecimal():
        return "."
    for item in text.split(","):
        try:
            _addresses.parse_address(item.strip())
        except ValueError as error:
            _, known, meant = str(error).partition(": did you mean ")
            return f": for {item.strip()!r}, did you mean {meant}" if known else "."
    return "."
