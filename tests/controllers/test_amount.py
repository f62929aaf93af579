import numpy as np
import pytest

from tff_gs.controllers import amount


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (1, 1),
        (1000, 1000),
        (np.int64(7), 7),
        (1.0, 1000),
        (0.0001, 1),
        (0.29, 290),
        (0.0025, 2),
        (np.float64(0.5), 500),
        (np.float32(0.5), 500),
        (np.float32(0.1), 100),
        (np.float16(0.5), 500),
        (np.float32(1.0), 1000),
        (np.uint8(3), 3),
    ],
)
def test_counts(value, count):
    assert amount.to_count(value, 1000, "k") == count


def test_a_narrow_float_times_a_large_dimension():
    # 70,000 is beyond float16, and 2^24 + 1 beyond float32.
    assert amount.to_count(np.float16(1.0), 70_000, "k") == 70_000
    assert amount.to_count(np.float32(1.0), 2**24 + 1, "k") == 2**24 + 1


def test_paper_k_min():
    assert amount.to_count(0.002, 444062, "k_min") == 888


@pytest.mark.parametrize(
    "value",
    [
        *(0, -1, 1001, 0.0, 1.5, -0.1, float("nan"), float("inf"), True, "5", None),
        *(np.float32("nan"), np.float32(1.5), np.int64(0), np.bool_(True), [1], 1j),
        np.array([0.5]),
    ],
)
def test_refuses(value):
    with pytest.raises(ValueError, match=r"^Expected k to be .* found .*\.$"):
        amount.to_count(value, 1000, "k")


def test_refuses_dimension():
    with pytest.raises(ValueError, match="dimension of at least 1, found 0"):
        amount.to_count(1.0, 0, "k")


def test_parses():
    assert amount.parse_amount("1") == 1
    assert isinstance(amount.parse_amount("1"), int)
    assert amount.parse_amount("1.0") == 1.0
    assert isinstance(amount.parse_amount("1.0"), float)
    with pytest.raises(ValueError, match="found 'one'"):
        amount.parse_amount("one")
