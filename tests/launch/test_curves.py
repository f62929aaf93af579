import numpy as np

from launch.comparison import curves


def _array(*values):
    return np.array(values, np.float64)


def test_a_band_lies_between_the_seeds_where_all_of_them_are_known():
    first = _array(0, 10, 20), _array(1, 2, 4)
    second = _array(10, 30), _array(4, 2)
    band = curves.band([first, second], grid=_array(0, 10, 15, 20, 30))
    np.testing.assert_array_equal(band.x, [10, 15, 20])
    # The first at 15 is 3 and the second 3.5; at 20 they are 4 and 3.
    np.testing.assert_allclose(band.mean, [3, 3.25, 3.5])
    np.testing.assert_allclose(band.low, [2, 3, 3])
    np.testing.assert_allclose(band.high, [4, 3.5, 4])


def test_by_default_a_band_has_points_at_equal_distances():
    x = _array(0, 1)
    band = curves.band([(x, _array(0, 2)), (x, _array(2, 4))])
    np.testing.assert_allclose(band.x, np.linspace(0, 1, curves.POINTS))
    np.testing.assert_allclose(band.mean, 1 + 2 * band.x)
    np.testing.assert_allclose(band.high - band.low, 2)


def test_one_curve_stays_as_it_is_without_what_is_not_finite():
    band = curves.band([(_array(1, 2, 3), _array(5, np.inf, 7))])
    np.testing.assert_array_equal(band.x, [1, 3])
    for edge in (band.mean, band.low, band.high):
        np.testing.assert_array_equal(edge, [5, 7])


def test_curves_that_share_one_point_or_none():
    x, y = _array(233), _array(1)
    band = curves.band([(x, y), (x, y + 1)])
    assert (band.x.tolist(), band.mean.tolist()) == ([233], [1.5])
    assert len(curves.band([(x, y), (x + 1, y)]).x) == 0
    assert len(curves.band([(x, y), (x, y * np.nan)]).x) == 0


def test_a_distribution_is_taken_share_by_share():
    band = curves.distribution([_array(0, 10), _array(4, 30)])
    np.testing.assert_array_equal(band.x, [0.5, 1.0])
    np.testing.assert_array_equal(band.mean, [2, 20])
    np.testing.assert_array_equal(band.low, [0, 10])
    np.testing.assert_array_equal(band.high, [4, 30])
