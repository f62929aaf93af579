"""Clients' data and ids, before anything is placed."""

import collections

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import learning
from tff_gs.learning import client_data

_TYPE = tff.to_type(
    collections.OrderedDict(
        x=tff.TensorType(np.float32, [None, 2]), y=tff.TensorType(np.int32, [None])
    )
)


def _examples(size, first=0):
    return collections.OrderedDict(
        x=np.arange(first, first + 2 * size, dtype=np.float32).reshape(size, 2),
        y=np.arange(size, dtype=np.int32),
    )


_TENSORS = {
    "writer_b": _examples(3),
    "writer_a": _examples(1),
    "writer_c": _examples(5),
}


@pytest.fixture(name="source", scope="module")
def _source():
    return tff.simulation.datasets.TestClientData(_TENSORS)


def _assert_equal(found, expected):
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name])
        assert found[name].dtype == expected[name].dtype


def test_tffs_clients_get_ids(source):
    clients = learning.clients_from_client_data(source)
    assert clients.ids == [0, 1, 2]
    assert clients.names == source.client_ids
    assert clients.ids_by_name == {name: n for n, name in enumerate(clients.names)}
    for name, data in zip(clients.names, clients.data, strict=True):
        _assert_equal(data, _TENSORS[name])
    some = learning.clients_from_client_data(source, ["writer_c", "writer_a"])
    assert (some.ids, some.names) == ([0, 1], ["writer_c", "writer_a"])
    _assert_equal(some.data[0], _TENSORS["writer_c"])
    assert learning.check_client_ids(some.ids) == some.ids
    learning.check_data(some.data, _TYPE)


def test_batches_of_tffs_clients_are_their_examples(source):
    batched = source.preprocess(lambda dataset: dataset.batch(2))
    for name, data in zip(
        batched.client_ids, learning.clients_from_client_data(batched).data, strict=True
    ):
        _assert_equal(data, _TENSORS[name])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: ({}, None), "tff.simulation.datasets.ClientData, found .* dict"),
        (lambda s: (s, []), "at least one client, found none"),
        (lambda s: (s, ["writer_a", "x"]), "of the 3 clients .*, found 'x'"),
        (lambda s: (s, ["writer_a"] * 2), "distinct client ids, found 'writer_a'"),
        (
            lambda s: (s.preprocess(lambda d: d.repeat()), None),
            "as client 'writer_.', found an infinite one",
        ),
        (
            lambda s: (s.preprocess(lambda d: d.take(0)), None),
            "as client 'writer_.', found an empty one",
        ),
    ],
)
def test_clients_that_cannot_be_taken_are_one_sentence(source, call, message):
    with pytest.raises(ValueError, match=message) as error:
        learning.clients_from_client_data(*call(source))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([], "at least one client, found none"),
        (3, "in a list, found an object of int"),
        ("ab", "in a list, found an object of str"),
        ([0, 2, 0], r"distinct ids .*, found \[0, 0\]"),
        ([-1], r"from 0 on, found \[-1\]"),
        ([2**31], r"found \[2147483648\]; an id is a whole number of int32"),
        ([1.0], r"found \[1.0\]"),
        ([True], r"found \[True\]"),
        ([None], r"found \[None\]"),
        (["writer"], "found 'writer': tff_gs.learning.clients_from_client_data turns"),
    ],
)
def test_bad_ids_are_one_sentence(ids, message):
    with pytest.raises(ValueError, match=message) as error:
        learning.check_client_ids(ids)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "ids", [[3, 0], (3, 0), np.array([3, 0]), np.array([3, 0], np.uint8)]
)
def test_ids_of_any_whole_dtype(ids):
    found = learning.check_client_ids(ids)
    assert found == [3, 0]
    assert all(type(client) is int for client in found)
    assert learning.check_client_ids([2**31 - 1]) == [2**31 - 1]


def test_data_come_in_the_models_form():
    swapped = {"y": [0, 1], "x": np.array([[0.0, 1.0], [2.0, 3.0]])}
    dataset = tf.data.Dataset.from_tensor_slices(_examples(3))
    for data_type in (_TYPE, tff.FederatedType(_TYPE, tff.CLIENTS)):
        found = learning.check_data([swapped, dataset], data_type)
        _assert_equal(found[0], _examples(2))
        _assert_equal(found[1], _examples(3))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "the examples of each client.*, found none"),
        ({"a": _examples(1)}, "in a list, found an object of dict"),
        ([_examples(1)] * 3, "each of 2 clients, found those of 3"),
        ([_examples(1), _examples(0)], "at least one example of client 9, found 0"),
        (
            [{**_examples(3), "y": np.zeros(2, np.int32)}, _examples(1)],
            r"same number of examples in all parts of client 7, found \[3, 2\]",
        ),
        ([_examples(1), {"x": 1}], r"parts \['x', 'y'\] as client 9, found \['x'\]"),
    ],
)
def test_bad_data_are_one_sentence(data, message):
    with pytest.raises(ValueError, match=message) as error:
        learning.check_data(data, _TYPE, clients=[7, 9])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (tf.TensorSpec([20, 2]), "None as the first dimension .*, found 20"),
        (tf.TensorSpec([]), r"tensors \[examples, ...\]"),
        (tf.TensorSpec(None), r"tensors \[examples, ...\]"),
        (tf.RaggedTensorSpec([None, None]), r"tensors \[examples, ...\]"),
    ],
)
def test_models_of_batches_of_one_size_are_refused(spec, message):
    open_spec = tf.TensorSpec([None, 2])
    client_data.check_input_spec((open_spec, collections.OrderedDict(y=open_spec)))
    with pytest.raises(ValueError, match=message):
        client_data.check_input_spec((open_spec, spec))
