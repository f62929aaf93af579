"""Values that move to the worker and back through files."""

import collections
import os
import tempfile

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import runtime
from tff_gs.runtime import _channels, _delivery, _spool, spool_folder

_TYPE = tff.to_type(
    [
        (np.float32, [2, 3]),
        np.int32,
        (np.float64, [None]),
        (np.int64, [None, 2]),
        (np.uint8, [3]),
        np.bool_,
    ]
)


def _value(number):
    rng = np.random.default_rng(number)
    return [
        rng.normal(size=(2, 3)).astype(np.float32),
        np.int32(number),
        rng.normal(size=number),
        rng.integers(-9, 9, (number, 2)),
        rng.integers(0, 256, 3).astype(np.uint8),
        np.bool_(number % 2),
    ]


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spool")
    patch = pytest.MonkeyPatch()
    patch.setattr(tempfile, "tempdir", os.fspath(folder))
    with runtime.execution_context() as installed:
        installed.folder = folder
        yield installed
    patch.undo()
    assert not list(folder.glob(f"{spool_folder.PREFIX}*"))


def _assert_equal(found, expected):
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        for part, wanted in zip(one, two, strict=True):
            np.testing.assert_array_equal(part, wanted)
            assert np.asarray(part).dtype == np.asarray(wanted).dtype


@pytest.fixture(name="files_only")
def _files_only(monkeypatch):
    """Values of any size go through files."""
    monkeypatch.setattr(_delivery, "_MESSAGE_BYTES", -1)


def test_there_and_back(context, files_only):
    values = [_value(number) for number in (3, 0, 11)]
    placed = context.place(values, _TYPE)
    _assert_equal(placed.fetch(), values)
    # The files of one call are gone before the next.
    others = [_value(number) for number in (5, 6, 7)]
    again = context.place(others, tff.FederatedType(_TYPE, tff.CLIENTS))
    _assert_equal(placed.fetch(), values)
    _assert_equal(again.fetch(), others)
    _assert_equal(again.fetch([2, 0]), [others[2], others[0]])
    assert [entry for entry in context.folder.rglob("*") if entry.is_file()] == []


_FLOATS = tff.TensorType(np.float32, [None, 2])
_BATCH = collections.OrderedDict(x=_FLOATS, y=tff.TensorType(np.int32, [None]))


def _batch(size):
    return collections.OrderedDict(
        x=np.full((size, 2), size, np.float32), y=np.arange(size, dtype=np.int32)
    )


_ANY = {
    "scalars": (tff.TensorType(np.int32), [np.int32(4), np.int32(-7)]),
    "strings": (
        tff.TensorType(np.str_, [2]),
        [np.array([b"a", b""], object), np.array([b"\xc3\xa9", b"z" * 300], object)],
    ),
    "uint32": (tff.TensorType(np.uint32, [None]), [np.array([2**32 - 1], np.uint32)]),
    "bfloat16": (
        tff.TensorType(ml_dtypes.bfloat16, [2]),
        [np.array([1.5, -2.0], ml_dtypes.bfloat16)],
    ),
    "unknown rank": (
        tff.TensorType(np.float32, None),
        [np.ones((2, 1, 3), np.float32), np.float32(2.0)],
    ),
    "nothing": (tff.StructWithPythonType([], tuple), [(), ()]),
    "nothing inside": (
        tff.to_type(((np.float32, [2]), ())),
        [(np.ones(2, np.float32), ()), (np.zeros(2, np.float32), ())],
    ),
    "batches": (
        tff.SequenceType(tff.to_type(_BATCH)),
        [[_batch(3), _batch(1)], [_batch(2)], []],
    ),
}


@pytest.mark.parametrize("bound", [-1, 2**20], ids=["files", "message"])
@pytest.mark.parametrize("name", _ANY)
def test_values_of_any_type(context, monkeypatch, name, bound):
    value_type, values = _ANY[name]
    monkeypatch.setattr(_delivery, "_MESSAGE_BYTES", bound)
    placed = context.place(values, value_type)
    assert placed.type_signature.member.is_equivalent_to(value_type)
    for found, wanted in zip(placed.fetch(), values, strict=True):
        tf.nest.assert_same_structure(found, wanted)
        for leaf, expected in zip(
            tf.nest.flatten(found), tf.nest.flatten(wanted), strict=True
        ):
            np.testing.assert_array_equal(leaf, expected)
            assert np.asarray(leaf).dtype == np.asarray(expected).dtype


def test_a_placed_sequence_is_read_again_and_again(context, files_only):
    batches = tff.SequenceType(tff.to_type(_BATCH))

    @tff.tensorflow.computation(batches)
    def total(dataset):
        return dataset.reduce(0.0, lambda s, batch: s + tf.reduce_sum(batch["x"]))

    @tff.federated_computation(tff.FederatedType(batches, tff.CLIENTS))
    def sums(values):
        return tff.federated_sum(tff.federated_map(total, values))

    placed = context.place([[_batch(3), _batch(1)], [_batch(2)]], batches)
    assert [sums(placed) for _ in range(2)] == [18.0 + 2.0 + 8.0] * 2


def test_no_message_holds_all_clients(monkeypatch):
    bound, clients, size = 1_500_000, 40, 12_500
    monkeypatch.setattr(_channels, "_MAX_MESSAGE_BYTES", bound)
    assert clients * size * 4 > bound
    values = [np.full(size, client, np.float32) for client in range(clients)]
    placed_type = tff.FederatedType(tff.TensorType(np.float32, [size]), tff.CLIENTS)

    @tff.federated_computation(placed_type)
    def unchanged(values):
        return values

    with runtime.execution_context() as context:
        placed = context.place(values, placed_type)
        np.testing.assert_array_equal(placed.fetch(), values)
        # So does a list in the place of an argument.
        np.testing.assert_array_equal(unchanged(values).fetch(), values)
        monkeypatch.setattr(_delivery, "_MESSAGE_BYTES", 10 * bound)
        with pytest.raises(runtime.WorkerError, match="larger than max"):
            context.place(values, placed_type)
        with pytest.raises(runtime.WorkerError, match="larger than max"):
            placed.fetch()


def test_a_client_of_more_than_a_file_can_hold_is_refused(
    context, files_only, monkeypatch
):
    monkeypatch.setattr(_spool, "MAX_CLIENT_BYTES", 100)
    many = tff.TensorType(np.int16, [None])
    with pytest.raises(ValueError, match=r"most 100 bytes .* client 1, found 108"):
        context.place([np.zeros(2, np.int16), np.zeros(50, np.int16)], many)

    @tff.tensorflow.computation(np.int32)
    def make(size):
        return tf.zeros([size], tf.int16)

    @tff.federated_computation(tff.FederatedType(np.int32, tff.CLIENTS))
    def make_all(sizes):
        return tff.federated_map(make, sizes)

    assert [len(value) for value in make_all([50, 7]).fetch()] == [50, 7]
    with pytest.raises(ValueError, match=r"most 100 bytes in a tensor .*, found 102\."):
        make_all([51, 7]).fetch()


def test_a_full_disk_is_one_sentence(context, files_only):
    values = [_value(1), _value(2)]
    placed = context.place(values, _TYPE)
    message = rf"folder {context.folder}/{spool_folder.PREFIX}.*: No space left on dev"
    (folder,) = context.folder.glob(f"{spool_folder.PREFIX}*")

    def fill(suffix):
        # Whatever is written there, the device has no room.
        for number in range(1000):
            (folder / f"{number}{suffix}").symlink_to("/dev/full")

    fill("")
    with pytest.raises(runtime.SpoolError, match=message) as error:
        context.place(values, _TYPE)
    assert "\n" not in str(error.value)
    fill(".0")
    with pytest.raises(runtime.SpoolError, match=message) as error:
        placed.fetch()
    assert "\n" not in str(error.value)
    # There is room again.
    _assert_equal(context.place(values, _TYPE).fetch(), values)
    _assert_equal(placed.fetch(), values)


def test_folders_of_dead_programs_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))
    others = tmp_path / "others"
    others.mkdir()
    (others / "file").touch()
    link = tmp_path / f"{spool_folder.PREFIX}link"
    link.symlink_to(others)
    file = tmp_path / f"{spool_folder.PREFIX}file"
    file.touch()
    foreign = tmp_path / "another_folder"
    foreign.mkdir()
    dead = tmp_path / f"{spool_folder.PREFIX}dead"
    dead.mkdir()
    (dead / "7").write_bytes(b"value")
    (dead / "link").symlink_to(others)

    alive = spool_folder.SpoolFolder()
    assert not dead.exists()
    (alive.path / "0").touch()
    other = spool_folder.SpoolFolder()
    assert (alive.path / "0").exists()
    other.close()
    alive.close()
    assert sorted(tmp_path.iterdir()) == sorted([others, link, file, foreign])
    assert (others / "file").exists()


def test_without_a_temporary_directory_there_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path / "gone"))
    with pytest.raises(runtime.SpoolError, match="gone, found: No such file"):
        spool_folder.SpoolFolder()


@pytest.mark.parametrize(
    ("position", "part", "message"),
    [
        (0, np.zeros((2, 2), np.float32), r"float32\[2,3\] .*, found float32\[2,2\]"),
        (1, np.int64(2**31), r"int32 as part 1 of client 1, found int64 with entries"),
        (1, np.float32(1), r"int32 as part 1 of client 1, found float32\."),
        (2, np.zeros((1, 1)), r"float64\[\?\] as .*, found float64\[1,1\]"),
    ],
)
def test_values_of_another_type_are_refused(context, position, part, message):
    value = _value(2)
    value[position] = part
    with pytest.raises(ValueError, match=message):
        context.place([_value(1), value], _TYPE)


def test_values_with_other_parts_are_refused(context):
    with pytest.raises(ValueError, match="Expected 6 parts as client 0, found 5"):
        context.place([_value(1)[:5]], _TYPE)
    with pytest.raises(ValueError, match="of at least one client, found none"):
        context.place([], _TYPE)
