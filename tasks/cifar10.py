"""CIFAR-10: small colour photographs, from the official binary files.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

from __future__ import annotations

import functools
import pathlib
from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from tasks import partition
from tasks.task import ClassificationTask, ClientData, DataError, TaskData
from tff_gs.configuration import option

if TYPE_CHECKING:
    import tensorflow_federated as tff

CLASSES = 10
IMAGE_SHAPE = (32, 32, 3)

PARTITIONS: dict[str, partition.Partition] = {
    "one_class": functools.partial(partition.by_class, classes_per_client=1),
    "iid": partition.iid,
}

_PIXELS = 32 * 32 * 3
_RECORD = 1 + _PIXELS


class Cifar10(ClassificationTask):
    """Colour photographs of 10 kinds of things (binary batches in data_dir).

    By default 100 clients of one class each, as in Han, Wang, Leung, ICDCS 2020,
    section V. Every image is standardised by itself: features are float32
    [n, 32, 32, 3], of mean 0 in each image. The model is the paper's CNN. The files
    are compact as they are, so nothing is cached.
    """

    data_dir: str = option(
        help="directory that holds data_batch_*.bin and test_batch.bin", is_path=True
    )
    clients: int = option(default=100, help="clients to make", at_least=1)
    partition: str = option(
        default="one_class",
        help="how the examples are dealt to clients",
        one_of=(*PARTITIONS,),
    )

    @override
    def check_files(self) -> None:
        self._train_files()

    def _train_files(self) -> list[pathlib.Path]:
        found = sorted(pathlib.Path(self.data_dir).glob("data_batch_*.bin"))
        if not found:
            raise DataError(
                f"Expected data_batch_*.bin files in {self.data_dir}, found none."
            )
        return found

    @override
    def load(self, *, seed: int = 0) -> TaskData:
        data_dir = pathlib.Path(self.data_dir)
        batches = [_read_batch(path) for path in self._train_files()]
        images = np.concatenate([batch[0] for batch in batches])
        labels = np.concatenate([batch[1] for batch in batches])
        test_images, test_labels = _read_batch(data_dir / "test_batch.bin")
        parts = PARTITIONS[self.partition](labels, self.clients, seed)
        clients = tuple(
            ClientData(f"client_{number}", standardize(images[part]), labels[part])
            for number, part in enumerate(parts)
        )
        test = ClientData("test", standardize(test_images), test_labels)
        return TaskData(clients, test)

    @override
    def build_model(self, seed: int) -> tff.learning.models.FunctionalModel:
        from tasks import cnn

        return cnn.paper_cnn(IMAGE_SHAPE, CLASSES, seed)


def standardize(images: np.ndarray) -> np.ndarray:
    """Gives each image mean 0 and standard deviation 1.

    Args:
      images: uint8 [n, height, width, channels].

    Returns:
      float32, of the same shape: (x - mean) / max(std, 1/sqrt(pixels)), as
      `tf.image.per_image_standardization` defines it.
    """
    count = np.prod(images.shape[1:])
    flat = images.reshape(-1, count)
    mean = flat.mean(axis=1, dtype=np.float64)
    std = np.maximum(flat.std(axis=1, dtype=np.float64), 1 / np.sqrt(count))
    scaled = flat - mean.astype(np.float32)[:, np.newaxis]
    scaled /= std.astype(np.float32)[:, np.newaxis]
    return scaled.reshape(images.shape)


def _read_batch(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """The uint8 [n, 32, 32, 3] images and int32 [n] labels of one file."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, found: {error}.") from error
    if not content or len(content) % _RECORD:
        raise DataError(
            f"{path}: expected one or more whole records of {_RECORD} bytes, found "
            f"{len(content)} bytes."
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    labels = records[:, 0].astype(np.int32)
    wrong = np.flatnonzero(labels >= CLASSES)
    if wrong.size:
        raise DataError(
            f"{path}: expected labels in 0..{CLASSES - 1}, found {labels[wrong[0]]} in "
            f"record {wrong[0]}."
        )
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels
