"""The data sets of `tff.simulation.datasets` as arrays.

TFF keeps each in one SQLite file, in ~/.tff unless told otherwise, and downloads it
if it is absent.
"""

import functools
import itertools
import pathlib
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from tasks.task import DataError
from tff_gs import _user_cache

if TYPE_CHECKING:
    import tensorflow_federated as tff

    Splits = tuple[
        tff.simulation.datasets.ClientData, tff.simulation.datasets.ClientData
    ]

Examples = Mapping[str, np.ndarray]

# TFF's download has no limit of its own: if a network swallows packets, it hangs.
_NETWORK_SECONDS = 30.0
_CHUNK = 512


def load(
    dataset: str, file_name: str, data_dir: str | None, **options: object
) -> "Splits":
    """Opens a data set: the copy in `data_dir`, or TFF's own, downloaded if absent.

    Args:
      dataset: The name of its module in `tff.simulation.datasets`.
      file_name: The SQLite file that TFF keeps it in.
      data_dir: The directory that holds a copy; None: ~/.tff, as TFF has it.
      **options: What its `load_data` takes besides.

    Returns:
      The training and the test data, as `load_data` returns them.

    Raises:
      DataError: There is no copy and none can be downloaded, or it is not what TFF
        wrote; in one sentence.
    """
    place = _own_place(file_name) if data_dir is None else pathlib.Path(data_dir)
    path = place / file_name
    # Before the long import.
    if data_dir is not None and not path.is_file():
        raise DataError(_absent(place, file_name))

    import tensorflow_federated as tff

    load_data = functools.partial(
        getattr(tff.simulation.datasets, dataset).load_data, **options
    )
    if not path.is_file():
        _download(file_name, load_data, place)
    try:
        return load_data(cache_dir=str(place))
    except Exception as error:  # TFF's own are not public; StopIteration is another.
        raise DataError(
            f"{path}: expected the file of tff.simulation.datasets.{dataset}, found: "
            f"{_reason(error)}."
        ) from error


def read(
    data: "tff.simulation.datasets.ClientData", client_ids: Iterable[str]
) -> Iterator[tuple[str, Examples]]:
    """Reads clients one after the other, each when it is asked for.

    Args:
      data: A split of a data set.
      client_ids: Names of clients in it.

    Yields:
      The name and the examples of each client, in this order: arrays [n, ...] by
      feature name. A client without examples is left out.

    Raises:
      DataError: An example is damaged or lacks a feature.
    """
    import tensorflow as tf

    # What it calls is converted if it needs to be; its own source cannot be.
    @tf.autograph.experimental.do_not_convert
    def chunks(client_id: tf.Tensor) -> tf.data.Dataset:
        dataset = data.serializable_dataset_fn(client_id).batch(_CHUNK)
        return dataset.map(lambda examples: (client_id, examples))

    # One pipeline, because to build one for each client takes four times as long.
    dataset = tf.data.Dataset.from_tensor_slices(list(client_ids)).flat_map(chunks)
    try:
        for client_id, group in itertools.groupby(
            dataset.as_numpy_iterator(), key=lambda chunk: chunk[0]
        ):
            parts = [examples for _, examples in group]
            yield (
                client_id.decode(),
                {
                    name: np.concatenate([part[name] for part in parts])
                    for name in parts[0]
                },
            )
    except tf.errors.OpError as error:
        raise DataError(
            "Expected examples as tff.simulation.datasets writes them, found: "
            f"{_reason(error)}."
        ) from error


def checked_labels(client_id: str, labels: np.ndarray, classes: int) -> np.ndarray:
    """Returns the labels as int32; DataError if one is not in [0, classes)."""
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        raise DataError(
            f"Expected labels in 0..{classes - 1} of client {client_id!r}, found "
            f"{wrong[0]}."
        )
    return labels.astype(np.int32)


def _download(
    file_name: str, load_data: Callable[..., "Splits"], place: pathlib.Path
) -> None:
    """Has TFF download the file, and puts it in place when it is whole.

    TFF writes under the final name from the first byte on, and would take what an
    interrupted download left there for the data.
    """
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_NETWORK_SECONDS)
    try:
        place.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="download-", dir=place) as aside:
            load_data(cache_dir=aside)
            (pathlib.Path(aside) / file_name).replace(place / file_name)
    except Exception as error:  # Of the network, LZMA, SQLite, TensorFlow and TFF.
        raise DataError(
            f"Expected {file_name} in {place}, found none, and its download failed "
            f"({_reason(error)}): name the directory of a copy by data_dir."
        ) from error
    finally:
        socket.setdefaulttimeout(before)


def _own_place(file_name: str) -> pathlib.Path:
    """Where TFF has its downloads."""
    home = _user_cache.find_home()
    if home is None:
        raise DataError(
            f"Expected data_dir, the directory that holds {file_name}, where there is "
            "no home directory, found none."
        )
    return home / ".tff"


def _absent(place: pathlib.Path, file_name: str) -> str:
    packed = place / f"{file_name}.lzma"
    found = f"only {packed.name}, which xz -dk unpacks" if packed.exists() else "none"
    return f"Expected {file_name} in {place}, found {found}."


def _reason(error: Exception) -> str:
    """The first line of what the error says, or its name if it says nothing."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".:")
