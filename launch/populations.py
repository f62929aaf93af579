"""Who takes part in the rounds of a run, and where clients' states are meanwhile."""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import tasks
from launch import run_directory
from launch.options import ParticipationOptions

if TYPE_CHECKING:
    from tff_gs import learning, programs, runtime

STORES: Mapping[str, str] = {
    "runtime": "in TFF's worker; only if all clients take part in every round",
    "memory": "in the program's memory",
    "disk": "in a file, of which memory holds one state at a time",
}

_TAKES_DIRECTORY = "disk"


@contextlib.contextmanager
def build(
    process: "learning.SparsifiedProcess",
    clients: Sequence[tasks.ClientData],
    options: ParticipationOptions,
    *,
    seed: int,
    file: pathlib.Path,
) -> Iterator["programs.Population"]:
    """The population, for as long as the `with` block lasts.

    Args:
      process: What a round computes.
      clients: Their data.
      options: Who takes part.
      seed: Draws the cohorts.
      file: Where a store on disk is.

    Raises:
      tff_gs.programs.ProgramStateError: If the store on disk cannot be used.
    """
    from tff_gs import programs, runtime

    data = [(client.features, client.labels) for client in clients]
    name = _store_name(options, len(data))
    cohort = None
    if name != "runtime":
        size = options.clients_per_round or len(data)
        cohort = runtime.build_cohort_fn(range(len(data)), size, seed=seed)
    with _store(name, process, file) as store:
        yield programs.Population(process, data, cohort=cohort, store=store)


def check_options(options: ParticipationOptions) -> None:
    """Raises ValueError, in one sentence, if the options do not fit together."""
    for name in ("client_store", "client_store_dir"):
        value = getattr(options, name)
        if options.clients_per_round is None and value is not None:
            raise ValueError(
                f"Expected clients_per_round with {name}, found {name}={value} alone."
            )
    if options.client_store_dir is not None and options.client_store not in (
        None,
        _TAKES_DIRECTORY,
    ):
        raise ValueError(
            f"Expected client_store={_TAKES_DIRECTORY} with client_store_dir, found "
            f"{options.client_store}."
        )


def check_clients(options: ParticipationOptions, clients: int) -> None:
    """Raises ValueError if the options do not fit to the number of clients."""
    cohort = options.clients_per_round
    if cohort is None:
        return
    if cohort > clients:
        raise ValueError(
            f"Expected clients_per_round of at most {clients}, all clients of the "
            f"task, found {cohort}."
        )
    if options.client_store == "runtime" and cohort < clients:
        raise ValueError(
            "Expected client_store memory or disk if not all clients take part in "
            f"every round, found runtime with {cohort} of {clients} clients: no cohort "
            "can be taken out of TFF's worker."
        )


def states_file(
    options: ParticipationOptions, directory: run_directory.RunDirectory
) -> pathlib.Path:
    """Where a store on disk is."""
    if options.client_store_dir is None:
        return directory.client_states
    return pathlib.Path(options.client_store_dir) / run_directory.CLIENT_STATES


def check_directory(options: ParticipationOptions, *, resumed: bool) -> None:
    """Checks client_store_dir, if there is one.

    Args:
      options: Who takes part.
      resumed: Whether an earlier run is continued.

    Raises:
      ValueError: If it is no directory, or lacks the states of the run that is
        continued, or holds those of another.
    """
    if options.client_store_dir is None:
        return
    path = pathlib.Path(options.client_store_dir)
    if not path.is_dir():
        raise ValueError(
            f"Expected a directory that exists as client_store_dir, found {path}."
        )
    file = path / run_directory.CLIENT_STATES
    if resumed and not file.is_file():
        raise ValueError(
            f"Expected the clients' states of the run in {file}, found no such file."
        )
    if not resumed and file.exists():
        raise ValueError(
            f"Expected a client_store_dir without states of another run, found {file}."
        )


def _store_name(options: ParticipationOptions, clients: int) -> str:
    if options.client_store is not None:
        return options.client_store
    everybody = options.clients_per_round in (None, clients)
    # Data and states that never leave the worker are quickest.
    return "runtime" if everybody and options.client_store_dir is None else "disk"


def _store(
    name: str, process: "learning.SparsifiedProcess", file: pathlib.Path
) -> "runtime.ClientStore":
    from tff_gs import programs, runtime

    if name == "runtime":
        return runtime.ResidentStore()
    if name == "memory":
        return runtime.MemoryStore()
    try:
        return runtime.DiskStore(file, process.next.type_signature.parameter.clients)
    except ValueError as error:
        raise programs.ProgramStateError(str(error)) from error
