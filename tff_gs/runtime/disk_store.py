"""Clients' states in one file, which outlives the program.

The file is a header of whole pages and one record of fixed size for each client, in the
order in which the clients came. A record is mapped into memory only while it is read or
written, so that memory holds no more than one state at a time, however many clients.
"""

import contextlib
import fcntl
import json
import mmap
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import tensor_specs
from tff_gs.runtime import client_store

_MAGIC = b"tff_gs client states 1\n"
_PAGE = mmap.ALLOCATIONGRANULARITY
_BEGUN, _ENDED, _ID = range(3)  # What the int64 numbers before a state are.
_NUMBERS = 3


class DiskStore(client_store.ClientStore):
    """Keeps states in a memory-mapped file; see the module."""

    def __init__(self, path: str | os.PathLike[str], state_type: tff.Type) -> None:
        """Opens the file, or makes it where there is none.

        Args:
          path: The file; its folder exists.
          state_type: The type of one client's state, of a process
            `process.next.type_signature.parameter.clients`, with or without its
            placement.

        Raises:
          ValueError: If the file cannot be opened, is used by another store, is none
            of a `DiskStore`, or holds states of another type.
        """
        if isinstance(state_type, tff.FederatedType):
            state_type = state_type.member
        self._path = pathlib.Path(path)
        self._template = tensor_specs.structure(state_type)
        self._specs = tensor_specs.leaves(state_type)
        _require_fixed_shapes(self._specs)
        fields = [("numbers", np.int64, (_NUMBERS,))] + [
            (f"part{number}", spec.dtype.as_numpy_dtype, tuple(spec.shape))
            for number, spec in enumerate(self._specs)
        ]
        self._record = np.dtype(fields)
        self._record_bytes = _whole_pages(self._record.itemsize)
        try:
            self._file = open(self._path, "a+b", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise ValueError(
                f"Expected a file of client states at {path}, found: {error.strerror}."
            ) from error
        try:
            self._lock()
            self._header_bytes = self._check_header(str(state_type))
            self._slots = self._read_slots()
        except BaseException:
            self._file.close()
            raise

    @property
    def client_ids(self) -> np.ndarray:
        """See base class."""
        return np.array(sorted(self._slots), np.int64)

    def read(self, client_ids: Sequence[int]) -> list[Any]:
        """See base class.

        Raises:
          ValueError: Likewise, and if a state was written only in part.
        """
        client_store.require_known(client_ids, self._slots)
        return [self._read(int(client)) for client in client_ids]

    def write(self, client_ids: Sequence[int], states: Any) -> None:
        """See base class.

        Raises:
          ValueError: Likewise, and if a state is not of the store's type.
        """
        states = client_store.as_list(client_ids, states)
        for client, state in zip(client_ids, states, strict=True):
            self._write(int(client), state)

    def close(self) -> None:
        """See base class; the states are then on the disk itself."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(
                f"Expected {self._path} to be used by one store at a time, found "
                "another one."
            ) from error

    def _check_header(self, state_type: str) -> int:
        """Reads the header, or writes it; returns its size."""
        description = {"record_bytes": self._record_bytes, "state_type": state_type}
        text = _MAGIC + json.dumps(description).encode() + b"\n"
        size = _whole_pages(len(text))
        if os.fstat(self._file.fileno()).st_size == 0:
            os.truncate(self._file.fileno(), size)
            with self._mapped(0, size) as header:
                header[: len(text)] = text
            return size
        found = os.pread(self._file.fileno(), size, 0)
        if not found.startswith(_MAGIC):
            raise ValueError(
                f"Expected a file of client states at {self._path}, found one that "
                f"begins with {found[: len(_MAGIC)]!r}."
            )
        if found != text.ljust(size, b"\0"):
            raise ValueError(
                f"Expected states of type {state_type} in records of "
                f"{self._record_bytes} bytes in {self._path}, found "
                f"{_described(found)}."
            )
        return size

    def _read_slots(self) -> dict[int, int]:
        """The position of each client's record."""
        size = os.fstat(self._file.fileno()).st_size - self._header_bytes
        count, rest = divmod(size, self._record_bytes)
        if rest:
            raise ValueError(
                f"Expected whole records of {self._record_bytes} bytes in "
                f"{self._path}, found {count} and {rest} bytes."
            )
        slots = {}
        self._free = []
        for slot in range(count):
            numbers = os.pread(self._file.fileno(), 8 * _NUMBERS, self._position(slot))
            client = int(np.frombuffer(numbers, np.int64)[_ID]) - 1
            if client == -1:
                # It was being added when the program was ended.
                self._free.append(slot)
                continue
            if client in slots or client < 0:
                raise ValueError(
                    f"Expected distinct ids of clients from 0 on in {self._path}, "
                    f"found {client} in record {slot}."
                )
            slots[client] = slot
        return slots

    def _position(self, slot: int) -> int:
        return self._header_bytes + slot * self._record_bytes

    @contextlib.contextmanager
    def _mapped(self, start: int, size: int) -> Iterator[mmap.mmap]:
        """The bytes of the file in memory, for as long as the context lasts."""
        mapped = mmap.mmap(self._file.fileno(), size, offset=start)
        try:
            yield mapped
        finally:
            mapped.close()

    def _read(self, client: int) -> Any:
        with self._mapped(
            self._position(self._slots[client]), self._record_bytes
        ) as mapped:
            # Copied: the arrays outlive the mapping.
            record = np.frombuffer(mapped, self._record, count=1).copy()[0]
        numbers = record["numbers"]
        if numbers[_BEGUN] != numbers[_ENDED]:
            raise ValueError(
                f"Expected the whole state of client {client} in {self._path}, found "
                "one of which the program wrote a part only before it was ended."
            )
        leaves = [np.asarray(record[name]) for name in self._record.names[1:]]
        return tf.nest.pack_sequence_as(self._template, leaves)

    def _write(self, client: int, state: Any) -> None:
        leaves = [np.asarray(leaf) for leaf in tf.nest.flatten(state)]
        found = [(leaf.dtype, leaf.shape) for leaf in leaves]
        wanted = [(s.dtype.as_numpy_dtype, tuple(s.shape)) for s in self._specs]
        if found != wanted:
            raise ValueError(
                f"Expected a state of {len(wanted)} arrays of the type of "
                f"{self._path}, found {[f'{t}{shape}' for t, shape in found]}."
            )
        slot = self._slots.get(client)
        if slot is None:
            slot = self._free.pop() if self._free else self._append()
        with self._mapped(self._position(slot), self._record_bytes) as mapped:
            self._fill(np.frombuffer(mapped, self._record, count=1), client, leaves)
        self._slots[client] = slot

    def _append(self) -> int:
        """Makes room for one more record."""
        end = os.fstat(self._file.fileno()).st_size
        os.truncate(self._file.fileno(), end + self._record_bytes)
        return (end - self._header_bytes) // self._record_bytes

    def _fill(self, record: np.ndarray, client: int, leaves: list[np.ndarray]) -> None:
        numbers = record["numbers"][0]
        numbers[_BEGUN] += 1
        for name, leaf in zip(self._record.names[1:], leaves, strict=True):
            record[name][0] = leaf
        numbers[_ENDED] = numbers[_BEGUN]
        # Last, so that a record with an id has been written once; 0 stands for none.
        numbers[_ID] = client + 1


def _require_fixed_shapes(specs: Sequence[tf.TensorSpec]) -> None:
    for spec in specs:
        if not spec.shape.is_fully_defined():
            raise ValueError(
                "Expected client states of tensors with a fixed shape, found "
                f"{tff.types.tensorflow_to_type(spec)}."
            )


def _whole_pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def _described(header: bytes) -> str:
    """What a header says."""
    try:
        description = json.loads(header.rstrip(b"\0")[len(_MAGIC) :])
        return "{state_type} in records of {record_bytes} bytes".format(**description)
    except (ValueError, KeyError, TypeError):
        return "a header that cannot be read"
