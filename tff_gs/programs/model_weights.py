"""A trained model's weights as a file, which NumPy reads."""

import io
import os
import pathlib
import zipfile
import zlib
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _files

_PARTS = ("trainable", "non_trainable")
# What a damaged archive, or one of another kind, shows itself by.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)


def save_model_weights(
    path: str | os.PathLike[str], weights: tff.learning.models.ModelWeights
) -> None:
    """Writes weights to one file, in one step.

    It is a `.npz` of NumPy with the arrays `trainable_0`, `trainable_1`, ... and
    `non_trainable_0`, ..., in the order of the model's tensors. Equal weights give
    equal bytes.

    Args:
      path: The file.
      weights: As of `SparsifiedProcess.get_model_weights`.

    Raises:
      OSError: If it cannot be written; a file that was there is as it was.
    """
    named = dict(zip(_names(weights), tf.nest.flatten(weights), strict=True))
    content = io.BytesIO()
    np.savez(content, **{name: np.asarray(array) for name, array in named.items()})
    _files.write_bytes_atomically(pathlib.Path(path), content.getvalue())


def load_model_weights(
    path: str | os.PathLike[str], like: tff.learning.models.ModelWeights
) -> tff.learning.models.ModelWeights:
    """Reads weights that `save_model_weights` wrote.

    Nothing of the file is taken for granted: an array is read when its name, shape and
    dtype are known to be those of the model.

    Args:
      path: The file.
      like: Weights of the model, whose structure, shapes and dtypes are wanted, such as
        `tff.learning.models.ModelWeights.from_model(keras_model)` or
        `process.get_model_weights(process.initialize())`.

    Returns:
      The weights, in the structure of `like`; `assign_weights_to(keras_model)` puts
      them into a Keras model.

    Raises:
      ValueError: In one sentence, if the file is missing, damaged, or of another model.
    """
    names, wanted = _names(like), [np.asarray(x) for x in tf.nest.flatten(like)]
    try:
        with zipfile.ZipFile(path) as archive:
            _check_names([name + ".npy" for name in names], archive.namelist(), path)
            arrays = [
                _read(archive, name, array, path)
                for name, array in zip(names, wanted, strict=True)
            ]
    except OSError as error:
        raise ValueError(
            f"Expected a file of weights, found {os.fspath(path)} ({error.strerror})."
        ) from error
    except (*_DAMAGED, _DamagedError) as error:
        raise ValueError(
            "Expected weights as save_model_weights writes them, found a damaged "
            f"{os.fspath(path)}."
        ) from error
    return tf.nest.pack_sequence_as(like, arrays)


class _DamagedError(Exception):
    """An array that cannot be read."""


def _names(weights: tff.learning.models.ModelWeights) -> list[str]:
    return [
        f"{part}_{number}"
        for part in _PARTS
        for number, _ in enumerate(tf.nest.flatten(getattr(weights, part)))
    ]


def _check_names(
    wanted: Sequence[str], found: Sequence[str], path: str | os.PathLike[str]
) -> None:
    if sorted(wanted) != sorted(found):
        raise ValueError(
            f"Expected {len(wanted)} tensors of the model's, found {len(found)}, or of "
            f"other names, in {os.fspath(path)}: it is of another model."
        )


def _read(
    archive: zipfile.ZipFile,
    name: str,
    wanted: np.ndarray,
    path: str | os.PathLike[str],
) -> Any:
    with archive.open(name + ".npy") as file:
        shape, by_column, dtype = _read_header(file)
        if (shape, dtype) != (wanted.shape, wanted.dtype):
            raise ValueError(
                f"Expected {name} of shape {list(wanted.shape)} and {wanted.dtype}, "
                f"found shape {list(shape)} and {dtype} in {os.fspath(path)}: it is "
                "of another model."
            )
        content = file.read(wanted.nbytes + 1)
        if len(content) != wanted.nbytes:
            raise _DamagedError
        flat = np.frombuffer(content, dtype)
        return flat.reshape(shape, order="F" if by_column else "C").copy()


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether columns come first, and dtype."""
    try:
        if np.lib.format.read_magic(file) == (1, 0):
            return np.lib.format.read_array_header_1_0(file)
    # NumPy reads the header as Python, whose parser has errors of all kinds.
    except Exception as error:
        raise _DamagedError from error
    raise _DamagedError
