"""Entries of a vector: taken, replaced, subtracted."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from hypothesis import strategies as st

from tff_gs import sparse_vector

_DIMENSION = 6
_SPECS = (
    tf.TensorSpec([_DIMENSION], tf.float32),
    tf.TensorSpec([None], tf.int32),
    tf.TensorSpec([None], tf.float32),
)


@pytest.fixture(scope="module")
def take():
    return tf.function(sparse_vector.take, input_signature=_SPECS[:2])


@pytest.fixture(scope="module")
def put():
    return tf.function(sparse_vector.put, input_signature=_SPECS)


@pytest.fixture(scope="module")
def subtract():
    return tf.function(sparse_vector.subtract, input_signature=_SPECS)


@st.composite
def entries(draw):
    """A vector, some of its indices in any order or all in order, and values."""
    some = st.permutations(range(_DIMENSION)).flatmap(
        lambda order: st.integers(0, _DIMENSION).map(lambda count: order[:count])
    )
    indices = draw(st.one_of(some, st.just(list(range(_DIMENSION)))))
    # Not so small that their differences are flushed to zero.
    fractions = st.integers(-(10**6), 10**6).map(lambda n: n / 64)
    numbers = st.one_of(fractions, st.just(-0.0))
    vector, values = (
        draw(st.lists(numbers, min_size=size, max_size=size))
        for size in (_DIMENSION, len(indices))
    )
    return (
        np.array(vector, np.float32),
        np.array(indices, np.int32),
        np.array(values, np.float32),
    )


def _assert_same_bits(found, expected):
    np.testing.assert_array_equal(found.numpy().view(np.int32), expected.view(np.int32))


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(case=entries())
def test_take_is_what_is_there(take, case):
    vector, indices, _ = case
    _assert_same_bits(take(vector, indices), vector[indices])


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(case=entries())
def test_put_replaces_entries(put, case):
    vector, indices, values = case
    expected = vector.copy()
    expected[indices] = values
    _assert_same_bits(put(*case), expected)


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(case=entries())
def test_subtract_subtracts_entries(subtract, case):
    vector, indices, values = case
    expected = vector.copy()
    expected[indices] -= values
    _assert_same_bits(subtract(*case), expected)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_all_entries_by_hand(order):
    vector, values = tf.constant([1.0, 2.0, 3.0]), tf.constant([10.0, 20.0, 30.0])
    indices = tf.constant(order)
    expected = {(0, 1, 2): [10, 20, 30], (2, 0, 1): [20, 30, 10]}[tuple(order)]
    np.testing.assert_array_equal(
        sparse_vector.take(values, indices), [10 * (j + 1) for j in order]
    )
    np.testing.assert_array_equal(sparse_vector.put(vector, indices, values), expected)
    np.testing.assert_array_equal(
        sparse_vector.subtract(vector, indices, values),
        np.array([1, 2, 3]) - expected,
    )


def test_sizes_that_are_known_when_traced():
    @tf.function
    def change(indices, values):
        vector = tf.constant([1.0, 2.0, 3.0])
        return (
            sparse_vector.take(vector, indices),
            sparse_vector.put(vector, indices, values),
            sparse_vector.subtract(vector, indices, values),
        )

    found = change(tf.constant([2, 0]), tf.constant([7.0, 5.0]))
    for one, expected in zip(found, ([3, 1], [5, 2, 7], [-4, 2, -4]), strict=True):
        np.testing.assert_array_equal(one, expected)


def test_put_takes_any_type_and_length():
    found = sparse_vector.put(
        tf.zeros([3], tf.bool), tf.constant([1]), tf.constant([True])
    )
    np.testing.assert_array_equal(found, [False, True, False])
    nothing = tf.zeros([0], tf.float64)
    assert sparse_vector.put(nothing, tf.zeros([0], tf.int32), nothing).shape == [0]


@pytest.mark.parametrize("order", [[1], [0, 1, 2], [2, 0, 1]])
def test_a_graph_optimizer_does_not_take_some_indices_for_all(order):
    # That a whole vector has as many values as it has holds for whole vectors only.
    def mark(indices):
        mask = tf.zeros([3], tf.bool)
        values = tf.ones_like(indices, dtype=tf.bool)
        marked = tf.ensure_shape(sparse_vector.put(mask, indices, values), [3])
        return sparse_vector.take(marked, indices), marked

    traced = tff.tensorflow.computation(mark, tff.TensorType(np.int32, [None]))
    taken, marked = traced(np.array(order, np.int32))
    assert np.all(taken)
    np.testing.assert_array_equal(marked, np.isin([0, 1, 2], order))
