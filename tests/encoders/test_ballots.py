"""Ballots and announcements: what an election sends, to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import wire_format

_D = 301


def test_a_ballot_by_hand(codec):
    # 8, 4 and 3 are 0, 8 and 8 log2(8 / 3) = 11.3 eighths of a power of two down.
    message, received = codec("ranked", "magnitude", _D).encode([300, 7, 12], [8, 4, 3])
    levels = "1" + 8 * "0" + "1" + 3 * "0" + "1"
    payload = (
        np.float32(8).tobytes()
        + wire_format.bytes_of(levels.ljust(66, "0"))
        + wire_format.bytes_of("100101100" + "000000111" + "000001100")
    )
    assert message == wire_format.frame("ranked", "magnitude", _D, 3, payload)
    np.testing.assert_array_equal(received, np.float32([8, 4, 8 * 2 ** (-11 / 8)]))


def test_an_announcement_is_its_indices(codec):
    message, received = codec("rice", "none", _D).encode([4, 9], [1.5, -2.5])
    whole, _ = codec("rice", "float32", _D).encode([4, 9], [1.5, -2.5])
    assert len(message) == len(whole) - 8
    np.testing.assert_array_equal(received, [0, 0])
    indices, values, reason = codec("rice", "none", _D).decode(message, _D)
    assert reason == "accepted"
    np.testing.assert_array_equal(indices, [4, 9])
    np.testing.assert_array_equal(values, [0, 0])


@settings(deadline=None, max_examples=150)
@given(
    ranks=st.integers(1, _D),
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([0.0, 0.3, 3.0, 30.0]),
    zeros=st.integers(0, 5),
)
def test_ballots_are_those_of_the_definition(codec, ranks, seed, spread, zeros):
    rng = np.random.default_rng(seed)
    indices = rng.permutation(_D)[:ranks]
    octaves = np.clip(spread * rng.normal(size=ranks), -80, 80)
    values = np.sort(np.exp(octaves).astype(np.float32))[::-1]
    values[ranks - min(zeros, ranks - 1) :] = 0
    message, received = codec("ranked", "magnitude", _D).encode(indices, values)
    # Where the level is a near tie, float32 and float64 may disagree.
    steps = 8 * np.log2(values[0] / np.maximum(values, 1e-38).astype(np.float64))
    if np.all(np.abs(steps % 1 - 0.5) > 1e-3):
        width = (_D - 1).bit_length()
        payload = wire_format.write_magnitudes(values.tolist())
        payload += wire_format.bytes_of("".join(f"{j:0{width}b}" for j in indices))
        frame = wire_format.frame("ranked", "magnitude", _D, ranks, payload)
        assert message == frame
    read, magnitudes, reason = codec("ranked", "magnitude", _D).decode(message, ranks)
    assert reason == "accepted"
    np.testing.assert_array_equal(read, indices)
    np.testing.assert_array_equal(magnitudes, received)
    assert np.all(np.diff(received) <= 0)
    # To half of an eighth of a power of two, unless below 1 / 235 of the first.
    large = values > values[0] * 2.0 ** (-62.5 / 8)
    np.testing.assert_allclose(received[large], values[large], rtol=2 ** (1 / 16) - 1)


@pytest.mark.parametrize(
    ("indices", "reason"),
    [([1, 2, 1], "unsorted_indices"), ([1, 301, 2], "index_out_of_range")],
)
def test_a_ballot_names_each_coordinate_once(codec, indices, reason):
    payload = wire_format.write_magnitudes([3.0, 2.0, 1.0])
    payload += wire_format.bytes_of("".join(f"{j:09b}" for j in indices))
    message = wire_format.frame("ranked", "magnitude", _D, 3, payload)
    assert codec("ranked", "magnitude", _D).decode(message, 3)[2] == reason


@pytest.mark.parametrize(
    ("first", "levels"),
    [
        (1.0, "1" + "1" + 64 * "0"),  # two magnitudes
        (1.0, "1111" + 62 * "0"),  # four
        (-1.0, "111" + 63 * "0"),
        (np.nan, "111" + 63 * "0"),
        (np.inf, "111" + 63 * "0"),
        (1.0, "11" + 64 * "0" + "1"),  # 64 steps down, in the padding
    ],
)
def test_magnitudes_that_are_none_are_refused(codec, first, levels):
    payload = np.float32(first).tobytes() + wire_format.bytes_of(levels.ljust(66, "0"))
    payload += wire_format.bytes_of("000000001000000010000000011")
    message = wire_format.frame("ranked", "magnitude", _D, 3, payload)
    decoded = codec("ranked", "magnitude", _D).decode(message, 3)
    assert decoded[2] == "non_finite_value"
    assert len(decoded[0]) == 0


def test_what_a_ballot_is_expected_to_take_is_what_it_takes(codec):
    ballots = codec("ranked", "magnitude", _D)
    for ranks in (1, 2, 40, 301):
        message, _ = ballots.encode(np.arange(ranks), np.ones(ranks))
        assert ballots.encoder.estimate_bits(ranks) == 8 * len(message)
