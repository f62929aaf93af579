import numpy as np
import pytest
import tensorflow as tf

from tff_gs.exchange import transformations


def _apply(transformation, vector, state=None):
    vector = tf.constant(vector, tf.float32)
    if state is None:
        state = transformation.initialize(len(vector))
    return transformation(state, vector)


def test_clip_by_norm_by_hand():
    clip = transformations.ClipByNorm(5.0)
    np.testing.assert_allclose(_apply(clip, [6.0, 8.0])[1], [3.0, 4.0])
    np.testing.assert_array_equal(_apply(clip, [3.0, -4.0])[1], [3.0, -4.0])
    np.testing.assert_array_equal(_apply(clip, [0.0, 0.0])[1], [0.0, 0.0])


def test_clip_by_norm_of_huge_values_is_finite():
    clipped = _apply(transformations.ClipByNorm(1.0), [3e38, -3e38])[1]
    np.testing.assert_allclose(clipped, [np.sqrt(0.5), -np.sqrt(0.5)], rtol=1e-6)


def test_clip_by_value_by_hand():
    clip = transformations.ClipByValue(2.0)
    np.testing.assert_array_equal(_apply(clip, [-7.0, 1.0, 3e38])[1], [-2.0, 1.0, 2.0])


def test_momentum_correction_by_hand():
    momentum = transformations.MomentumCorrection(0.5)
    state, vector = _apply(momentum, [2.0, 4.0])
    np.testing.assert_array_equal(vector, [2.0, 4.0])
    state = momentum.receive(state, tf.constant([1]))
    state, vector = _apply(momentum, [1.0, 1.0], state)
    np.testing.assert_array_equal(vector, [2.0, 1.0])
    np.testing.assert_array_equal(state, vector)


def test_a_chain_runs_in_its_order():
    first = transformations.Chain(
        [transformations.ClipByValue(1.0), transformations.MomentumCorrection(0.5)]
    )
    state, _ = _apply(first, [4.0, 0.5])
    state, vector = _apply(first, [4.0, 0.5], state)
    np.testing.assert_array_equal(vector, [1.5, 0.75])
    state = first.receive(state, tf.constant([0]))
    assert state[0] == ()
    np.testing.assert_array_equal(state[1], [0.0, 0.75])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: transformations.ClipByNorm(0.0), "max_norm to be positive, found 0.0"),
        (lambda: transformations.ClipByValue(-1), "bound to be positive, found -1"),
        (lambda: transformations.MomentumCorrection(1.0), r"in \[0, 1\), found 1.0"),
    ],
)
def test_bad_options_are_one_sentence(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_what_is_no_transformation_is_refused():
    with pytest.raises(TypeError, match=r"each a ClientTransformation, found 3\."):
        transformations.Chain([3])
