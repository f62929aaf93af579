"""Federated EMNIST: handwritten characters, one client per writer, as TFF deals them.

Cohen et al., "EMNIST: an extension of MNIST to handwritten letters", 2017; Caldas et
al., "LEAF: a benchmark for federated settings", 2018; `tff.simulation.datasets.emnist`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from tasks import simulation
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

CLASSES = 62
IMAGE_SHAPE = (28, 28, 1)
FILE_NAME = "emnist_all.sqlite"


class Emnist(ClassificationTask):
    """Handwritten characters, a client per writer (TFF's federated EMNIST).

    It has all 62 classes: 3,400 writers. See `from_client_data` for which take part.
    The defaults are those of FEMNIST in Han, Wang, Leung, ICDCS 2020, section V, and
    the model is the paper's CNN. The file is read as it is, so nothing is cached.
    """

    data_dir: str | None = option(
        default=None,
        help=f"directory that holds {FILE_NAME}",
        default_text="~/.tff, where TFF downloads it to",
        is_path=True,
    )
    clients: int = option(
        default=156, help="clients to take of those that exist", at_least=1
    )
    min_examples: int = option(
        default=100,
        help="the fewest training examples of a writer that takes part",
        at_least=1,
    )

    @override
    def load(self, *, seed: int = 0) -> TaskData:
        del seed  # Nothing is drawn.
        train, test = simulation.load(
            "emnist", FILE_NAME, self.data_dir, only_digits=False
        )
        return from_client_data(
            train, test, clients=self.clients, min_examples=self.min_examples
        )

    @override
    def build_model(self, seed: int) -> tff.learning.models.FunctionalModel:
        from tasks import cnn

        return cnn.paper_cnn(IMAGE_SHAPE, CLASSES, seed)


def from_client_data(
    train: tff.simulation.datasets.ClientData,
    test: tff.simulation.datasets.ClientData,
    *,
    clients: int,
    min_examples: int,
) -> TaskData:
    """Takes the data out of those that `tff.simulation.datasets.emnist` gives.

    The clients are the first `clients` writers, in the order of `train.client_ids`
    (TFF sorts them as text), that have at least `min_examples` training examples.
    The test data are those of these writers only. Pixels are as TFF gives them,
    white = 1.0, which is LEAF's way too.

    Args:
      train: The training data.
      test: The test data, of the same writers.
      clients: How many writers take part.
      min_examples: The fewest training examples of a writer that takes part.

    Returns:
      The data; features are float32 [n, 28, 28, 1], in [0, 1].

    Raises:
      ValueError: There are fewer such writers.
      DataError: A value is out of range, or a writer has no test examples.
    """
    total = len(train.client_ids)
    if clients > total:
        raise ValueError(
            f"Expected at most {total} clients, the writers that there are, found "
            f"{clients}."
        )
    eligible = (
        (name, examples)
        for name, examples in simulation.read(train, train.client_ids)
        if len(examples["label"]) >= min_examples
    )
    chosen = _as_clients(itertools.islice(eligible, clients))
    if len(chosen) < clients:
        raise ValueError(
            f"Expected at most {len(chosen)} clients, the writers with at least "
            f"{min_examples} training examples, found {clients}."
        )
    names = [client.name for client in chosen]
    known = set(test.client_ids)
    tested = _as_clients(
        simulation.read(test, [name for name in names if name in known])
    )
    untested = set(names) - {client.name for client in tested}
    if untested:
        raise DataError(
            f"Expected test examples of every writer, found none of {min(untested)!r}."
        )
    return TaskData(clients=chosen, test=as_test_data(tested))


def _as_clients(
    writers: Iterable[tuple[str, simulation.Examples]],
) -> tuple[ClientData, ...]:
    return tuple(
        ClientData(
            name,
            _checked_pixels(name, examples["pixels"])[..., np.newaxis],
            simulation.checked_labels(name, examples["label"], CLASSES),
        )
        for name, examples in writers
    )


def _checked_pixels(writer: str, pixels: np.ndarray) -> np.ndarray:
    # Negated, so NaN is refused too.
    bad = pixels[~((pixels >= 0) & (pixels <= 1))]
    if bad.size:
        raise DataError(
            f"Expected pixels in [0, 1] of writer {writer!r}, found {bad[0]}."
        )
    return pixels
