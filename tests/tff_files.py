"""Files as `tff.simulation.datasets` keeps its data sets in."""

import os
import pathlib
import sqlite3
from collections.abc import Mapping

import numpy as np

Clients = Mapping[str, Mapping[str, np.ndarray]]


def write(path: pathlib.Path, splits: Mapping[str, Clients]) -> pathlib.Path:
    """Writes a data set by TFF's own writer, which knows one split a client.

    Args:
      path: The file.
      splits: By the split's and the client's name, the arrays by feature name.
    """
    import tensorflow as tf
    import tensorflow_federated as tff

    for number, (split, clients) in enumerate(splits.items()):
        part = path if number == 0 else path.with_suffix(f".{split}")
        tff.simulation.datasets.save_to_sql_client_data(
            client_ids=list(clients),
            dataset_fn=lambda client, clients=clients: (
                tf.data.Dataset.from_tensor_slices(dict(clients[client]))
            ),
            database_filepath=os.fspath(part),
            split_names_by_client_id=dict.fromkeys(clients, split),
        )
        if part != path:
            _append(path, part)
            part.unlink()
    return path


def _append(path: pathlib.Path, part: pathlib.Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("ATTACH ? AS part", (os.fspath(part),))
    for table in ("examples", "client_metadata"):
        connection.execute(f"INSERT INTO {table} SELECT * FROM part.{table}")
    connection.commit()
    connection.close()


def emnist_client(count: int, seed: int) -> dict[str, np.ndarray]:
    """Characters of a writer: grey levels of 256, labels out of 62."""
    rng = np.random.default_rng(seed)
    return {
        "pixels": (rng.integers(0, 256, (count, 28, 28)) / 255).astype(np.float32),
        "label": rng.integers(0, 62, count),
    }


def cifar100_client(count: int, seed: int) -> dict[str, np.ndarray]:
    """Photographs of a client: uint8 images, fine and coarse labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 100, count)
    return {
        "image": rng.integers(0, 256, (count, 32, 32, 3), np.uint8),
        "label": labels,
        "coarse_label": labels // 5,
    }


def emnist_splits() -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Four writers of 3, 5, 2 and 4 training and 2 test examples; digits besides.

    The names are not in the order of the file.
    """
    counts = {"f0003_11": 3, "f0001_41": 5, "f0004_00": 2, "f0002_07": 4}
    train = {name: emnist_client(n, n) for name, n in counts.items()}
    test = {name: emnist_client(2, 10 + n) for name, n in counts.items()}
    digits = {name: emnist_client(1, 20) for name in counts}
    return {
        "all_train": train,
        "all_test": test,
        "digits_only_train": digits,
        "digits_only_test": digits,
    }


def cifar100_splits() -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Training clients 0, 1, 2 and 10 of 6 examples, test clients 0 and 1 of 3."""
    return {
        "train": {
            name: cifar100_client(6, int(name)) for name in ("2", "0", "10", "1")
        },
        "test": {name: cifar100_client(3, 100 + int(name)) for name in ("1", "0")},
    }
