"""Digits: the small handwritten digits that scikit-learn carries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from tasks import partition
from tasks.task import ClassificationTask, ClientData, Defaults, TaskData
from tff_gs.configuration import option

if TYPE_CHECKING:
    import tensorflow_federated as tff

CLASSES = 10
IMAGE_SHAPE = (8, 8, 1)

PARTITIONS: dict[str, partition.Partition] = {
    "by_class": partition.by_class,
    "iid": partition.iid,
}

_TEST_EVERY = 5


class Digits(ClassificationTask):
    """Handwritten digits, 8x8 pixels, bundled with scikit-learn (no download).

    By default 20 clients of two classes each. Every fifth example of each class is
    for testing, whatever the seed. Features are float32 [n, 8, 8, 1], in [0, 1]. The
    model is a small CNN.
    """

    clients: int = option(default=20, help="clients to make", at_least=1)
    partition: str = option(
        default="by_class",
        help="how the examples are dealt to clients",
        one_of=(*PARTITIONS,),
    )

    defaults = Defaults(learning_rate=0.2, rounds=250, eval_every=10)

    @override
    def load(self, *, seed: int = 0) -> TaskData:
        from sklearn import datasets

        bundle = datasets.load_digits()
        # Grey levels are 0 to 16.
        features = (bundle.images / 16).astype(np.float32)[..., np.newaxis]
        labels = bundle.target.astype(np.int32)
        held_out = _every_fifth_of_each_class(labels)
        test = ClientData("test", features[held_out], labels[held_out])
        features, labels = features[~held_out], labels[~held_out]
        parts = PARTITIONS[self.partition](labels, self.clients, seed)
        clients = tuple(
            ClientData(f"client_{number}", features[part], labels[part])
            for number, part in enumerate(parts)
        )
        return TaskData(clients, test)

    @override
    def build_model(self, seed: int) -> tff.learning.models.FunctionalModel:
        from tasks import cnn

        return cnn.small_cnn(IMAGE_SHAPE, CLASSES, seed)


def _every_fifth_of_each_class(labels: np.ndarray) -> np.ndarray:
    """A bool [n], true at the last of every five examples of a class."""
    mask = np.zeros(len(labels), bool)
    for label in range(CLASSES):
        mask[np.flatnonzero(labels == label)[_TEST_EVERY - 1 :: _TEST_EVERY]] = True
    return mask
