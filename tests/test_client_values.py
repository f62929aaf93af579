"""Clients' values in the forms that users have, against their TFF type."""

import collections
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tff_gs import _client_values

_X = tff.TensorType(np.float32, [None, 2])
_Y = tff.TensorType(np.int32, [None])
_BATCH = tff.to_type(collections.OrderedDict(x=_X, y=_Y))
_PAIR = tff.to_type((_X, _Y))

_FEATURES = np.arange(6, dtype=np.float32).reshape(3, 2)
_LABELS = np.array([4, 5, 6], np.int32)


class _Named(NamedTuple):
    y: Any
    x: Any


def _assert_leaves(found, expected=(_FEATURES, _LABELS)):
    assert len(found) == len(expected)
    for leaf, wanted in zip(found, expected, strict=True):
        np.testing.assert_array_equal(leaf, wanted)
        assert leaf.dtype == wanted.dtype


def _examples(value, *, batch=None, names=("x", "y")):
    dataset = tf.data.Dataset.from_tensor_slices(
        dict(zip(names, value, strict=True)) if names else value
    )
    return dataset if batch is None else dataset.batch(batch)


_FORMS = {
    "in order": (_BATCH, collections.OrderedDict(x=_FEATURES, y=_LABELS)),
    "in another order": (_BATCH, {"y": _LABELS, "x": _FEATURES}),
    "a named tuple": (_BATCH, _Named(x=_FEATURES, y=_LABELS)),
    "a struct": (_BATCH, tff.structure.Struct([("y", _LABELS), ("x", _FEATURES)])),
    "by position": (_BATCH, (_FEATURES, _LABELS)),
    "a list": (_PAIR, [_FEATURES, _LABELS]),
    "float64 and int64": (_PAIR, (_FEATURES.astype(float), _LABELS.astype(np.int64))),
    "smaller dtypes": (
        _PAIR,
        (_FEATURES.astype(np.float16), _LABELS.astype(np.uint8)),
    ),
    "Python's numbers": (_PAIR, (_FEATURES.tolist(), _LABELS.tolist())),
    "whole numbers of Python": (_PAIR, ([[0, 1], [2, 3], [4, 5]], _LABELS.tolist())),
    "tensors": (_PAIR, (tf.constant(_FEATURES), tf.constant(_LABELS))),
    "examples": (_BATCH, _examples((_FEATURES, _LABELS))),
    "batches": (_BATCH, _examples((_FEATURES, _LABELS), batch=2)),
    "pairs": (_PAIR, _examples((_FEATURES, _LABELS), names=())),
    "batches of pairs": (_PAIR, _examples((_FEATURES, _LABELS), names=(), batch=3)),
    "a generator": (
        _PAIR,
        tf.data.Dataset.from_generator(
            lambda: zip(_FEATURES, _LABELS, strict=True),
            output_signature=(tf.TensorSpec([2]), tf.TensorSpec([], tf.int32)),
        ),
    ),
}


@pytest.mark.parametrize("form", _FORMS)
def test_one_value_in_many_forms(form):
    value_type, value = _FORMS[form]
    leaves = _client_values.flatten(value, value_type, "client 3")
    _assert_leaves(leaves)
    packed = _client_values.pack(leaves, value_type)
    _assert_leaves(list(packed.values() if isinstance(packed, dict) else packed))
    assert type(packed) is value_type.python_container


_BAD = {
    "other names": (
        {"a": _FEATURES, "y": _LABELS},
        r"the parts \['x', 'y'\] as client",
    ),
    "more names": (
        {"x": _FEATURES, "y": _LABELS, "z": 1},
        r"client 3, found \['x', 'y', 'z'\]",
    ),
    "too many parts": ((_FEATURES, _LABELS, _LABELS), r"as client 3, found 3\."),
    "no structure": (_FEATURES, r"as client 3, found float32\[3,2\]"),
    "text": ("ab", r"as client 3, found 'ab'"),
    "inexact": (
        {"x": _FEATURES.astype(float) + 0.1, "y": _LABELS},
        r"x of client 3, found float64\[3,2\] with entries that float32 does not hold",
    ),
    "too large": (
        {"x": _FEATURES, "y": np.array([2**31], np.int64)},
        r"int32\[\?\] as y of client 3, found int64\[1\] with entries",
    ),
    "wraps around": (
        {"x": _FEATURES, "y": np.array([2**64 - 1], np.uint64)},
        r"found uint64\[1\] with entries",
    ),
    "too large for a float": (([[1e300, 0.0]], _LABELS), "float32 does not hold"),
    "labels that are floats": (
        (_FEATURES, _LABELS.astype(np.float32)),
        r"int32\[\?\] as y of client 3, found float32\[3\]\.",
    ),
    "features that are whole": (
        (_FEATURES.astype(np.uint8), _LABELS),
        r"float32\[\?,2\] as x of client 3, found uint8\[3,2\]\.",
    ),
    "another rank": ((_FEATURES[0], _LABELS), r"client 3, found float32\[2\]"),
    "another size": ((_FEATURES[:, :1], _LABELS), r"client 3, found float32\[3,1\]"),
    "ragged": (([[1.0], [2.0, 3.0]], _LABELS), "client 3, found an object of list"),
    "objects": ((np.array([None]), _LABELS), r"found object\[1\]"),
    "a mapping in a tensor's place": (({}, _LABELS), "found an object of dict"),
    "infinite": (
        _examples((_FEATURES, _LABELS)).repeat(),
        "finite tf.data.Dataset .* client 3, found an infinite one",
    ),
    "empty": (_examples((_FEATURES[:0], _LABELS[:0])), "at least one example .* empty"),
    "examples of another shape": (
        _examples((_FEATURES.reshape(3, 2, 1), _LABELS)),
        r"or of batches, that stack to <x=.*,y=.*> as client 3, found one of",
    ),
    "examples of another rank": (
        _examples((_FEATURES.reshape(3, 1, 2, 1), _LABELS)),
        r"or of batches of examples, that stack to float32\[\?,2\] as x of client 3",
    ),
    "examples with other names": (
        _examples((_FEATURES, _LABELS), names=("x", "label")),
        r"the parts \['x', 'y'\] as client 3, found \['x', 'label'\]",
    ),
    "examples that cannot be read": (
        _examples((_FEATURES, _LABELS)).map(
            lambda e: {"x": tf.ensure_shape(tf.ones([e["y"] - 2]), [2]), "y": e["y"]}
        ),
        "as client 3, found: ",
    ),
}


@pytest.mark.parametrize("name", _BAD)
def test_what_is_not_of_the_type_is_one_sentence(name):
    value, message = _BAD[name]
    with pytest.raises(ValueError, match=message) as error:
        _client_values.flatten(value, _BATCH, "client 3")
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("Expected ")


def test_names_are_wanted_where_the_type_has_none():
    with pytest.raises(ValueError, match=r"2 parts as client 0, found \['x', 'y'\]"):
        _client_values.flatten({"x": _FEATURES, "y": _LABELS}, _PAIR, "client 0")


def test_a_dataset_that_never_ends_is_bounded(monkeypatch):
    monkeypatch.setattr(_client_values, "MAX_BYTES", 10_000)

    def forever():
        while True:
            yield np.zeros(2, np.float32), np.int32(0)

    endless = tf.data.Dataset.from_generator(
        forever, output_signature=(tf.TensorSpec([2]), tf.TensorSpec([], tf.int32))
    )
    with pytest.raises(ValueError, match=r"at most 10,000 bytes, found more"):
        _client_values.flatten(endless, _PAIR, "client 0")


def test_sequences_are_lists_of_elements():
    batches = tff.SequenceType(_BATCH)
    value = [{"y": _LABELS, "x": _FEATURES}, (_FEATURES[:1], _LABELS[:1])]
    dataset = _examples((_FEATURES, _LABELS), batch=2)
    (found,) = _client_values.flatten(value, batches, "client 0")
    _assert_leaves(found[0])
    _assert_leaves(found[1], (_FEATURES[:1], _LABELS[:1]))
    (found,) = _client_values.flatten(dataset, batches, "client 0")
    _assert_leaves(found[1], (_FEATURES[2:], _LABELS[2:]))
    for bad, message in (
        (dataset.repeat(), "found an infinite one"),
        (7, "a list of <x=.* as client 0, found 7"),
        ([{"x": _FEATURES}], r"as element 0 of client 0, found \['x'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            _client_values.flatten(bad, batches, "client 0")


@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.float16]),
        3,
        elements=st.floats(width=16),
    ),
    st.sampled_from([np.float64, np.float32, np.float16, ml_dtypes.bfloat16]),
)
def test_floats_are_cast_exactly_or_refused(array, dtype):
    with np.errstate(all="ignore"):
        cast = array.astype(dtype)
    exact = np.array_equal(cast.astype(np.float64), array, equal_nan=True)
    value_type = tff.TensorType(dtype, [3])
    if exact:
        (leaf,) = _client_values.flatten(array, value_type, "client 0")
        assert leaf.dtype == dtype
        np.testing.assert_array_equal(leaf.astype(np.float64), array)
    else:
        with pytest.raises(ValueError, match="does not hold exactly"):
            _client_values.flatten(array, value_type, "client 0")


_WHOLE = [np.int8, np.uint8, np.int32, np.uint32, np.int64, np.uint64]


@given(
    st.sampled_from(_WHOLE).flatmap(lambda dtype: hnp.arrays(dtype, 3)),
    st.sampled_from(_WHOLE),
)
def test_whole_numbers_are_cast_exactly_or_refused(array, dtype):
    bounds = np.iinfo(dtype)
    fits = all(bounds.min <= int(entry) <= bounds.max for entry in array)
    value_type = tff.TensorType(dtype, [3])
    if fits:
        (leaf,) = _client_values.flatten(array, value_type, "client 0")
        assert leaf.dtype == dtype
        assert [int(entry) for entry in leaf] == [int(entry) for entry in array]
    else:
        with pytest.raises(ValueError, match="does not hold exactly"):
            _client_values.flatten(array, value_type, "client 0")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], "at least one client, found none"),
        ((), "at least one client, found none"),
        (np.float32(0), "in a list, found an object of float32"),
        (np.array(0), "in a list, found an object of ndarray"),
        ("clients", "in a list, found an object of str"),
        (iter([1]), "in a list, found an object of list_iterator"),
    ],
)
def test_clients_are_in_a_list(values, message):
    with pytest.raises(ValueError, match=message):
        _client_values.as_list(values)
