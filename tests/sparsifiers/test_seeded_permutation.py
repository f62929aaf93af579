import functools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tff_gs.sparsifiers import _seeded_permutation


@pytest.fixture(scope="module")
def permute():
    """The permutation of a dimension, traced once."""

    @functools.cache
    def build(dimension):
        return tf.function(
            functools.partial(_seeded_permutation.permute, dimension=dimension),
            input_signature=[
                tf.TensorSpec([None], tf.int32),
                tf.TensorSpec([2], tf.int32),
            ],
        )

    return build


@pytest.mark.parametrize("dimension", [1, 2, 3, 17, 64, 65, 5000])
@hypothesis.settings(deadline=None, max_examples=10)
@hypothesis.given(seed=st.tuples(*[st.integers(-(2**31), 2**31 - 1)] * 2))
def test_every_coordinate_once(permute, dimension, seed):
    seed = np.array(seed, np.int32)
    whole = permute(dimension)(np.arange(dimension), seed).numpy()
    np.testing.assert_array_equal(np.sort(whole), np.arange(dimension))
    some = np.array([dimension - 1, 0, dimension // 2])
    np.testing.assert_array_equal(permute(dimension)(some, seed), whole[some])


def test_subsets_are_spread_evenly(permute):
    # The first 50 of 1000, drawn 2000 times: each coordinate 100 times on average,
    # with a standard deviation of 9.7 if the draws are independent and uniform.
    counts = np.zeros(1000)
    for number in range(2000):
        drawn = permute(1000)(np.arange(50), np.array([7, number])).numpy()
        counts[drawn] += 1
    assert counts.sum() == 100_000
    assert 8.7 < counts.std() < 10.7
    assert np.abs(counts - 100).max() < 50


def test_seeds_differ(permute):
    first, second = (
        permute(1000)(np.arange(1000), np.array([0, number])).numpy()
        for number in range(2)
    )
    assert np.mean(first == second) < 0.02
