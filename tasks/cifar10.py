"""CIFAR-10: small colour photographs, from the official binary files.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009.
"""

import functools
import pathlib

import numpy as np

from tasks import lazy_model, partition
from tasks.task import (
    ClientData,
    DataError,
    Task,
    TaskOptions,
    reject_options,
    require_data_dir,
)

CLASSES = 10
IMAGE_SHAPE = (32, 32, 3)
# Of the paper: Han, Wang, Leung, ICDCS 2020, section V.
DEFAULT_CLIENTS = 100
DEFAULT_PARTITION = "one_class"

PARTITIONS: dict[str, partition.Partition] = {
    "one_class": functools.partial(partition.by_class, classes_per_client=1),
    "iid": partition.iid,
}

_PIXELS = 32 * 32 * 3
_RECORD = 1 + _PIXELS


def build(options: TaskOptions) -> Task:
    """Builds the task of small colour photographs of 10 kinds of things.

    By default 100 clients of one class each, as in the paper. Every image is
    standardised by itself. The model is the paper's CNN. The files are compact as
    they are, so nothing is cached.

    Args:
      options: `partition` is one of "one_class" and "iid"; `cache_dir` and
        `min_examples` must be None.

    Returns:
      The task; features are float32 [n, 32, 32, 3], of mean 0 in each image.

    Raises:
      ValueError: An option is foreign to the task or the partition is impossible.
      DataError: A file is missing or malformed.
    """
    reject_options("cifar10", options, ("cache_dir", "min_examples"))
    wanted = "the directory that holds data_batch_*.bin and test_batch.bin"
    data_dir = pathlib.Path(require_data_dir("cifar10", options, wanted))
    train_files = sorted(data_dir.glob("data_batch_*.bin"))
    if not train_files:
        raise DataError(f"Expected data_batch_*.bin files in {data_dir}, found none.")
    batches = [_read_batch(path) for path in train_files]
    images = np.concatenate([batch[0] for batch in batches])
    labels = np.concatenate([batch[1] for batch in batches])
    test_images, test_labels = _read_batch(data_dir / "test_batch.bin")
    parts = partition.partition(
        PARTITIONS,
        DEFAULT_PARTITION if options.partition is None else options.partition,
        labels,
        DEFAULT_CLIENTS if options.clients is None else options.clients,
        options.seed,
    )
    return Task(
        name="cifar10",
        clients=tuple(
            ClientData(f"client_{number}", standardize(images[part]), labels[part])
            for number, part in enumerate(parts)
        ),
        test=ClientData("test", standardize(test_images), test_labels),
        build_model=functools.partial(lazy_model.paper_cnn, IMAGE_SHAPE, CLASSES),
        classes=CLASSES,
    )


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
