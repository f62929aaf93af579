"""Value codes: what they keep, what they lose, and that nothing becomes infinite."""

import numpy as np
import pytest
import tensorflow as tf

from tff_gs.encoders.registry import VALUE_CODES

BITS = range(1, 9)


def _received(name, values, seed=(0, 0)):
    code = VALUE_CODES[name]()
    payload, received = code.write(
        tf.constant(values, tf.float32), tf.constant(seed, tf.int32)
    )
    count = tf.constant(len(values))
    assert payload.shape[0] == int(code.num_bytes(count))
    np.testing.assert_array_equal(code.read(payload, count), received)
    return received.numpy()


def test_float32_is_exact():
    values = [0.0, -0.0, 1e-45, -3.4028235e38, np.pi]
    found = _received("float32", values)
    np.testing.assert_array_equal(found.view(np.int32), np.float32(values).view("i4"))


def test_float16_rounds_to_nearest_and_saturates():
    # 2**-24 is the least positive float16; 1 + 2**-11 lies midway, ties go to even.
    values = [1e30, -65520.0, 65504.0, 1.0 + 2**-11, 2**-24, 2**-26]
    expected = [65504.0, -65504.0, 65504.0, 1.0, 2**-24, 0.0]
    np.testing.assert_array_equal(_received("float16", values), np.float32(expected))


def test_bfloat16_rounds_to_nearest_and_saturates():
    largest = (2 - 2**-7) * 2.0**127
    values = [3.4028235e38, -3.4028235e38, 1 + 2**-8, 1 + 3 * 2**-8]
    expected = [largest, -largest, 1.0, 1 + 2**-6]
    np.testing.assert_array_equal(_received("bfloat16", values), np.float32(expected))


def test_ternary_keeps_signs_and_the_mean_magnitude():
    found = _received("ternary", [1.0, -2.0, 6.0, 0.0, -3.5])
    np.testing.assert_array_equal(found, np.float32([2.5, -2.5, 2.5, 2.5, -2.5]))
    # The sum of these is beyond float32, their mean is not.
    np.testing.assert_array_equal(
        _received("ternary", [3e38, -3e38]), np.float32([3e38, -3e38])
    )


@pytest.mark.parametrize("bits", BITS)
def test_quantised_values_are_a_neighbouring_level(bits):
    values = np.random.default_rng(bits).normal(size=500).astype(np.float32)
    found = _received(f"quantised{bits}", values)
    scale, steps = np.abs(values).max(), 2**bits - 1
    assert np.abs(found - values).max() <= 2 * scale / steps * (1 + 1e-5)
    levels = (found / scale + 1) * steps / 2
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-4)
    # The value of the largest magnitude is a level, and is kept.
    at = np.abs(values).argmax()
    assert found[at] == values[at]


@pytest.mark.parametrize("bits", BITS)
def test_quantisation_is_unbiased(bits):
    values = np.float32([-1.0, -0.77, -0.31, -0.02, 0.0, 0.11, 0.5, 0.983])
    repeats = 4_000
    found = _received(f"quantised{bits}", np.repeat(values, repeats), (bits, 1))
    found = found.reshape(len(values), repeats).T
    # A level above with probability p has the variance p (1 - p) step**2.
    step = 2 / (2**bits - 1)
    above = ((values + 1) / step) % 1
    deviation = step * np.sqrt(above * (1 - above) / repeats)
    assert np.all(np.abs(found.mean(axis=0) - values) <= 4.5 * deviation + 1e-6)
    assert (found.std(axis=0) > 0).sum() >= 5


def test_the_seed_decides_the_rounding():
    values = np.random.default_rng(0).normal(size=100)
    first = _received("quantised2", values, (1, 2))
    np.testing.assert_array_equal(first, _received("quantised2", values, (1, 2)))
    assert np.any(first != _received("quantised2", values, (1, 3)))


@pytest.mark.parametrize("name", VALUE_CODES)
def test_extreme_values_stay_finite(name):
    for values in ([], [0.0, 0.0], [1e-45, -1e-45], [3.4028235e38, -3.4028235e38, 1.0]):
        assert np.all(np.isfinite(_received(name, values)))
