"""Federated CIFAR-100: small colour photographs of 100 kinds of things.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009; dealt to 500
clients by Reddi et al., "Adaptive federated optimization", ICLR 2021;
`tff.simulation.datasets.cifar100`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from typing_extensions import override

from tasks import cifar10, simulation
from tasks.task import (
    ClassificationTask,
    ClientData,
    DataError,
    TaskData,
    as_test_data,
)
from tff_gs.configuration import option

if TYPE_CHECKING:
    import tensorflow_federated as tff

CLASSES = 100
IMAGE_SHAPE = (32, 32, 3)
FILE_NAME = "cifar100.sqlite"


class Cifar100(ClassificationTask):
    """Colour photographs of 100 kinds of things (TFF's federated CIFAR-100).

    It has the 100 fine classes, and 500 clients of 100 examples each. See
    `from_client_data` for which take part. The model is the paper's CNN with 100
    classes. Nothing is cached.
    """

    data_dir: str | None = option(
        default=None,
        help=f"directory that holds {FILE_NAME}",
        default_text="~/.tff, where TFF downloads it to",
        is_path=True,
    )
    # Of CIFAR-10 in the paper: Han, Wang, Leung, ICDCS 2020, section V.
    clients: int = option(
        default=100, help="clients to take of those that exist", at_least=1
    )

    @override
    def load(self, *, seed: int = 0) -> TaskData:
        del seed  # Nothing is drawn.
        train, test = simulation.load("cifar100", FILE_NAME, self.data_dir)
        return from_client_data(train, test, clients=self.clients)

    @override
    def build_model(self, seed: int) -> tff.learning.models.FunctionalModel:
        from tasks import cnn

        return cnn.paper_cnn(IMAGE_SHAPE, CLASSES, seed)


def from_client_data(
    train: tff.simulation.datasets.ClientData,
    test: tff.simulation.datasets.ClientData,
    *,
    clients: int,
) -> TaskData:
    """Takes the data out of those that `tff.simulation.datasets.cifar100` gives.

    The clients are the first `clients` of `train.client_ids`, which TFF sorts as
    text: 0, 1, 10, 100, 101. The test data are those of all test clients, who are
    others than those that train. Every image is standardised by itself.

    Args:
      train: The training data.
      test: The test data.
      clients: How many clients take part.

    Returns:
      The data; features are float32 [n, 32, 32, 3], of mean 0 in each image.

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
    return TaskData(
        clients=_read(train, train.client_ids[:clients]), test=as_test_data(tested)
    )


def _read(
    data: tff.simulation.datasets.ClientData, client_ids: Iterable[str]
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
