import numpy as np
import pytest

from tasks import cifar10
from tasks.registry import TASKS
from tasks.task import DataError
from tests.shared_data import shared_data


def _records(labels, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), np.uint8)
    return np.concatenate([np.array(labels, np.uint8)[:, np.newaxis], pixels], axis=1)


@pytest.fixture(name="root")
def _root(tmp_path):
    for number in (1, 2):
        records = _records(np.tile(np.arange(10), 4), number)
        (tmp_path / f"data_batch_{number}.bin").write_bytes(records.tobytes())
    (tmp_path / "test_batch.bin").write_bytes(_records([3, 1], 9).tobytes())
    return tmp_path


def _build(root, seed=0, **options):
    return TASKS.build("cifar10", {"data_dir": str(root), **options}).load(seed=seed)


def test_layout_of_a_record(root):
    record = np.zeros(3073, np.uint8)
    record[0] = 4
    record[1 + 2 * 1024 + 5 * 32 + 7] = 200  # Blue, row 5, column 7.
    (root / "test_batch.bin").write_bytes(record.tobytes())
    test = _build(root, clients=10).test
    assert test.labels.tolist() == [4]
    assert np.unravel_index(test.features[0].argmax(), (32, 32, 3)) == (5, 7, 2)


def test_standardize_by_hand():
    images = np.zeros((2, 1, 2, 2), np.uint8)
    images[0].flat = [1, 3, 5, 7]  # Mean 4, variance 5.
    images[1] = 9  # A flat image: its deviation counts as 1/2.
    result = cifar10.standardize(images)
    assert result.dtype == np.float32
    np.testing.assert_allclose(
        result[0].ravel(), np.array([-3, -1, 1, 3]) / np.sqrt(5), rtol=1e-6
    )
    np.testing.assert_array_equal(result[1], 0)


def test_standardize_as_tensorflow_does():
    import tensorflow as tf

    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    images[3] = 17
    images[4] = np.where(images[4] > 250, 1, 0)
    expected = tf.image.per_image_standardization(images).numpy()
    np.testing.assert_allclose(
        cifar10.standardize(images), expected, rtol=1e-5, atol=1e-6
    )


def test_one_class_per_client(root):
    task = _build(root, clients=20)
    assert len(task.clients) == 20
    for client in task.clients:
        assert client.features.shape == (4, 32, 32, 3)
        assert (client.features.dtype, client.labels.dtype) == (np.float32, np.int32)
        assert len(set(client.labels.tolist())) == 1
    assert len({client.name for client in task.clients}) == 20


def test_iid_holds_every_example_once(root):
    task = _build(root, clients=7, partition="iid", seed=3)
    assert sorted(len(client.labels) for client in task.clients) == [11] * 4 + [12] * 3
    raw = np.concatenate(
        [np.fromfile(root / f"data_batch_{n}.bin", np.uint8) for n in (1, 2)]
    ).reshape(-1, 3073)
    images = raw[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    expected = sorted(image.tobytes() for image in cifar10.standardize(images))
    dealt = np.concatenate([client.features for client in task.clients])
    assert sorted(image.tobytes() for image in dealt) == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data_batch_2.bin", b"", r"data_batch_2.bin: .*3073 bytes, found 0 bytes"),
        ("data_batch_1.bin", b"\0" * 3072, r"data_batch_1.bin: .*found 3072 bytes"),
        (
            "test_batch.bin",
            _records([1, 10]).tobytes(),
            r"test_batch.bin: .*labels in 0..9, found 10 in record 1",
        ),
    ],
)
def test_malformed_file_is_one_sentence(root, name, content, message):
    (root / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as info:
        _build(root, clients=10)
    assert "\n" not in str(info.value)


def test_missing_files(root, tmp_path):
    (root / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"test_batch.bin: expected a readable file"):
        _build(root, clients=10)
    for path in root.glob("data_batch_*"):
        path.unlink()
    with pytest.raises(DataError, match=r"data_batch_\*.bin files in .*, found none"):
        _build(root, clients=10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"at least 10 examples of class 0, .* found 8"),
        ({"clients": 9}, r"hold 10 classes with 1 on each, found 9"),
        ({"partition": "by_writer"}, r"one of one_class, iid, found 'by_writer'"),
        ({"partition": ""}, r"one of one_class, iid, found ''"),
        ({"clients": 0}, r"clients to be at least 1, found 0"),
        (
            {"min_examples": 3},
            r"options \(data_dir, .*\), found min_examples, an option of",
        ),
        ({"cache_dir": "c"}, r"found cache_dir, an option of femnist\."),
    ],
)
def test_impossible_options(root, options, message):
    with pytest.raises(ValueError, match=message):
        _build(root, **options)


def test_needs_a_directory():
    with pytest.raises(ValueError, match=r"data_dir for task .*data_batch_\*\.bin"):
        TASKS.build("cifar10")


def test_real_data():
    task = _build(shared_data("cifar-10-batches-bin"))
    assert len(task.clients) == 100
    assert sum(len(client.labels) for client in task.clients) == 10_000
    assert len(task.test.labels) == 2_000
    held = [set(client.labels.tolist()) for client in task.clients]
    assert all(len(classes) == 1 for classes in held)
    assert np.bincount([min(classes) for classes in held]).tolist() == [10] * 10
    features = task.clients[0].features.astype(np.float64)
    np.testing.assert_allclose(features.mean(axis=(1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(features.std(axis=(1, 2, 3)), 1, atol=1e-5)
