import numpy as np
import pytest
from sklearn import datasets

from tasks import digits
from tasks.registry import TASKS


def _sorted_images(*groups):
    return sorted(image.tobytes() for group in groups for image in group.features)


def test_all_examples_are_there_once_and_scaled():
    task = digits.Digits().load()
    assert len(task.clients) == 20
    for data in (*task.clients, task.test):
        assert data.features.shape == (len(data.labels), 8, 8, 1)
        assert (data.features.dtype, data.labels.dtype) == (np.float32, np.int32)
    images = datasets.load_digits().images
    expected = sorted((images / 16).astype(np.float32)[..., np.newaxis], key=bytes)
    assert _sorted_images(*task.clients, task.test) == [i.tobytes() for i in expected]
    assert max(client.features.max() for client in task.clients) == 1


def test_split_is_fixed_and_stratified():
    tests = [digits.Digits(clients=10).load(seed=seed).test for seed in (0, 1)]
    np.testing.assert_array_equal(tests[0].features, tests[1].features)
    whole = np.bincount(datasets.load_digits().target)
    np.testing.assert_array_equal(np.bincount(tests[0].labels), whole // 5)


def test_default_partition_is_two_classes_each():
    task = digits.Digits().load()
    for client in task.clients:
        assert len(set(client.labels.tolist())) == 2
        assert len(client.labels) >= 64


def test_iid_partition_mixes_the_classes():
    task = digits.Digits(partition="iid", clients=10).load()
    assert all(len(set(client.labels.tolist())) == 10 for client in task.clients)


def test_seed_decides_the_partition():
    one, same, other = (digits.Digits().load(seed=seed) for seed in (1, 1, 2))
    for first, second in zip(one.clients, same.clients, strict=True):
        assert first.name == second.name
        np.testing.assert_array_equal(first.features, second.features)
    assert any(
        not np.array_equal(first.labels, second.labels)
        for first, second in zip(one.clients, other.clients, strict=True)
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"clients": 4}, r"hold 10 classes with 2 on each, found 4"),
        ({"clients": 1443, "partition": "iid"}, r"at most 1442 clients.*found 1443"),
        ({"partition": "one_class"}, r"one of by_class, iid, found 'one_class'"),
        ({"data_dir": "d"}, r"its options \(clients, partition\), found data_dir, an"),
        ({"min_examples": 5}, r"found min_examples, an option of femnist, emnist\."),
    ],
)
def test_impossible_options(options, message):
    with pytest.raises(ValueError, match=message):
        TASKS.build("digits", options).load()
