import numpy as np
import pytest

from tasks import cifar10, cifar100
from tasks.registry import TASKS
from tasks.task import DataError
from tests import tff_files


@pytest.fixture(name="data_dir", scope="module")
def _data_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("cifar100")
    tff_files.write(directory / cifar100.FILE_NAME, tff_files.cifar100_splits())
    return directory


def _build(data_dir, **options):
    return TASKS.build("cifar100", {"data_dir": str(data_dir), **options}).load()


def test_values_types_and_order(data_dir):
    task = _build(data_dir, clients=3)
    # As text, as TFF sorts them.
    assert [client.name for client in task.clients] == ["0", "1", "10"]
    splits = tff_files.cifar100_splits()
    for client in task.clients:
        assert (client.features.dtype, client.labels.dtype) == (np.float32, np.int32)
        written = splits["train"][client.name]
        np.testing.assert_array_equal(
            client.features, cifar10.standardize(written["image"])
        )
        np.testing.assert_array_equal(client.labels, written["label"])


@pytest.mark.parametrize("clients", [1, 4])
def test_test_data_are_all_there_are(data_dir, clients):
    task = _build(data_dir, clients=clients)
    written = [tff_files.cifar100_splits()["test"][name] for name in ("0", "1")]
    assert task.test.name == "test"
    np.testing.assert_array_equal(
        task.test.features,
        cifar10.standardize(np.concatenate([client["image"] for client in written])),
    )
    np.testing.assert_array_equal(
        task.test.labels, np.concatenate([client["label"] for client in written])
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r"at most 4 clients, those that there are, found 100"),
        ({"clients": 5}, r"at most 4 clients, those that there are, found 5"),
        ({"clients": 0}, r"clients to be at least 1, found 0"),
        ({"min_examples": 3}, r"found min_examples, an option of femnist, emnist\."),
        ({"partition": "iid"}, r"found partition, an option of digits, cifar10\."),
        ({"cache_dir": "c"}, r"found cache_dir, an option of femnist\."),
    ],
)
def test_impossible_options(data_dir, options, message):
    with pytest.raises(ValueError, match=message):
        _build(data_dir, **options)


def test_a_label_out_of_range(tmp_path):
    splits = tff_files.cifar100_splits()
    splits["train"]["10"]["label"][1] = 100
    tff_files.write(tmp_path / cifar100.FILE_NAME, splits)
    with pytest.raises(DataError, match=r"0\.\.99 of client '10', found 100"):
        _build(tmp_path, clients=4)


def test_a_client_without_examples(data_dir, tmp_path):
    import sqlite3

    path = tmp_path / cifar100.FILE_NAME
    path.write_bytes((data_dir / cifar100.FILE_NAME).read_bytes())
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM examples WHERE client_id = '10'")
    connection.commit()
    connection.close()
    with pytest.raises(DataError, match="examples of client '10', found none"):
        _build(tmp_path, clients=4)
    assert len(_build(tmp_path, clients=2).clients) == 2


def test_the_synthetic_form():
    import tensorflow_federated as tff

    synthetic = tff.simulation.datasets.cifar100.get_synthetic()
    task = cifar100.from_client_data(synthetic, synthetic, clients=2)
    assert [client.name for client in task.clients] == ["synthetic1", "synthetic2"]
    for client in task.clients:
        assert client.features.shape == (5, 32, 32, 3)
        assert (client.features.dtype, client.labels.dtype) == (np.float32, np.int32)
        # The fine labels, not the coarse ones.
        assert client.labels.tolist() == [0, 51, 51, 88, 71]
        np.testing.assert_allclose(client.features.mean(axis=(1, 2, 3)), 0, atol=1e-5)
        np.testing.assert_allclose(client.features.std(axis=(1, 2, 3)), 1, atol=1e-5)
    assert task.test.features.shape == (10, 32, 32, 3)


def test_the_model_is_the_one_of_the_paper(data_dir):
    model = cifar100.Cifar100().build_model(0)
    weights, _ = model.initial_weights
    assert sum(np.size(weight) for weight in weights) == 578_308
    assert weights[-1].shape == (100,)
