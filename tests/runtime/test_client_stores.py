"""Stores of clients' states: what is written is read, also by a later program."""

import mmap
import pathlib
import tempfile
from typing import Any, NamedTuple

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from hypothesis import strategies as st

from tests import file_limit
from tff_gs import runtime

_PAGE = mmap.ALLOCATIONGRANULARITY


class State(NamedTuple):
    number: Any
    vector: Any
    inner: Any


_TYPE = tff.to_type(
    State(np.int32, (np.float32, [5]), [(np.int64, [2, 2]), np.float64])
)


def _state(number):
    rng = np.random.default_rng(number)
    return State(
        np.int32(number),
        rng.normal(size=5).astype(np.float32),
        [rng.integers(0, 9, (2, 2)), np.float64(number / 7)],
    )


def _assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert isinstance(one, State)
        tf.nest.map_structure(np.testing.assert_array_equal, one, two)
        assert [np.asarray(leaf).dtype for leaf in tf.nest.flatten(one)] == [
            np.asarray(leaf).dtype for leaf in tf.nest.flatten(two)
        ]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "clients.states"


@pytest.fixture(params=["memory", "disk"])
def store(request, path):
    with (
        runtime.MemoryStore()
        if request.param == "memory"
        else runtime.DiskStore(path, _TYPE)
    ) as opened:
        yield opened


def test_what_is_written_is_read_in_the_order_asked_for(store):
    assert store.client_ids.tolist() == []
    store.write([7, 0], [_state(7), _state(0)])
    store.write([3], [_state(3)])
    assert store.client_ids.tolist() == [0, 3, 7]
    _assert_equal(store.read([3, 7]), [_state(3), _state(7)])
    store.write([3, 0], [_state(30), _state(10)])
    _assert_equal(store.read([0, 3, 7]), [_state(10), _state(30), _state(7)])
    assert store.client_ids.tolist() == [0, 3, 7]
    _assert_equal(store.read([]), [])


def test_what_was_read_and_written_is_the_stores_own(store):
    mine = _state(1)
    store.write([1], [mine])
    mine.vector[:] = 0
    _assert_equal(store.read([1]), [_state(1)])
    (first,) = store.read([1])
    store.write([1], [_state(2)])
    _assert_equal([first], [_state(1)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.read([0, 5, 6]), r"among the 2 whose state is kept, found \[5, 6"),
        (lambda s: s.read([0, 0]), r"distinct ids .* found \[0, 0\]"),
        (lambda s: s.write([2, 2], [_state(2)] * 2), r"distinct ids .* found \[2, 2\]"),
        (lambda s: s.write([-1], [_state(2)]), r"ids of clients from 0 on, found \[-1"),
        (lambda s: s.write([2, 3], [_state(2)]), "each of 2 clients, found 1"),
    ],
)
def test_bad_calls_are_one_sentence(store, call, message):
    store.write([0, 1], [_state(0), _state(1)])
    with pytest.raises(ValueError, match=message) as error:
        call(store)
    assert "\n" not in str(error.value)
    assert store.client_ids.tolist() == [0, 1]


def test_a_reopened_file_has_the_same_states(path):
    with runtime.DiskStore(path, tff.FederatedType(_TYPE, tff.CLIENTS)) as store:
        store.write([4, 2, 9], [_state(4), _state(2), _state(9)])
    with runtime.DiskStore(path, _TYPE) as store:
        assert store.client_ids.tolist() == [2, 4, 9]
        store.write([2, 5], [_state(20), _state(5)])
    with runtime.DiskStore(str(path), _TYPE) as store:
        _assert_equal(
            store.read([2, 4, 5, 9]), [_state(20), _state(4), _state(5), _state(9)]
        )


def test_thousands_of_clients_take_one_record_each(path):
    ids = np.random.default_rng(0).permutation(20_000)[:3000]
    with runtime.DiskStore(path, _TYPE) as store:
        for client in ids:
            store.write([client], [_state(client)])
            if client % 3 == 0:
                store.write([client], [_state(client + 1)])
    # A page of header, and one for each client.
    assert path.stat().st_size == (1 + 3000) * _PAGE
    with runtime.DiskStore(path, _TYPE) as store:
        np.testing.assert_array_equal(store.client_ids, np.sort(ids))
        for client in ids[::500]:
            wanted = client + 1 if client % 3 == 0 else client
            _assert_equal(store.read([client]), [_state(wanted)])


def test_only_the_cohort_is_in_memory(path):
    """Nothing of the file is mapped, and nothing kept of what was read."""
    psutil = pytest.importorskip("psutil")
    numbers = 1_000_000
    large = tff.to_type([(np.float32, [numbers])])

    def mapped():
        maps = psutil.Process().memory_maps()
        return sum(m.rss for m in maps if m.path == str(path))

    with runtime.DiskStore(path, large) as store:
        for client in range(20):
            store.write([client], [[np.full(numbers, client, np.float32)]])
            assert mapped() == 0
        (found,) = store.read([11])
        assert mapped() == 0
    assert found[0].tolist() == [11.0] * numbers


def _write_number(path, position, number):
    with open(path, "r+b") as file:
        file.seek(position)
        file.write(np.int64(number).tobytes())


def _filled(path):
    with runtime.DiskStore(path, _TYPE) as store:
        store.write([6, 8], [_state(6), _state(8)])
    return path


def _reopening_fails(path, message, state_type=_TYPE):
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(ValueError, match=message) as error:
        runtime.DiskStore(path, state_type)
    assert str(error.value).startswith("Expected ")
    assert "\n" not in str(error.value)
    if before is not None:
        assert path.read_bytes() == before


def test_foreign_files_are_refused_and_left_alone(path, tmp_path):
    path.write_bytes(b"round,k\n1,20\n")
    _reopening_fails(path, r"file of client states at .*, found one that begins with")
    _reopening_fails(tmp_path, r"client states at .*, found: Is a directory")
    _reopening_fails(tmp_path / "no" / "x", r"at .*, found: No such file or directory")


def test_states_of_another_type_are_refused(path):
    other = tff.to_type(State(np.int32, (np.float32, [6]), np.float64))
    _reopening_fails(_filled(path), r"of type .*float32\[6\].*, found .*32\[5\]", other)


def test_a_cut_file_is_refused(path):
    _filled(path)
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 1)
    _reopening_fails(
        path, rf"records of {_PAGE} bytes in .*, found 1 and {_PAGE - 1} bytes"
    )


def test_of_two_records_of_one_client_the_later_one_counts(path):
    # What is left where the program is killed before its second snapshot is saved.
    with runtime.DiskStore(path, _TYPE) as store:
        store.write([6], [_state(6)])
        store.snapshot(_TYPE, 7)
        store.write([6], [_state(8)])
    assert path.stat().st_size == 3 * _PAGE
    with runtime.DiskStore(path, _TYPE) as store:
        assert store.client_ids.tolist() == [6]
        _assert_equal(store.read([6]), [_state(8)])


def test_an_id_that_is_none_is_refused(path):
    _write_number(_filled(path), 2 * _PAGE + 16, -3)
    _reopening_fails(path, r"ids of clients from 0 on in .*, found -4 in record 1")


def test_one_store_at_a_time(path):
    with runtime.DiskStore(path, _TYPE):
        _reopening_fails(path, r"to be free, found another store at work in it")
    runtime.DiskStore(path, _TYPE).close()


def test_a_state_that_was_written_in_part_is_not_read(path):
    _filled(path)
    # What is left where the program is killed while it overwrites client 6.
    _write_number(path, _PAGE + 24, 2)
    with runtime.DiskStore(path, _TYPE) as store:
        _assert_equal(store.read([8]), [_state(8)])
        with pytest.raises(ValueError, match=r"whole state of client 6 in .*, found"):
            store.read([6])
        store.write([6], [_state(60)])
        _assert_equal(store.read([6]), [_state(60)])


def test_a_record_that_nobody_got_is_used_again(path):
    _filled(path)
    # What is left where the program is killed before client 8 has its record.
    _write_number(path, 2 * _PAGE + 16, 0)
    size = path.stat().st_size
    with runtime.DiskStore(path, _TYPE) as store:
        assert store.client_ids.tolist() == [6]
        store.write([1], [_state(1)])
        _assert_equal(store.read([6, 1]), [_state(6), _state(1)])
    assert path.stat().st_size == size


def test_a_state_of_another_type_is_not_written(path):
    with runtime.DiskStore(path, _TYPE) as store:
        wrong = _state(1)._replace(vector=np.zeros(4, np.float32))
        with pytest.raises(ValueError, match=r"4 arrays of the type of .*\(4,\)"):
            store.write([1], [wrong])
        assert store.client_ids.tolist() == []


def test_a_type_without_a_fixed_size_is_refused(path):
    with pytest.raises(ValueError, match=r"fixed shape, found int32\[\?\]"):
        runtime.DiskStore(path, tff.to_type([(np.int32, [None])]))
    assert not path.exists()


def _reopened(store, path):
    store.close()
    if isinstance(store, runtime.MemoryStore):
        return runtime.MemoryStore()
    return runtime.DiskStore(path, _TYPE)


def test_a_later_program_comes_back_to_a_snapshot(store, path):
    store.write([4, 1], [_state(4), _state(1)])
    snapshot = store.snapshot(_TYPE, 6)
    spec = store.snapshot_spec(_TYPE, 6)
    tf.nest.assert_same_structure(snapshot, spec)
    for leaf, wanted in zip(
        tf.nest.flatten(snapshot), tf.nest.flatten(spec), strict=True
    ):
        assert len(leaf) == 6
        assert (leaf.shape, leaf.dtype) == (wanted.shape, wanted.dtype)
    store.write([1, 5], [_state(10), _state(50)])
    _assert_equal(store.read([1, 4, 5]), [_state(10), _state(4), _state(50)])
    with _reopened(store, path) as later:
        later.restore(_TYPE, snapshot)
        assert later.client_ids.tolist() == [1, 4]
        _assert_equal(later.read([4, 1]), [_state(4), _state(1)])


def test_a_snapshot_of_no_client(store, path):
    snapshot = store.snapshot(_TYPE, 3)
    store.write([2], [_state(2)])
    with _reopened(store, path) as later:
        later.restore(_TYPE, snapshot)
        assert later.client_ids.tolist() == []


_steps = st.lists(
    st.sampled_from(["save", "killed before it is saved", "killed"])
    | st.sets(st.integers(0, 3), min_size=1).map(sorted),
    max_size=25,
)


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(steps=_steps)
def test_a_file_follows_its_snapshots_whatever_happens(steps):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "states"
        store = runtime.DiskStore(path, _TYPE)
        now, saved = {}, {}
        snapshot = store.snapshot(_TYPE, 4)
        for number, step in enumerate(steps):
            if step == "save":
                snapshot, saved = store.snapshot(_TYPE, 4), dict(now)
                store.forget_earlier_snapshots()
            elif isinstance(step, list):
                states = [_state(10 * number + client) for client in step]
                store.write(step, states)
                now.update(zip(step, states, strict=True))
            else:
                if step != "killed":
                    store.snapshot(_TYPE, 4)
                store.close()
                store = runtime.DiskStore(path, _TYPE)
                store.restore(_TYPE, snapshot)
                now = dict(saved)
            assert store.client_ids.tolist() == sorted(now)
            _assert_equal(store.read(sorted(now)), [now[c] for c in sorted(now)])
            # At most one record for each of two snapshots, and one that is written
            # anew.
            assert path.stat().st_size <= (1 + 3 * 4) * _PAGE
        store.close()


def test_a_file_that_no_longer_holds_a_snapshot_is_left_alone(path):
    with runtime.DiskStore(path, _TYPE) as store:
        store.write([6, 8], [_state(6), _state(8)])
        snapshot = store.snapshot(_TYPE, 9)
        store.write([6, 8], [_state(60), _state(80)])
        # Two later ones are saved: the records of the first are used again.
        for _ in range(2):
            store.snapshot(_TYPE, 9)
            store.forget_earlier_snapshots()
    before = path.read_bytes()
    with runtime.DiskStore(path, _TYPE) as store:
        with pytest.raises(ValueError, match=r"client 6 in record 0 of .*, found ano"):
            store.restore(_TYPE, snapshot)
        _assert_equal(store.read([6, 8]), [_state(60), _state(80)])
    assert path.read_bytes() == before
    path.unlink()
    with (
        runtime.DiskStore(path, _TYPE) as store,
        pytest.raises(ValueError, match=r"saved state of client 6 in .*, found none"),
    ):
        store.restore(_TYPE, snapshot)


def test_the_snapshot_before_the_last_saved_one_is_kept_too(path):
    with runtime.DiskStore(path, _TYPE) as store:
        saved = []
        for number in range(4):
            store.write([6, number], [_state(10 + number), _state(20 + number)])
            saved.append(store.snapshot(_TYPE, 9))
            store.forget_earlier_snapshots()
        # This one is never saved.
        store.write([6], [_state(1)])
        store.snapshot(_TYPE, 9)
    for number in (3, 2):
        with runtime.DiskStore(path, _TYPE) as store:
            store.restore(_TYPE, saved[number])
            assert store.client_ids.tolist() == [*range(number + 1), 6]
            _assert_equal(
                store.read([6, number]), [_state(10 + number), _state(20 + number)]
            )
            # What is written before the next one is saved leaves both as they are.
            store.write([0, 1, 6], [_state(2)] * 3)
    with (
        runtime.DiskStore(path, _TYPE) as store,
        pytest.raises(ValueError, match="saved state of client"),
    ):
        store.restore(_TYPE, saved[1])


_RECORD_BYTES = 3 * 8 + 4 + 5 * 4 + 4 * 8 + 8


@pytest.mark.parametrize("byte", range(0, _RECORD_BYTES, 3))
def test_a_flipped_bit_in_a_record_is_noticed(path, byte):
    with runtime.DiskStore(path, _TYPE) as store:
        store.write([6, 8], [_state(6), _state(8)])
        snapshot = store.snapshot(_TYPE, 9)
    content = bytearray(path.read_bytes())
    content[2 * _PAGE + byte] ^= 1 << byte % 8
    path.write_bytes(content)
    with (
        pytest.raises(ValueError, match=r"^Expected .*, found .*\.$"),
        runtime.DiskStore(path, _TYPE) as store,
    ):
        store.restore(_TYPE, snapshot)


def test_a_damaged_state_is_not_read(path):
    _filled(path)
    content = bytearray(path.read_bytes())
    content[_PAGE + _RECORD_BYTES - 1] ^= 16
    path.write_bytes(content)
    with runtime.DiskStore(path, _TYPE) as store:
        with pytest.raises(ValueError, match=r"of client 6 in .*, found one that is d"):
            store.read([8, 6])
        _assert_equal(store.read([8]), [_state(8)])


def test_a_file_of_the_earlier_format_is_refused_by_name(path):
    path.write_bytes(b"tff_gs client states 1\n{}\n".ljust(_PAGE, b"\0"))
    _reopening_fails(path, r"states of format 2 in .*, found format 1, of another")


def test_a_disk_that_is_full_is_an_error_and_nothing_is_lost(path):
    with runtime.DiskStore(path, _TYPE) as store:
        store.write([6], [_state(6)])
        # The header, a record, and a part of one more.
        with (
            file_limit.no_file_above(2 * _PAGE + 1000),
            pytest.raises(OSError, match="large") as error,
        ):
            store.write([6, 8], [_state(60), _state(8)])
        assert error.value.filename == str(path)
        assert path.stat().st_size == 2 * _PAGE
        _assert_equal(store.read([6]), [_state(60)])
        store.write([8], [_state(8)])
    with runtime.DiskStore(path, _TYPE) as store:
        _assert_equal(store.read([6, 8]), [_state(60), _state(8)])


def test_where_there_is_no_room_for_a_new_file_there_is_none(path):
    with file_limit.no_file_above(100), pytest.raises(OSError, match="large") as error:
        runtime.DiskStore(path, _TYPE)
    assert error.value.filename == str(path)
    assert not path.exists()
    runtime.DiskStore(path, _TYPE).close()


def test_a_file_that_is_cut_while_it_is_used_is_no_signal(path):
    with runtime.DiskStore(path, _TYPE) as store:
        store.write([6, 8], [_state(6), _state(8)])
        with open(path, "r+b") as file:
            file.truncate(_PAGE + 40)
        with pytest.raises(ValueError, match="whole state of client 8"):
            store.read([8])


def test_a_restored_record_of_a_client_without_one_is_none(path):
    with runtime.DiskStore(path, _TYPE) as store:
        snapshot = store.snapshot(_TYPE, 3)
        store.write([1], [_state(1)])
        store.restore(_TYPE, snapshot)
        store.write([2], [_state(2)])
        assert store.client_ids.tolist() == [2]
    assert path.stat().st_size == 2 * _PAGE
