"""Clients' states in one file, which outlives the program.

The file is a header of whole pages and one record of fixed size for each client, in the
order in which the clients came. A record is mapped into memory only while it is read or
written, so that memory holds no more than one state at a time, however many clients.

A snapshot copies nothing: it says which records the states are in, and these are left
alone from then on. A client whose record belongs to a snapshot is written to another
one, so that the file holds at most two records of a client once the snapshot is saved.
"""

import contextlib
import fcntl
import json
import mmap
import os
import pathlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import tensor_specs
from tff_gs.runtime import client_store

_MAGIC = b"tff_gs client states 1\n"
_PAGE = mmap.ALLOCATIONGRANULARITY
_BEGUN, _ENDED, _ID = range(3)  # What the int64 numbers before a state are.
_NUMBERS = 3


class DiskSnapshot(NamedTuple):
    """Where a `DiskStore` keeps the states of a moment.

    Attributes:
      slots: int64 [N], the number of each client's record; -1: the client has none.
      stamps: int64 [N], when each record was written, in nanoseconds: no two records
        are written at the same time.
    """

    slots: np.ndarray
    stamps: np.ndarray


class _Place(NamedTuple):
    slot: int
    stamp: int


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
            self._newest = 0
            # The records of the last snapshot.
            self._last: set[int] = set()
            self._places, self._free, self._kept = self._read_places()
        except BaseException:
            self._file.close()
            raise

    @property
    def client_ids(self) -> np.ndarray:
        """See base class."""
        return np.array(sorted(self._places), np.int64)

    def read(self, client_ids: Sequence[int]) -> list[Any]:
        """See base class.

        Raises:
          ValueError: Likewise, and if a state was written only in part.
        """
        client_store.require_known(client_ids, self._places)
        return [self._read(int(client)) for client in client_ids]

    def write(self, client_ids: Sequence[int], states: Any) -> None:
        """See base class.

        Raises:
          ValueError: Likewise, and if a state is not of the store's type.
        """
        states = client_store.as_list(client_ids, states)
        for client, state in zip(client_ids, states, strict=True):
            self._write(int(client), state)

    def snapshot(self, state_type: tff.Type, clients: int) -> DiskSnapshot:
        """See base class; the states are then on the disk itself."""
        os.fsync(self._file.fileno())
        found = self.snapshot_spec(state_type, clients)
        for client, place in self._places.items():
            found.slots[client], found.stamps[client] = place
        self._last = {place.slot for place in self._places.values()}
        self._kept |= self._last
        return found

    def snapshot_spec(self, state_type: tff.Type, clients: int) -> DiskSnapshot:
        """See base class."""
        del state_type  # That of the file.
        return DiskSnapshot(np.full(clients, -1, np.int64), np.zeros(clients, np.int64))

    def restore(self, state_type: tff.Type, snapshot: DiskSnapshot) -> None:
        """See base class; all other records are used again."""
        del state_type  # That of the file.
        places = {
            int(client): _Place(*(int(column[client]) for column in snapshot))
            for client in np.flatnonzero(snapshot.slots >= 0)
        }
        count = self._count()
        for client, (slot, stamp) in places.items():
            if slot >= count or list(self._numbers(slot)) != [stamp, stamp, client + 1]:
                raise ValueError(
                    f"Expected the saved state of client {client} in record {slot} of "
                    f"{self._path}, found {'another one' if slot < count else 'none'}."
                )
        self._places = places
        self._last = {place.slot for place in places.values()}
        self._kept = set(range(self._count())) - set(self._free)
        self.forget_earlier_snapshots()

    def forget_earlier_snapshots(self) -> None:
        """See base class; the records of earlier ones are used again."""
        used = {place.slot for place in self._places.values()} | self._last
        for slot in sorted(self._kept - used):
            with self._mapped(self._position(slot), _PAGE) as mapped:
                np.frombuffer(mapped, np.int64, _NUMBERS)[_ID] = 0
            self._free.append(slot)
        self._kept = set(self._last)

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

    def _count(self) -> int:
        """How many records there are."""
        size = os.fstat(self._file.fileno()).st_size - self._header_bytes
        count, rest = divmod(size, self._record_bytes)
        if rest:
            raise ValueError(
                f"Expected whole records of {self._record_bytes} bytes in "
                f"{self._path}, found {count} and {rest} bytes."
            )
        return count

    def _numbers(self, slot: int) -> np.ndarray:
        numbers = os.pread(self._file.fileno(), 8 * _NUMBERS, self._position(slot))
        return np.frombuffer(numbers, np.int64)

    def _read_places(self) -> tuple[dict[int, _Place], list[int], set[int]]:
        """Each client's last record, the records of nobody, and all others.

        The others may belong to a snapshot.
        """
        places: dict[int, _Place] = {}
        free, others = [], set()
        for slot in range(self._count()):
            numbers = self._numbers(slot)
            client, place = int(numbers[_ID]) - 1, _Place(slot, int(numbers[_BEGUN]))
            self._newest = max(self._newest, place.stamp)
            if client == -1:
                # It was being added when the program was ended.
                free.append(slot)
                continue
            if client < 0:
                raise ValueError(
                    f"Expected ids of clients from 0 on in {self._path}, found "
                    f"{client} in record {slot}."
                )
            known = places.get(client, place)
            places[client] = max(known, place, key=lambda p: p.stamp)
            others.add(slot)
        return places, free, others - {place.slot for place in places.values()}

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
            self._position(self._places[client].slot), self._record_bytes
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
        place = self._places.get(client)
        if place is None or place.slot in self._kept:
            slot = self._free.pop() if self._free else self._append()
        else:
            slot = place.slot
        # Later than all others, even where the clock is set back.
        self._newest = stamp = max(self._newest + 1, time.time_ns())
        with self._mapped(self._position(slot), self._record_bytes) as mapped:
            self._fill(
                np.frombuffer(mapped, self._record, count=1), client, stamp, leaves
            )
        self._places[client] = _Place(slot, stamp)

    def _append(self) -> int:
        """Makes room for one more record."""
        end = os.fstat(self._file.fileno()).st_size
        os.truncate(self._file.fileno(), end + self._record_bytes)
        return (end - self._header_bytes) // self._record_bytes

    def _fill(
        self, record: np.ndarray, client: int, stamp: int, leaves: list[np.ndarray]
    ) -> None:
        numbers = record["numbers"][0]
        numbers[_BEGUN] = stamp
        for name, leaf in zip(self._record.names[1:], leaves, strict=True):
            record[name][0] = leaf
        numbers[_ENDED] = stamp
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
