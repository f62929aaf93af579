import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.oracles import sparsification
from tff_gs.sparsifiers import top_k


@pytest.fixture(scope="module")
def top_k_indices():
    return tf.function(
        top_k.top_k_indices,
        input_signature=[
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([], tf.int32),
        ],
    )


def test_the_largest_magnitudes_in_ascending_order(top_k_indices):
    vector = np.array([1.0, -5.0, 3.0, 0.5, -4.0], np.float32)
    found = top_k_indices(vector, 3)
    assert found.dtype == tf.int32
    np.testing.assert_array_equal(found, [1, 2, 4])


def test_ties_go_to_the_lower_index(top_k_indices):
    vector = np.array([2.0, -1.0, 1.0, -2.0, 1.0, 2.0], np.float32)
    np.testing.assert_array_equal(top_k_indices(vector, 2), [0, 3])
    np.testing.assert_array_equal(top_k_indices(vector, 4), [0, 1, 3, 5])


def test_zeros_of_both_signs_are_alike(top_k_indices):
    vector = np.array([0.0, -0.0, 0.0, -0.0], np.float32)
    np.testing.assert_array_equal(top_k_indices(vector, 3), [0, 1, 2])


def test_denormals_and_infinities_are_ordered(top_k_indices):
    tiny = np.float32(1e-45)
    vector = np.array([0.0, tiny, -2 * tiny, -np.inf, 3.4e38], np.float32)
    np.testing.assert_array_equal(top_k_indices(vector, 1), [3])
    np.testing.assert_array_equal(top_k_indices(vector, 2), [3, 4])
    np.testing.assert_array_equal(top_k_indices(vector, 3), [2, 3, 4])
    np.testing.assert_array_equal(top_k_indices(vector, 4), [1, 2, 3, 4])


def test_nan_ranks_above_infinity(top_k_indices):
    vector = np.array([np.inf, 1.0, np.nan], np.float32)
    np.testing.assert_array_equal(top_k_indices(vector, 1), [2])


def test_k_above_the_dimension_gives_all(top_k_indices):
    vector = np.array([3.0, 0.0, 1.0], np.float32)
    np.testing.assert_array_equal(top_k_indices(vector, 7), [0, 1, 2])


def test_nothing_of_nothing(top_k_indices):
    assert top_k_indices(np.zeros([0], np.float32), 3).shape == [0]


# Bit patterns, since TensorFlow makes this thread flush denormals to zero: plain
# float comparisons would not tell them from zero.
_SIGN = 1 << 31
_FEW = st.sampled_from([0, 1, 2, 0x3F800000, 0x40000000, 0x7F800000])
_ANY = st.integers(0, 0x7F800000)


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(data=st.data())
def test_equals_a_stable_sort(top_k_indices, data):
    elements = data.draw(st.sampled_from([_FEW, _ANY]))
    signed = st.tuples(elements, st.sampled_from([0, _SIGN])).map(sum)
    bits = np.array(data.draw(st.lists(signed, min_size=1, max_size=40)), np.uint32)
    k = data.draw(st.integers(1, bits.size))
    magnitudes = (bits & (_SIGN - 1)).astype(np.int64)
    expected = np.sort(np.argsort(-magnitudes, kind="stable")[:k])
    np.testing.assert_array_equal(top_k_indices(bits.view(np.float32), k), expected)


@pytest.mark.parametrize("k", [1, 200, 20_000, 60_000, 100_000])
@pytest.mark.parametrize("distinct", [2, 1_000, 10_000_000])
def test_equals_a_stable_sort_on_long_vectors(top_k_indices, k, distinct):
    rng = np.random.default_rng(k + distinct)
    vector = rng.integers(-distinct, distinct, 100_000).astype(np.float32)
    vector *= np.float32(1e-3)
    np.testing.assert_array_equal(
        top_k_indices(vector, k), sparsification.top_k(vector, k)
    )
