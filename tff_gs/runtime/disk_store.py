"""Clients' states in one file, which outlives the program.

The file is a header of whole pages and one record of fixed size for each client, in the
order in which the clients came. Memory holds no more than one state at a time, however
many clients. The file is read and written, not mapped: a disk that is full, or a file
that someone cuts short, is then an error that can be told, and no signal.

A snapshot copies nothing: it says which records the states are in, and these are left
alone from then on. A client whose record belongs to a snapshot is written to another
one. The two latest saved snapshots are kept, so the file holds at most three
records of a client.

Every record has a checksum of all that it says.
"""

import errno
import json
import mmap
import os
import pathlib
import time
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import _files, _tensor_specs
from tff_gs.runtime import client_store

_NAME = b"tff_gs client states "
_FORMAT = 2
_MAGIC = _NAME + b"%d\n" % _FORMAT
_PAGE = mmap.ALLOCATIONGRANULARITY
_STAMP, _CHECKSUM, _ID = range(3)  # What the int64 numbers before a state are.
_NUMBERS = 3
_NUMBERS_BYTES = 8 * _NUMBERS
# The checkpoint that a program goes on from, and the one before it.
_KEPT_SNAPSHOTS = 2
#: In the place of the descriptor of a file that is closed.
_CLOSED = -1


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
    """Keeps states in a file; see the module.

    >>> with DiskStore("clients.states", tff.TensorType(np.float32, [2])) as store:
    ...     store.write([7], [np.ones(2, np.float32)])
    >>> with DiskStore("clients.states", tff.TensorType(np.float32, [2])) as store:
    ...     store.read([7])
    [array([1., 1.], dtype=float32)]
    """

    def __init__(self, path: str | os.PathLike[str], state_type: tff.Type) -> None:
        """Opens the file, or makes it if there is none.

        Args:
          path: The file; its folder exists.
          state_type: The type of one client's state, of a process
            `process.next.type_signature.parameter.clients`, with or without its
            placement.

        Raises:
          ValueError: If the file cannot be opened, is used by another store, is none
            of a `DiskStore`, or holds states of another type.
          OSError: If a new file cannot be written; there is none then.
        """
        if isinstance(state_type, tff.FederatedType):
            state_type = state_type.member
        self._path = pathlib.Path(path)
        self._template = _tensor_specs.structure(state_type)
        self._specs = _tensor_specs.leaves(state_type)
        _require_fixed_shapes(self._specs)
        fields = [("numbers", np.int64, (_NUMBERS,))] + [
            (f"part{number}", spec.dtype.as_numpy_dtype, tuple(spec.shape))
            for number, spec in enumerate(self._specs)
        ]
        self._record = np.dtype(fields)
        self._names = [name for name, *_ in fields[1:]]
        self._record_bytes = _whole_pages(self._record.itemsize)
        self._file = self._open()
        try:
            _files.take(self._file, self._path, holder="another store")
            self._header_bytes = self._check_header(str(state_type))
            self._newest = 0
            # The records of the snapshots that are saved, the latest last; and of the
            # one that is not yet.
            self._saved: list[set[int]] = []
            self._unsaved: set[int] = set()
            self._places, self._free, self._kept = self._read_places()
        except BaseException:
            self._close_file()
            raise

    @property
    @override
    def client_ids(self) -> np.ndarray:
        return np.array(sorted(self._places), np.int64)

    @override
    def read(self, client_ids: Sequence[int]) -> list[Any]:
        """Reads the states from the file.

        Raises:
          ValueError: As the base class says, and if a state is damaged or was
            written only in part.
        """
        client_store.require_known(client_ids, self._places)
        return [self._read(int(client)) for client in client_ids]

    @override
    def write(self, client_ids: Sequence[int], states: Any) -> None:
        """Writes the states to the file.

        Raises:
          ValueError: As the base class says, and if a state is not of the store's type.
        OSError: If the disk is full or fails.
        """
        states = client_store.as_list(client_ids, states)
        for client, state in zip(client_ids, states, strict=True):
            self._write(int(client), state)

    @override
    def snapshot(self, state_type: tff.Type, clients: int) -> DiskSnapshot:
        """The states are then on the disk itself."""
        self._sync()
        found = self.snapshot_spec(state_type, clients)
        for client, place in self._places.items():
            found.slots[client], found.stamps[client] = place
        self._unsaved = {place.slot for place in self._places.values()}
        self._kept |= self._unsaved
        return found

    @override
    def snapshot_spec(self, state_type: tff.Type, clients: int) -> DiskSnapshot:
        del state_type  # That of the file.
        return DiskSnapshot(np.full(clients, -1, np.int64), np.zeros(clients, np.int64))

    @override
    def restore(self, state_type: tff.Type, snapshot: DiskSnapshot) -> None:
        """Records that are younger are used again.

        Older ones may belong to the snapshot before this one, which is kept.
        """
        del state_type  # That of the file.
        places = {
            int(client): _Place(*(int(column[client]) for column in snapshot))
            for client in np.flatnonzero(snapshot.slots >= 0)
        }
        for client, place in places.items():
            self._check_saved(client, place)
        self._places = places
        saved = {place.slot for place in places.values()}
        last = max((place.stamp for place in places.values()), default=0)
        others = set(range(self._count())) - set(self._free) - saved
        older = {slot for slot in others if self._numbers(slot)[_STAMP] <= last}
        self._release(others - older)
        self._saved = [older, saved]
        self._kept = older | saved

    @override
    def forget_earlier_snapshots(self) -> None:
        """But the one before the last is kept as well."""
        self._saved = [*self._saved, self._unsaved][-_KEPT_SNAPSHOTS:]
        kept = set().union(*self._saved)
        used = {place.slot for place in self._places.values()}
        self._release(self._kept - kept - used)
        self._kept = kept

    @override
    def close(self) -> None:
        """The states are then on the disk itself."""
        if self._file != _CLOSED:
            try:
                self._sync()
            finally:
                self._close_file()

    def _open(self) -> int:
        try:
            return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise ValueError(
                f"Expected a file of client states at {self._path}, found: "
                f"{error.strerror}."
            ) from error

    def _close_file(self) -> None:
        os.close(self._file)
        self._file = _CLOSED

    def _check_header(self, state_type: str) -> int:
        """Reads the header, or writes it; returns its size."""
        description = {"record_bytes": self._record_bytes, "state_type": state_type}
        text = _MAGIC + json.dumps(description).encode() + b"\n"
        size = _whole_pages(len(text))
        if self._size() == 0:
            try:
                self._reserve(0, size)
                self._put(text, 0)
            except OSError:
                self._path.unlink(missing_ok=True)
                raise
            return size
        found = os.pread(self._file, size, 0)
        if not found.startswith(_MAGIC):
            raise ValueError(_not_of_this_format(self._path, found))
        if found != text.ljust(size, b"\0"):
            raise ValueError(
                f"Expected states of type {state_type} in records of "
                f"{self._record_bytes} bytes in {self._path}, found "
                f"{_described(found)}."
            )
        return size

    def _size(self) -> int:
        return os.fstat(self._file).st_size

    def _count(self) -> int:
        """How many records there are."""
        count, rest = divmod(self._size() - self._header_bytes, self._record_bytes)
        if rest:
            raise ValueError(
                f"Expected whole records of {self._record_bytes} bytes in "
                f"{self._path}, found {count} and {rest} bytes."
            )
        return count

    def _numbers(self, slot: int) -> np.ndarray:
        numbers = os.pread(self._file, _NUMBERS_BYTES, self._position(slot))
        return np.frombuffer(numbers, np.int64)

    def _read_places(self) -> tuple[dict[int, _Place], list[int], set[int]]:
        """Each client's last record, the records of nobody, and all others.

        The others may belong to a snapshot.
        """
        places: dict[int, _Place] = {}
        free, others = [], set()
        for slot in range(self._count()):
            numbers = self._numbers(slot)
            client, place = int(numbers[_ID]) - 1, _Place(slot, int(numbers[_STAMP]))
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

    def _check_saved(self, client: int, place: _Place) -> None:
        """Raises ValueError unless the record is that of a snapshot, and whole."""
        found = "none"
        if place.slot < self._count():
            record = self._load(place.slot)
            numbers = record["numbers"][0]
            if (numbers[_STAMP], numbers[_ID]) != (place.stamp, client + 1):
                found = "another one"
            elif numbers[_CHECKSUM] == _checksum(record):
                return
            else:
                found = "a damaged one"
        raise ValueError(
            f"Expected the saved state of client {client} in record {place.slot} of "
            f"{self._path}, found {found}."
        )

    def _load(self, slot: int) -> np.ndarray:
        """The record in an array of one element; zeros if the file ends early."""
        record = np.zeros(1, self._record)
        os.preadv(self._file, [record.view(np.uint8).data], self._position(slot))
        return record

    def _read(self, client: int) -> Any:
        record = self._load(self._places[client].slot)
        numbers = record["numbers"][0]
        if numbers[_ID] != client + 1 or numbers[_CHECKSUM] != _checksum(record):
            raise ValueError(
                f"Expected the whole state of client {client} in {self._path}, found "
                "one that is damaged, or that the program wrote only in part before "
                "it was ended."
            )
        leaves = [np.asarray(record[name][0]) for name in self._names]
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
        # Later than all others, even if the clock is set back.
        self._newest = stamp = max(self._newest + 1, time.time_ns())
        record = np.zeros(1, self._record)
        for name, leaf in zip(self._names, leaves, strict=True):
            record[name][0] = leaf
        numbers = record["numbers"][0]
        numbers[_STAMP], numbers[_ID] = stamp, client + 1
        numbers[_CHECKSUM] = _checksum(record)
        content = record.view(np.uint8).data
        # The numbers last: a record with an id has been written as a whole once.
        start = self._position(slot)
        self._put(content[_NUMBERS_BYTES:], start + _NUMBERS_BYTES)
        self._put(content[:_NUMBERS_BYTES], start)
        self._places[client] = _Place(slot, stamp)

    def _append(self) -> int:
        """Makes room for one more record."""
        end = self._size()
        self._reserve(end, self._record_bytes)
        return (end - self._header_bytes) // self._record_bytes

    def _reserve(self, start: int, size: int) -> None:
        """Makes the file longer by `size` bytes, which the disk has then."""
        try:
            os.posix_fallocate(self._file, start, size)
        except OSError as error:
            # A part may have been added.
            os.truncate(self._file, start)
            self._fail(error)

    def _put(self, content: bytes | memoryview, start: int) -> None:
        try:
            while content:
                count = os.pwrite(self._file, content, start)
                content, start = content[count:], start + count
        except OSError as error:
            self._fail(error)

    def _release(self, slots: set[int]) -> None:
        """Lets records be used again."""
        for slot in sorted(slots):
            self._put(bytes(_NUMBERS_BYTES), self._position(slot))
            self._free.append(slot)

    def _sync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> NoReturn:
        """Raises the error with the name of the file."""
        number = error.errno or errno.EIO
        raise OSError(number, os.strerror(number), os.fspath(self._path)) from error


def _checksum(record: np.ndarray) -> int:
    """Of all that a record says, except the checksum itself."""
    numbers = record["numbers"][0]
    found = zlib.crc32(numbers[[_STAMP, _ID]].tobytes())
    return zlib.crc32(record.view(np.uint8)[_NUMBERS_BYTES:].data, found)


def _not_of_this_format(path: pathlib.Path, found: bytes) -> str:
    earlier = found[len(_NAME) :].partition(b"\n")[0]
    if found.startswith(_NAME) and earlier.isdigit():
        return (
            f"Expected client states of format {_FORMAT} in {path}, found format "
            f"{int(earlier)}, of another version of tff_gs."
        )
    return (
        f"Expected a file of client states at {path}, found one that begins with "
        f"{found[: len(_MAGIC)]!r}."
    )


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
