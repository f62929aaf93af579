"""Digits: the small handwritten digits that scikit-learn carries."""

from typing import TYPE_CHECKING

import numpy as np

from tasks import partition
from tasks.task import ClientData, Task, TaskOptions, reject_options

if TYPE_CHECKING:
    import tensorflow_federated as tff

CLASSES = 10
IMAGE_SHAPE = (8, 8, 1)
DEFAULT_CLIENTS = 20
DEFAULT_PARTITION = "by_class"

PARTITIONS: dict[str, partition.Partition] = {
    "by_class": partition.by_class,
    "iid": partition.iid,
}

_TEST_EVERY = 5


def build(options: TaskOptions) -> Task:
    """Builds the task of 8x8-pixel handwritten digits.

    By default 20 clients of two classes each. Every fifth example of each class is
    for testing, whatever the seed. The model is a small CNN.

    Args:
      options: `partition` is one of "by_class" and "iid"; `data_dir`, `cache_dir`
        and `min_examples` must be None.

    Returns:
      The task; features are float32 [n, 8, 8, 1], in [0, 1].

    Raises:
      ValueError: An option is foreign to the task or the partition is impossible.
    """
    reject_options("digits", options, ("data_dir", "cache_dir", "min_examples"))
    from sklearn import datasets

    bundle = datasets.load_digits()
    # Grey levels are 0 to 16.
    features = (bundle.images / 16).astype(np.float32)[..., np.newaxis]
    labels = bundle.target.astype(np.int32)
    held_out = _every_fifth_of_each_class(labels)
    test = ClientData("test", features[held_out], labels[held_out])
    features, labels = features[~held_out], labels[~held_out]
    parts = partition.partition(
        PARTITIONS,
        DEFAULT_PARTITION if options.partition is None else options.partition,
        labels,
        DEFAULT_CLIENTS if options.clients is None else options.clients,
        options.seed,
    )
    return Task(
        name="digits",
        clients=tuple(
            ClientData(f"client_{number}", features[part], labels[part])
            for number, part in enumerate(parts)
        ),
        test=test,
        build_model=_build_model,
        classes=CLASSES,
    )


def _build_model(seed: int) -> "tff.learning.models.FunctionalModel":
    from tasks import cnn

    return cnn.small_cnn(IMAGE_SHAPE, CLASSES, seed)


def _every_fifth_of_each_class(labels: np.ndarray) -> np.ndarray:
    """A bool [n], true at the last of every five examples of a class."""
    mask = np.zeros(len(labels), bool)
    for label in range(CLASSES):
        mask[np.flatnonzero(labels == label)[_TEST_EVERY - 1 :: _TEST_EVERY]] = True
    return mask
