"""The ends of an adopted interval."""

import pytest
import tensorflow as tf

from tff_gs.controllers import interval


@pytest.mark.parametrize(
    ("smallest", "largest", "expected"),
    [
        (55000, 55439, (36667, 83158)),  # 36666.67, 83158.5: the even one
        (3000, 3953, (2000, 5930)),  # 5929.5
        (30, 35, (20, 52)),  # 52.5
        (31, 37, (21, 56)),  # 20.67, 55.5
        (32, 38, (21, 57)),  # 21.33: not up
    ],
)
def test_ends_round_to_nearest_and_halves_to_even(smallest, largest, expected):
    shrinking = interval.Shrinking(1, 10**6, alpha=1.5, window=2)
    begun = interval.first_interval(1, 10**6)._replace(
        smallest=tf.constant(smallest), updates=tf.constant(1)
    )
    found, adopted = shrinking.step(
        begun, tf.constant(largest), tf.constant(True), tf.constant(9)
    )
    assert adopted
    assert (int(found.k_min), int(found.k_max)) == expected


def test_the_other_end_may_be_a_half_too():
    shrinking = interval.Shrinking(1, 10**6, alpha=2.0, window=1)
    for k, low in ((105, 52), (107, 54)):  # 52.5, 53.5
        found, _ = shrinking.step(
            interval.first_interval(1, 10**6),
            tf.constant(k),
            tf.constant(True),
            tf.constant(9),
        )
        assert (int(found.k_min), int(found.k_max)) == (low, 2 * k)
