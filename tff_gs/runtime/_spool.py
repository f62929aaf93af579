"""Clients' values on their way to the worker process and back: through files.

A message to the worker holds the values of all clients, is of bounded size, and is
copied several times by Python's protocol buffers, which for the states of a cohort
takes longer than the cohort's gradients. Here each client's value is written once to a
file that the other side reads; the file's pages never need to reach a disk, since it is
gone a moment later.

A file that Python writes is leaf after leaf. An array of numbers is its shape, int64,
and its bytes; another tensor the size of a TensorProto, int64, and its bytes; a
sequence the number of its elements, int64, the size of each, and the elements.
"""

import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from tensorflow.core.framework import tensor_pb2

from tff_gs import _client_values
from tff_gs.runtime import spool_folder

# Positions in a file are int32 in TensorFlow; a TensorProto is of at most 2 GiB.
MAX_CLIENT_BYTES = 2**31 - 1

# What tf.io.decode_raw decodes.
_RAW = frozenset(
    {
        *(tf.float16, tf.float32, tf.float64, tf.complex64, tf.complex128),
        *(tf.int8, tf.int16, tf.int32, tf.int64, tf.uint8, tf.uint16, tf.bool),
    }
)


class Spool:
    """A temporary folder, on a file system that the worker shares."""

    def __init__(self) -> None:
        """Makes the folder.

        Raises:
          SpoolError: If that is not possible.
        """
        self._folder = spool_folder.SpoolFolder()
        self._built: dict[tuple[str, str], tff.Computation] = {}
        # No file has the name of an earlier one: what is late fails, and is not wrong.
        self._files = 0

    @property
    def folder(self) -> pathlib.Path:
        """The folder."""
        return self._folder.path

    def close(self) -> None:
        """Removes the folder."""
        self._folder.close()

    def number(self, clients: int) -> list[int]:
        """New numbers of files, one for each client."""
        first, self._files = self._files, self._files + clients
        return list(range(first, self._files))

    def write(
        self,
        numbers: Sequence[int],
        values: Sequence[list[Any]],
        member_type: tff.Type,
    ) -> None:
        """Writes one file for each value, which `reader` reads.

        Args:
          numbers: The files' numbers.
          values: The leaves of each value, as of `_client_values.flatten`.
          member_type: The type of a value.

        Raises:
          ValueError: If a value is of more than `MAX_CLIENT_BYTES`.
          SpoolError: If a file cannot be written; a full disk is the usual cause.
        """
        types = _client_values.leaf_types(member_type)
        for client, (number, leaves) in enumerate(zip(numbers, values, strict=True)):
            parts = list(_encode(leaves, types))
            size = sum(part.nbytes for part in parts)
            if size > MAX_CLIENT_BYTES:
                raise ValueError(
                    f"Expected at most {MAX_CLIENT_BYTES:,} bytes as the value of "
                    f"client {client}, found {size:,}."
                )
            with (
                spool_folder.readable_errors(self.folder),
                open(self._path(number), "wb") as file,
            ):
                for part in parts:
                    file.write(part.data)

    def read(self, numbers: Sequence[int], member_type: tff.Type) -> list[Any]:
        """The values that `writer` wrote under these numbers.

        Raises:
          SpoolError: If a file cannot be read.
        """
        types = _client_values.leaf_types(member_type)
        with spool_folder.readable_errors(self.folder):
            return [
                _client_values.pack(
                    _read_leaves(self._path(number), types), member_type
                )
                for number in numbers
            ]

    def clear(self) -> None:
        """Removes all files."""
        self._folder.clear()

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
        files' numbers to how many have been written; no file has a number below 0.
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
        return f"{self.folder}/{number}"

    def _build_reader(self, member_type: tff.Type) -> tff.Computation:
        types = _client_values.leaf_types(member_type)
        prefix = f"{self.folder}/"

        @tff.tensorflow.computation(np.int32)
        def read(number: tf.Tensor) -> tuple[Any, tf.Tensor]:
            content = tf.io.read_file(prefix + tf.strings.as_string(number))
            leaves, position = _decode(content, types)
            with tf.control_dependencies([position]):
                value = _client_values.pack(leaves, member_type)
                return value, tf.identity(1)

        @tff.federated_computation(tff.FederatedType(np.int32, tff.CLIENTS))
        def read_all(numbers: tff.Value) -> tuple[tff.Value, tff.Value]:
            values = tff.federated_map(read, numbers)
            return values[0], tff.federated_sum(values[1])

        return read_all

    def _build_writer(self, member_type: tff.Type) -> tff.Computation:
        prefix = f"{self.folder}/"

        @tff.tensorflow.computation(member_type, np.int32)
        def write(value: Any, number: tf.Tensor) -> tf.Tensor:
            path = prefix + tf.strings.as_string(number)

            def write_all_leaves() -> tf.Tensor:
                with tf.control_dependencies(_write_leaves(value, member_type, path)):
                    return tf.identity(1)

            return tf.cond(number >= 0, write_all_leaves, lambda: tf.constant(0))

        @tff.federated_computation(
            tff.FederatedType(member_type, tff.CLIENTS),
            tff.FederatedType(np.int32, tff.CLIENTS),
        )
        def write_all(values: tff.Value, numbers: tff.Value) -> tff.Value:
            return tff.federated_sum(tff.federated_map(write, (values, numbers)))

        return write_all


def _is_raw(tensor_type: tff.TensorType) -> bool:
    """Whether an array goes as its shape and its bytes."""
    rank = tf.TensorShape(tensor_type.shape).rank
    return rank is not None and tf.as_dtype(tensor_type.dtype) in _RAW


def _encode(leaves: Sequence[Any], types: Sequence[tff.Type]) -> Iterator[np.ndarray]:
    """The content of a file, in arrays."""
    for leaf, leaf_type in zip(leaves, types, strict=True):
        if isinstance(leaf_type, tff.SequenceType):
            element_types = _client_values.leaf_types(leaf_type.element)
            elements = [list(_encode(element, element_types)) for element in leaf]
            sizes = [sum(part.nbytes for part in element) for element in elements]
            yield np.array([len(elements), *sizes], np.int64)
            yield from itertools.chain.from_iterable(elements)
        elif _is_raw(leaf_type):
            yield np.array(leaf.shape, np.int64)
            yield np.ascontiguousarray(leaf)
        else:
            proto = tf.make_tensor_proto(leaf, leaf_type.dtype).SerializeToString()
            yield np.array([len(proto)], np.int64)
            yield np.frombuffer(proto, np.uint8)


def _decode(
    content: tf.Tensor, types: Sequence[tff.Type]
) -> tuple[list[Any], tf.Tensor]:
    """What `_encode` encoded, and where it ends."""
    position, leaves = tf.constant(0), []
    for leaf_type in types:
        if isinstance(leaf_type, tff.SequenceType):
            leaf, position = _decode_sequence(content, position, leaf_type)
        elif _is_raw(leaf_type):
            rank = len(leaf_type.shape)
            shape, position = _take(content, position, [rank], tf.int64)
            dtype = tf.as_dtype(leaf_type.dtype)
            leaf, position = _take(content, position, shape, dtype)
            leaf = tf.ensure_shape(leaf, leaf_type.shape)
        else:
            size, position = _take(content, position, [], tf.int64)
            end = position + tf.cast(size, tf.int32)
            proto = tf.strings.substr(content, position, end - position)
            leaf = tf.io.parse_tensor(proto, tf.as_dtype(leaf_type.dtype))
            leaf, position = tf.ensure_shape(leaf, leaf_type.shape), end
        leaves.append(leaf)
    with tf.control_dependencies([leaf for leaf in leaves if tf.is_tensor(leaf)]):
        return leaves, tf.identity(position)


def _decode_sequence(
    content: tf.Tensor, position: tf.Tensor, sequence_type: tff.SequenceType
) -> tuple[tf.data.Dataset, tf.Tensor]:
    count, position = _take(content, position, [], tf.int64)
    sizes, position = _take(content, position, [count], tf.int64)
    sizes = tf.cast(sizes, tf.int32)
    ends = position + tf.cumsum(sizes)
    # A dataset is read again and again: it has to hold the elements themselves.
    parts = tf.strings.substr(content, ends - sizes, sizes)
    types = _client_values.leaf_types(sequence_type.element)
    dataset = tf.data.Dataset.from_tensor_slices(parts).map(
        lambda part: _client_values.pack(_decode(part, types)[0], sequence_type.element)
    )
    return dataset, position + tf.reduce_sum(sizes)


def _take(
    content: tf.Tensor, position: tf.Tensor, shape: Any, dtype: tf.DType
) -> tuple[tf.Tensor, tf.Tensor]:
    """The tensor that begins at `position`, and where it ends."""
    size = tf.cast(tf.reduce_prod(tf.cast(shape, tf.int64)), tf.int32) * dtype.size
    part = tf.strings.substr(content, position, size)
    return tf.reshape(tf.io.decode_raw(part, dtype), shape), position + size


def _write_leaves(value: Any, value_type: tff.Type, path: tf.Tensor) -> list[Any]:
    """Writes one file for each leaf; returns the operations."""
    return [
        _write_sequence(leaf, leaf_type, path + f".{number}")
        if isinstance(leaf_type, tff.SequenceType)
        else _write_tensor(leaf, path + f".{number}")
        for number, (leaf, leaf_type, _) in enumerate(
            _client_values.walk(value, value_type)
        )
    ]


def _write_tensor(leaf: tf.Tensor, path: tf.Tensor) -> tf.Operation:
    size = tf.size(leaf, tf.int64) * max(1, leaf.dtype.size)
    fits = tf.debugging.Assert(
        size <= MAX_CLIENT_BYTES,
        [
            tf.strings.join(
                [
                    f"Expected at most {MAX_CLIENT_BYTES:,} bytes in a tensor of a "
                    "client, found ",
                    tf.strings.as_string(size),
                    ".",
                ]
            )
        ],
    )
    with tf.control_dependencies([fits]):
        return tf.io.write_file(path, tf.io.serialize_tensor(leaf))


def _write_sequence(
    dataset: tf.data.Dataset, sequence_type: tff.SequenceType, path: tf.Tensor
) -> tf.Operation:
    """Writes one file for each leaf of each element, and one for their number."""

    def write(number: tf.Tensor, element: Any) -> tf.Tensor:
        name = path + "." + tf.strings.as_string(number)
        written = _write_leaves(element, sequence_type.element, name)
        with tf.control_dependencies(written):
            return number + 1

    count = dataset.reduce(tf.constant(0, tf.int64), write)
    return tf.io.write_file(path, tf.io.serialize_tensor(count))


def _read_leaves(path: str, types: Sequence[tff.Type]) -> list[Any]:
    """What `_write_leaves` wrote."""
    leaves = []
    for number, leaf_type in enumerate(types):
        name = f"{path}.{number}"
        content = pathlib.Path(name).read_bytes()
        leaf = tf.make_ndarray(tensor_pb2.TensorProto.FromString(content))
        if isinstance(leaf_type, tff.SequenceType):
            element_types = _client_values.leaf_types(leaf_type.element)
            leaf = [
                _read_leaves(f"{name}.{element}", element_types)
                for element in range(int(leaf))
            ]
        leaves.append(leaf)
    return leaves
