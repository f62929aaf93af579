"""What a task is: clients' data, test data and a model."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import tensorflow_federated as tff


class DataError(ValueError):
    """A data file is missing or is not what its format says; names the file."""


@dataclasses.dataclass(frozen=True, eq=False)
class ClientData:
    """The examples of one client.

    Attributes:
      name: The client's name, unique in its task.
      features: float32 [n, height, width, channels].
      labels: int32 [n], each in [0, classes).
    """

    name: str
    features: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Task:
    """A federated classification problem.

    Attributes:
      name: The name in the registry.
      clients: The clients, in the task's fixed order; each has examples.
      test: The examples that accuracy is measured on; its name is "test".
      build_model: Gives the model with initial weights drawn from an int seed;
        equal seeds give equal weights to the bit. Imports TensorFlow when called.
      classes: The number of classes.
    """

    name: str
    clients: tuple[ClientData, ...]
    test: ClientData
    build_model: Callable[[int], "tff.learning.models.FunctionalModel"]
    classes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """What a user may ask of a task; None leaves the choice to the task.

    Attributes:
      data_dir: The directory of the data files.
      cache_dir: Where to keep the compact form of the data; by default beside the
        data, or else in the user's cache directory.
      clients: How many clients to make, or to take of those that exist.
      partition: The name of the rule that deals the examples to the clients.
      min_examples: The fewest training examples of a client that takes part.
      seed: Seeds the partition.
    """

    data_dir: str | None = None
    cache_dir: str | None = None
    clients: int | None = None
    partition: str | None = None
    min_examples: int | None = None
    seed: int = 0


def as_test_data(clients: Sequence[ClientData]) -> ClientData:
    """The examples of all clients, in their order, as a task's test data."""
    return ClientData(
        "test",
        np.concatenate([client.features for client in clients]),
        np.concatenate([client.labels for client in clients]),
    )


def reject_options(task: str, options: TaskOptions, names: tuple[str, ...]) -> None:
    """Raises ValueError where an option in `names`, foreign to `task`, is set."""
    for name in names:
        value = getattr(options, name)
        if value is not None:
            raise ValueError(f"Task {task!r} takes no {name}, found {value!r}.")


def require_data_dir(task: str, options: TaskOptions, wanted: str) -> str:
    """Returns `options.data_dir`; ValueError says what is `wanted` where unset."""
    if options.data_dir is None:
        raise ValueError(
            f"Task {task!r} needs data_dir: expected {wanted}, found none."
        )
    return options.data_dir


def at_least_one(name: str, value: int | None, default: int) -> int:
    """Returns `value`, or `default` where unset; ValueError where it is below 1."""
    if value is None:
        return default
    if value < 1:
        raise ValueError(f"Expected {name} of at least 1, found {value}.")
    return value
