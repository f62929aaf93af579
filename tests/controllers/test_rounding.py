import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tff_gs.controllers import amount


@settings(deadline=None, max_examples=200)
@given(value=st.floats(0, 2**30))
def test_is_floor_or_ceiling_and_unbiased(value):
    uniforms = tf.constant((np.arange(1000) + 0.5) / 1000, tf.float64)
    values = tf.fill([1000], tf.constant(value, tf.float64))
    rounded = amount.stochastic_round(values, uniforms)
    assert rounded.dtype == tf.int32
    assert set(rounded.numpy()) <= {np.floor(value), np.ceil(value)}
    # 1000 evenly spaced uniforms resolve the fraction to 1/1000.
    mean = np.mean(rounded.numpy() - np.floor(value))
    assert abs(mean - (value - np.floor(value))) <= 0.0005 + 1e-9


def test_integers_stay():
    values = tf.constant([0.0, 5.0, 444062.0], tf.float64)
    rounded = amount.stochastic_round(values, tf.zeros([3], tf.float64))
    assert rounded.numpy().tolist() == [0, 5, 444062]
