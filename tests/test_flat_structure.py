import collections

import ml_dtypes
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _flat_structure

_TYPE = tff.to_type(
    collections.OrderedDict(
        a=(np.float32, [2, 2]),
        b=[np.float64, (np.float16, [0, 3]), {"c": (ml_dtypes.bfloat16, [2])}],
    )
)


def _value():
    return collections.OrderedDict(
        a=tf.constant([[1, 2], [3, 4]], tf.float32),
        b=[
            tf.constant(5, tf.float64),
            tf.zeros([0, 3], tf.float16),
            {"c": tf.constant([6, 7], tf.bfloat16)},
        ],
    )


def test_there_and_back():
    flat = _flat_structure.FlatStructure.of_type(_TYPE)
    assert flat.dimension == 7
    assert flat.tensor_sizes == [4, 1, 2]
    vector = flat.flatten(_value())
    assert vector.dtype == tf.float32
    np.testing.assert_array_equal(vector, np.arange(1, 8))
    value = flat.unflatten(vector)
    tf.nest.assert_same_structure(value, _value())
    for given, expected in zip(
        tf.nest.flatten(value), tf.nest.flatten(_value()), strict=True
    ):
        assert given.dtype == expected.dtype
        np.testing.assert_array_equal(given, expected)


def test_a_single_tensor():
    flat = _flat_structure.FlatStructure.of_type(tff.TensorType(np.float32, [2, 3]))
    assert flat.unflatten(tf.range(6, dtype=tf.float32)).shape == [2, 3]


def test_a_struct_without_a_python_container():
    value_type = tff.StructType([("a", np.float32)])
    with pytest.raises(TypeError, match="StructWithPythonType of such, found"):
        _flat_structure.FlatStructure.of_type(value_type)


def test_specs_without_a_tff_type():
    specs = {"b": tf.TensorSpec([2]), "a": tf.TensorSpec([0]), "c": tf.TensorSpec([])}
    flat = _flat_structure.FlatStructure(specs)
    assert flat.tensor_sizes == [2, 1]
    value = flat.unflatten(tf.constant([1.0, 2.0, 3.0]))
    assert value["b"].numpy().tolist() == [1, 2]
    assert value["a"].shape == [0]
    np.testing.assert_array_equal(flat.flatten(value), [1, 2, 3])
