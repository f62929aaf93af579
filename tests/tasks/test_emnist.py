import numpy as np
import pytest

from tasks import emnist
from tasks.registry import TASKS
from tasks.task import DataError
from tests import tff_files


@pytest.fixture(name="data_dir", scope="module")
def _data_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("emnist")
    tff_files.write(directory / emnist.FILE_NAME, tff_files.emnist_splits())
    return directory


def _build(data_dir, **options):
    options = {"clients": 4, "min_examples": 1} | options
    return TASKS.build("emnist", {"data_dir": str(data_dir), **options}).load()


def test_values_types_and_order(data_dir):
    task = _build(data_dir)
    names = ["f0001_41", "f0002_07", "f0003_11", "f0004_00"]
    assert [client.name for client in task.clients] == names
    splits = tff_files.emnist_splits()
    for client in task.clients:
        assert (client.features.dtype, client.labels.dtype) == (np.float32, np.int32)
        written = splits["all_train"][client.name]
        np.testing.assert_array_equal(client.features[..., 0], written["pixels"])
        np.testing.assert_array_equal(client.labels, written["label"])
    assert task.test.name == "test"
    tests = [splits["all_test"][name] for name in names]
    np.testing.assert_array_equal(
        task.test.features,
        np.concatenate([test["pixels"] for test in tests])[..., np.newaxis],
    )
    np.testing.assert_array_equal(
        task.test.labels, np.concatenate([test["label"] for test in tests])
    )


def test_selection_of_writers_and_their_test_data(data_dir):
    task = _build(data_dir, clients=2, min_examples=3)
    assert [client.name for client in task.clients] == ["f0001_41", "f0002_07"]
    test = tff_files.emnist_splits()["all_test"]
    np.testing.assert_array_equal(
        task.test.labels,
        np.concatenate([test[client.name]["label"] for client in task.clients]),
    )
    names = [c.name for c in _build(data_dir, clients=3, min_examples=3).clients]
    assert names == ["f0001_41", "f0002_07", "f0003_11"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clients": 5}, r"at most 4 clients, the writers that there are, found 5"),
        (
            {"clients": 4, "min_examples": 3},
            r"at most 3 clients, .* at least 3 training examples, found 4",
        ),
        ({"clients": 0}, r"clients to be at least 1, found 0"),
        ({"min_examples": 0}, r"min_examples to be at least 1, found 0"),
        ({"partition": "iid"}, r"found partition, an option of digits, cifar10\."),
        ({"cache_dir": "c"}, r"found cache_dir, an option of femnist\."),
    ],
)
def test_impossible_options(data_dir, options, message):
    with pytest.raises(ValueError, match=message):
        _build(data_dir, **options)


def test_defaults_are_those_of_the_paper(data_dir, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        emnist, "from_client_data", lambda train, test, **options: asked.update(options)
    )
    emnist.Emnist(data_dir=str(data_dir)).load()
    assert asked == {"clients": 156, "min_examples": 100}


@pytest.mark.parametrize("bad", [-0.25, 1.5, np.nan])
def test_pixels_out_of_range(tmp_path, bad):
    splits = tff_files.emnist_splits()
    splits["all_train"]["f0002_07"]["pixels"][1, 5, 6] = bad
    tff_files.write(tmp_path / emnist.FILE_NAME, splits)
    with pytest.raises(DataError, match=rf"\[0, 1\] of writer 'f0002_07', found {bad}"):
        _build(tmp_path)


def test_a_label_out_of_range(tmp_path):
    splits = tff_files.emnist_splits()
    splits["all_test"]["f0003_11"]["label"][1] = 62
    tff_files.write(tmp_path / emnist.FILE_NAME, splits)
    with pytest.raises(DataError, match=r"0\.\.61 of client 'f0003_11', found 62"):
        _build(tmp_path)


def test_a_writer_without_test_examples(tmp_path):
    splits = tff_files.emnist_splits()
    del splits["all_test"]["f0002_07"]
    tff_files.write(tmp_path / emnist.FILE_NAME, splits)
    with pytest.raises(DataError, match="of every writer, found none of 'f0002_07'"):
        _build(tmp_path)
    assert len(_build(tmp_path, clients=1).test.labels) == 2


def test_the_synthetic_form():
    import tensorflow_federated as tff

    synthetic = tff.simulation.datasets.emnist.get_synthetic()
    task = emnist.from_client_data(synthetic, synthetic, clients=2, min_examples=10)
    assert [client.name for client in task.clients] == ["synthetic1", "synthetic2"]
    for client in task.clients:
        assert client.features.shape == (10, 28, 28, 1)
        assert (client.features.dtype, client.labels.dtype) == (np.float32, np.int32)
        assert client.labels.tolist() == list(range(10))
        # White is 1.0, also in the corners; ink is 0.0.
        assert (client.features[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 1).all()
        assert (client.features.min(axis=(1, 2, 3)) == 0).all()
    assert task.test.features.shape == (20, 28, 28, 1)
    with pytest.raises(ValueError, match="at most 0 clients"):
        emnist.from_client_data(synthetic, synthetic, clients=1, min_examples=11)


def test_the_model_is_the_one_of_the_paper(data_dir):
    weights, _ = emnist.Emnist().build_model(0).initial_weights
    assert sum(np.size(weight) for weight in weights) == 444_062
