"""Large values on their way to the worker process and back: through files.

A message to the worker is copied several times by Python's protocol buffers, which for
the states of a cohort takes longer than the cohort's gradients. Here a value is written
once to a file that the other side reads; the file's pages never need to reach a disk,
since it is gone a moment later.
"""

import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from tensorflow.core.framework import tensor_pb2

from tff_gs import tensor_specs


class Spool:
    """A temporary folder, on a file system that the worker shares."""

    def __init__(self) -> None:
        """Makes the folder."""
        self._folder = tempfile.TemporaryDirectory(prefix="tff_gs_spool_")
        self._built: dict[tuple[str, str], tff.Computation] = {}
        # No file has the name of an earlier one: what is late fails, and is not wrong.
        self._files = 0

    def close(self) -> None:
        """Removes the folder."""
        self._folder.cleanup()

    def number(self, clients: int) -> list[int]:
        """New numbers of files, one for each client."""
        first, self._files = self._files, self._files + clients
        return list(range(first, self._files))

    def write(
        self, numbers: Sequence[int], values: Sequence[Any], member_type: tff.Type
    ) -> None:
        """Writes one file for each value, which `reader` reads.

        Args:
          numbers: The files' numbers.
          values: Structures of arrays, all of `member_type`.
          member_type: A structure of tensors of numbers, of known rank.

        Raises:
          ValueError: If a value is not of the type.
        """
        specs = tensor_specs.leaves(member_type)
        for number, value in zip(numbers, values, strict=True):
            leaves = [np.asarray(leaf) for leaf in tf.nest.flatten(value)]
            _check(leaves, specs)
            with open(self._path(number), "wb") as file:
                for leaf in leaves:
                    file.write(np.array(leaf.shape, np.int64).tobytes())
                    file.write(np.ascontiguousarray(leaf).data)

    def read(self, numbers: Sequence[int], member_type: tff.Type) -> list[Any]:
        """The values that `writer` wrote under these numbers."""
        template = tensor_specs.structure(member_type)
        count = len(tf.nest.flatten(template))
        return [
            tf.nest.pack_sequence_as(
                template, [self._read_part(number, part) for part in range(count)]
            )
            for number in numbers
        ]

    def clear(self) -> None:
        """Removes all files."""
        for path in pathlib.Path(self._folder.name).iterdir():
            path.unlink()

    def reader(self, member_type: tff.Type) -> tff.Computation:
        """The computation that reads the files.

        `{int32}@CLIENTS -> ({T}@CLIENTS, int32@SERVER)`: from the files' numbers to
        their values, and how many there are; once that is known, all files have been
        read.
        """
        return self._once("reader", self._build_reader, member_type)

    def writer(self, member_type: tff.Type) -> tff.Computation:
        """The computation that writes files.

        `({T}@CLIENTS, {int32}@CLIENTS) -> int32@SERVER`: from the values and the
        files' numbers to how many have been written.
        """
        return self._once("writer", self._build_writer, member_type)

    def _once(
        self, name: str, build: Callable[..., tff.Computation], member_type: tff.Type
    ) -> tff.Computation:
        key = (name, str(member_type))
        if key not in self._built:
            self._built[key] = build(member_type)
        return self._built[key]

    def _path(self, number: int) -> str:
        return f"{self._folder.name}/{number}"

    def _read_part(self, number: int, part: int) -> np.ndarray:
        content = pathlib.Path(f"{self._path(number)}.{part}").read_bytes()
        return tf.make_ndarray(tensor_pb2.TensorProto.FromString(content))

    def _build_reader(self, member_type: tff.Type) -> tff.Computation:
        template = tensor_specs.structure(member_type)
        prefix = f"{self._folder.name}/"

        @tff.tensorflow.computation(np.int32)
        def read(number: tf.Tensor) -> tuple[Any, tf.Tensor]:
            content = tf.io.read_file(prefix + tf.strings.as_string(number))
            position, leaves = tf.constant(0), []
            for spec in tf.nest.flatten(template):
                shape, position = _take(content, position, [spec.shape.rank], tf.int64)
                leaf, position = _take(content, position, shape, spec.dtype)
                leaves.append(tf.ensure_shape(leaf, spec.shape))
            with tf.control_dependencies(leaves):
                return tf.nest.pack_sequence_as(template, leaves), tf.identity(1)

        @tff.federated_computation(tff.FederatedType(np.int32, tff.CLIENTS))
        def read_all(numbers: tff.Value) -> tuple[tff.Value, tff.Value]:
            values = tff.federated_map(read, numbers)
            return values[0], tff.federated_sum(values[1])

        return read_all

    def _build_writer(self, member_type: tff.Type) -> tff.Computation:
        prefix = f"{self._folder.name}/"

        @tff.tensorflow.computation(member_type, np.int32)
        def write(value: Any, number: tf.Tensor) -> tf.Tensor:
            path = prefix + tf.strings.as_string(number)
            writes = [
                tf.io.write_file(path + f".{part}", tf.io.serialize_tensor(leaf))
                for part, leaf in enumerate(tf.nest.flatten(value))
            ]
            with tf.control_dependencies(writes):
                return tf.identity(1)

        @tff.federated_computation(
            tff.FederatedType(member_type, tff.CLIENTS),
            tff.FederatedType(np.int32, tff.CLIENTS),
        )
        def write_all(values: tff.Value, numbers: tff.Value) -> tff.Value:
            return tff.federated_sum(tff.federated_map(write, (values, numbers)))

        return write_all


def _take(
    content: tf.Tensor, position: tf.Tensor, shape: Any, dtype: tf.DType
) -> tuple[tf.Tensor, tf.Tensor]:
    """The tensor that begins at `position`, and where it ends."""
    size = tf.cast(tf.reduce_prod(tf.cast(shape, tf.int64)), tf.int32) * dtype.size
    part = tf.strings.substr(content, position, size)
    return tf.reshape(tf.io.decode_raw(part, dtype), shape), position + size


def _check(leaves: list[np.ndarray], specs: list[tf.TensorSpec]) -> None:
    if len(leaves) != len(specs):
        raise ValueError(f"Expected {len(specs)} arrays, found {len(leaves)}.")
    for leaf, spec in zip(leaves, specs, strict=True):
        if leaf.dtype != spec.dtype.as_numpy_dtype or not spec.shape.is_compatible_with(
            leaf.shape
        ):
            raise ValueError(
                f"Expected an array of {spec.dtype.name}{spec.shape}, found one of "
                f"{leaf.dtype}{leaf.shape}."
            )
