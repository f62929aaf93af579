import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks import partition


def _assert_covers(parts, count):
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(count))
    for part in parts:
        assert (np.diff(part) > 0).all()


@settings(deadline=None)
@given(data=st.data(), count=st.integers(1, 200), seed=st.integers(0, 2**32))
def test_iid_deals_every_example_once_and_evenly(data, count, seed):
    clients = data.draw(st.integers(1, count))
    parts = partition.iid(np.zeros(count, np.int32), clients, seed)
    assert len(parts) == clients
    _assert_covers(parts, count)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


@settings(deadline=None)
@given(data=st.data(), classes=st.integers(1, 10), seed=st.integers(0, 2**32))
def test_by_class_properties(data, classes, seed):
    per_client = data.draw(st.integers(1, classes))
    clients = data.draw(st.integers(-(-classes // per_client), 30))
    counts = data.draw(
        st.lists(st.integers(30, 60), min_size=classes, max_size=classes)
    )
    labels = np.random.default_rng(seed).permutation(
        np.repeat(np.arange(classes), counts)
    )
    parts = partition.by_class(labels, clients, seed, classes_per_client=per_client)

    assert len(parts) == clients
    _assert_covers(parts, len(labels))
    tally = np.array([np.bincount(labels[part], minlength=classes) for part in parts])
    np.testing.assert_array_equal((tally > 0).sum(axis=1), per_client)
    holders = (tally > 0).sum(axis=0)
    assert holders.max() - holders.min() <= 1
    for label in range(classes):
        shares = tally[:, label][tally[:, label] > 0]
        assert shares.max() - shares.min() <= 1


def test_by_class_of_the_paper():
    labels = np.tile(np.arange(10), 50)
    parts = partition.by_class(labels, 100, 0, classes_per_client=1)
    assert [len(part) for part in parts] == [5] * 100
    assert sorted(labels[part[0]] for part in parts) == sorted(list(range(10)) * 10)
    assert all(len(set(labels[part])) == 1 for part in parts)


@pytest.mark.parametrize("rule", [partition.iid, partition.by_class])
def test_seed_decides(rule):
    labels = np.tile(np.arange(10), 50)
    first, again, other = (rule(labels, 20, seed) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda y: partition.iid(y, 0, 0), "at least 1 client, found 0"),
        (lambda y: partition.iid(y, 31, 0), "at most 30 clients.*found 31"),
        (lambda y: partition.by_class(y, 4, 0), "hold 10 classes with 2.*found 4"),
        (
            lambda y: partition.by_class(y, 4, 0, classes_per_client=11),
            "1 to 10 classes per client, found 11",
        ),
        (
            lambda y: partition.by_class(y, 40, 0, classes_per_client=1),
            "at least 4 examples of class 0.*found 3",
        ),
    ],
)
def test_impossible_partitions_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.repeat(np.arange(10), 3))
