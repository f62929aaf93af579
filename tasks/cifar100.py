"""Federated CIFAR-100: small colour photographs of 100 kinds of things.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009; dealt to 500
clients by Reddi et al., "Adaptive federated optimization", ICLR 2021;
`tff.simulation.datasets.cifar100`.
"""

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tasks import cifar10, lazy_model, simulation
from tasks.task import (
    ClientData,
    DataError,
    Task,
    TaskOptions,
    as_test_data,
    at_least_one,
    reject_options,
)

if TYPE_CHECKING:
    import tensorflow_federated as tff

CLASSES = 100
IMAGE_SHAPE = (32, 32, 3)
FILE_NAME = "cifar100.sqlite"
# Of CIFAR-10 in the paper: Han, Wang, Leung, ICDCS 2020, section V.
DEFAULT_CLIENTS = 100


def build(options: TaskOptions) -> Task:
    """Builds the task of small colour photographs, from TFF's federated CIFAR-100.

    It has the 100 fine classes, and 500 clients of 100 examples each. See
    `from_client_data` for which take part. Nothing is cached.

    Args:
      options: `data_dir` holds cifar100.sqlite; None: ~/.tff, where TFF keeps its
        downloads. `cache_dir`, `partition` and `min_examples` must be None.

    Returns:
      The task; features are float32 [n, 32, 32, 3], of mean 0 in each image.

    Raises:
      ValueError: An option is foreign to the task, or asks for more clients than
        there are.
      DataError: There is neither the file nor a network, or it is malformed.
    """
    reject_options("cifar100", options, ("cache_dir", "partition", "min_examples"))
    clients = at_least_one("clients", options.clients, DEFAULT_CLIENTS)
    train, test = simulation.load("cifar100", FILE_NAME, options.data_dir)
    return from_client_data(train, test, clients=clients)


def from_client_data(
    train: "tff.simulation.datasets.ClientData",
    test: "tff.simulation.datasets.ClientData",
    *,
    clients: int,
) -> Task:
    """Builds the task from data of the form of `tff.simulation.datasets.cifar100`.

    The clients are the first `clients` of `train.client_ids`, which TFF sorts as
    text: 0, 1, 10, 100, 101. The test data are those of all test clients, who are
    others than those that train. Every image is standardised by itself. The model is
    the paper's CNN with 100 classes.

    Args:
      train: The training data.
      test: The test data.
      clients: How many clients take part.

    Returns:
      The task; features are float32 [n, 32, 32, 3], of mean 0 in each image.

    Raises:
      ValueError: There are fewer clients.
      DataError: A label is out of range, or a client has no examples.
    """
    total = len(train.client_ids)
    if clients > total:
        raise ValueError(
            f"Expected at most {total} clients, those that there are, found {clients}."
        )
    tested = _read(test, test.client_ids)
    return Task(
        name="cifar100",
        clients=_read(train, train.client_ids[:clients]),
        test=as_test_data(tested),
        build_model=functools.partial(lazy_model.paper_cnn, IMAGE_SHAPE, CLASSES),
        classes=CLASSES,
    )


def _read(
    data: "tff.simulation.datasets.ClientData", client_ids: Iterable[str]
) -> tuple[ClientData, ...]:
    clients = tuple(
        ClientData(
            name,
            cifar10.standardize(examples["image"]),
            simulation.checked_labels(name, examples["label"], CLASSES),
        )
        for name, examples in simulation.read(data, client_ids)
    )
    missing = set(client_ids) - {client.name for client in clients}
    if missing:
        raise DataError(f"Expected examples of client {min(missing)!r}, found none.")
    return clients
