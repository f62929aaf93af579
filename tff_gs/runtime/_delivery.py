"""The way of clients' values from Python into a worker, and back."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import _client_values
from tff_gs.runtime import (
    _executors,
    _messages,
    _native_form,
    _spool,
    _staging,
    spool_folder,
)

# gRPC's limit, less what is in a message beside values.
_MOST_BYTES = 1_900_000_000
# Up to here the values of all clients go in one message; it is quicker than files.
_MESSAGE_BYTES = 2**20
# What a leaf takes in a message beside its bytes, generously.
_LEAF_BYTES = 64
# The numbers of clients' files are the one message that grows with the clients.
_NUMBERS = tff.FederatedType(np.int32, tff.CLIENTS)


class Delivery:
    """In messages: to a worker anywhere."""

    def place(
        self,
        executor: _executors.Executor,
        flat: Sequence[list[Any]],
        placed: tff.FederatedType,
    ) -> _executors.Handle:
        """Moves the values of the executor's clients there.

        Args:
          executor: It.
          flat: The leaves of each client's value, as of `_client_values.flatten`.
          placed: The type of all values, {T}@CLIENTS.

        Raises:
          ValueError: If they are too large.
        """
        size = _size(list(flat))
        if size > _MOST_BYTES:
            raise ValueError(
                f"Expected at most {_MOST_BYTES:,} bytes as the values of the "
                f"{len(flat)} clients of a worker on another machine, found {size:,}: "
                "use more workers."
            )
        packed = [_client_values.pack(leaves, placed.member) for leaves in flat]
        return executor.create([_messages.of_value(packed, placed)])[0]

    def fetch(
        self,
        executor: _executors.Executor,
        handle: _executors.Handle,
        placed: tff.FederatedType,
        places: Sequence[int],
    ) -> list[Any]:
        """The values of some clients in Python.

        Args:
          executor: Where they are.
          handle: All clients' values.
          placed: Their type.
          places: Which clients', by their places in the executor.
        """
        everybody = _messages.to_value(executor.fetch(handle), placed)
        return [everybody[place] for place in places]

    def close(self) -> None:
        """Ends the use of it."""


class FileDelivery(Delivery):
    """Through files, if values are large: to a worker on this machine."""

    def __init__(self) -> None:
        """Makes a folder for the files.

        Raises:
          SpoolError: If that is not possible.
        """
        self._spool = _spool.Spool()
        self._stages: dict[int, _staging.Stage] = {}

    @override
    def place(
        self,
        executor: _executors.Executor,
        flat: Sequence[list[Any]],
        placed: tff.FederatedType,
    ) -> _executors.Handle:
        if _size(list(flat)) <= _MESSAGE_BYTES and _has_ranks(placed.member):
            return super().place(executor, flat, placed)
        numbers = self._spool.number(len(flat))
        try:
            self._spool.write(numbers, flat, placed.member)
            sent = _send_numbers(executor, numbers)
            read = self._stage(self._spool.reader(placed.member))
            values, count = executor.call(read.computation, [sent], 2)
            executor.fetch(count)
            return values
        finally:
            self._spool.clear()

    @override
    def fetch(
        self,
        executor: _executors.Executor,
        handle: _executors.Handle,
        placed: tff.FederatedType,
        places: Sequence[int],
    ) -> list[Any]:
        if _type_size(placed.member) * executor.clients <= _MESSAGE_BYTES:
            return super().fetch(executor, handle, placed, places)
        numbers = np.full(executor.clients, -1, np.int32)
        numbers[list(places)] = self._spool.number(len(places))
        try:
            sent = _send_numbers(executor, numbers.tolist())
            write = self._stage(self._spool.writer(placed.member))
            with spool_folder.full_disk_in_worker(self._spool.folder):
                (count,) = executor.call(write.computation, [handle, sent], 1)
                executor.fetch(count)
            return self._spool.read(numbers[list(places)].tolist(), placed.member)
        finally:
            self._spool.clear()

    @override
    def close(self) -> None:
        """Removes the folder."""
        self._spool.close()

    def _stage(self, comp: tff.Computation) -> _staging.Stage:
        if id(comp) not in self._stages:
            (stage,) = _staging.whole(_native_form.native_form(comp)).stages
            self._stages[id(comp)] = stage
        return self._stages[id(comp)]


def _send_numbers(
    executor: _executors.Executor, numbers: Sequence[int]
) -> _executors.Handle:
    values = [np.int32(number) for number in numbers]
    return executor.create([_messages.of_value(values, _NUMBERS)])[0]


def _size(leaves: Any) -> int:
    """An upper bound on the bytes of values in a message, if they are small."""
    if isinstance(leaves, list):
        return sum(map(_size, leaves)) + _LEAF_BYTES
    if leaves.dtype == object:
        return sum(len(entry) * 4 for entry in leaves.flat) + _LEAF_BYTES
    return leaves.nbytes + _LEAF_BYTES


def _type_size(value_type: tff.Type) -> float:
    """The same of a value of a type; infinite if the type does not fix it."""
    size = float(_LEAF_BYTES)
    for leaf in _client_values.leaf_types(value_type):
        if not isinstance(leaf, tff.TensorType) or not _is_fixed(leaf):
            return math.inf
        size += math.prod(leaf.shape) * leaf.dtype.itemsize + _LEAF_BYTES
    return size


def _has_ranks(value_type: tff.Type) -> bool:
    """Whether TFF can send values of the type in a message."""
    return all(
        _has_ranks(leaf.element)
        if isinstance(leaf, tff.SequenceType)
        else leaf.shape is not None
        for leaf in _client_values.leaf_types(value_type)
    )


def _is_fixed(tensor_type: tff.TensorType) -> bool:
    shape = tf.TensorShape(tensor_type.shape)
    return shape.is_fully_defined() and tf.as_dtype(tensor_type.dtype) != tf.string
