"""Bit packing, Golomb parameters and the checksum against plain Python."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.oracles import farmhash, wire_format
from tff_gs.encoders import _bit_packing, _golomb, message_encoder

_checksum = tf.function(
    message_encoder.checksum,
    input_signature=[tf.TensorSpec([None], tf.uint8)],
    autograph=False,
)


def _checksum_of(data):
    return _checksum(np.frombuffer(data, np.uint8)).numpy().tobytes()


@hypothesis.given(st.binary(max_size=3000))
@hypothesis.settings(max_examples=60, deadline=None)
def test_checksum_is_the_lower_half_of_the_fingerprint(data):
    assert _checksum_of(data) == wire_format.checksum(data)


def test_checksum_of_every_length_that_is_treated_apart():
    # Up to 3, 7, 16, 32, 64 bytes, and by how many there are beyond a multiple of 64.
    rng = np.random.default_rng(0)
    for size in [*range(200), 2**16 - 1, 2**16, 2**16 + 1]:
        data = rng.bytes(size)
        assert _checksum_of(data) == wire_format.checksum(data), size


@pytest.mark.parametrize(
    ("text", "signed"),
    [
        (b"1footrue", -1541654101129638711),
        (b"2applefalse", 2794438866806483259),
        (b"3true", -4880158226897771312),
    ],
)
def test_the_fingerprint_is_what_others_publish(text, signed):
    # The example of FARM_FINGERPRINT in the reference of BigQuery's SQL.
    assert farmhash.fingerprint64(text) == signed % 2**64
    assert _checksum_of(text) == (signed % 2**32).to_bytes(4, "little")


@pytest.mark.parametrize("size", [1, 3, 4, 8, 16, 17, 32, 33, 64, 65, 128, 300])
def test_checksum_detects_every_flipped_bit_and_every_truncation(size):
    data = np.random.default_rng(size).bytes(size)
    damaged = [data[:length] for length in range(size)]
    damaged += [data + bytes(number) for number in range(1, 9)]
    for bit in range(8 * size):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    right = _checksum_of(data)
    assert right not in {_checksum_of(other) for other in damaged}


def test_golomb_parameters_by_hand():
    found = _golomb.parameters(40).tolist()
    assert found == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40]
    assert len(_golomb.parameters(2**25)) < 128
    assert found == [wire_format.golomb_parameter(c) for c in range(len(found))]


def test_golomb_planes_by_hand():
    # M = 3: w = 1, u = 1. Gaps 0, 4 = 3 + 1, 2, 7 = 2 * 3 + 1 have remainders
    # 0 -> "0"; 1 -> 2 = "1","0"; 2 -> 3 = "1","1"; 1 -> "1","0".
    code = _golomb.Golomb(100)
    planes = code.split(tf.constant([0, 4, 2, 7]), code.parameter(tf.constant(2)))
    # Fixed 0111; unary 1 01 1 001; extra 0 1 0.
    expected = wire_format.bytes_of("0111") + wire_format.bytes_of("1011001010")
    assert code.write(planes).numpy().tobytes() == expected


def _best_code(gaps, limit):
    """The cheapest parameter's code, by trying all, and the bits with each."""
    bits = []
    for m in _golomb.parameters(limit).tolist():
        width = m.bit_length() - 1
        extra = gaps % m >= 2 ** (width + 1) - m
        bits.append(int((gaps // m + 1 + width + extra).sum()))
    return int(np.argmin(bits)), bits


@pytest.mark.parametrize("density", [0.002, 0.03, 0.24, 0.25, 0.6])
def test_the_chosen_parameter_is_the_best_for_random_gaps(density):
    rng = np.random.default_rng(6)
    gaps = (rng.geometric(density, 5_000) - 1).astype(np.int32)
    code = _golomb.Golomb(2**20)
    found = int(code.choose(tf.constant(gaps))[0])
    assert found == _best_code(gaps, 2**20)[0]


def test_parameters_are_chosen_by_segment():
    rng = np.random.default_rng(7)
    parts = [rng.geometric(p, 3_000).astype(np.int32) - 1 for p in (0.01, 0.3)]
    # Clustered: nine gaps of ten are short.
    parts.append(np.where(rng.random(3_000) < 0.9, parts[1], 10 * parts[0]))
    segments = np.repeat([0, 1, 3], 3_000).astype(np.int32)
    code = _golomb.Golomb(2**20)
    found = code.choose(tf.constant(np.concatenate(parts)), tf.constant(segments), 4)
    assert found.shape == [4]
    for chosen, gaps in zip(found.numpy()[[0, 1, 3]], parts, strict=True):
        best, bits = _best_code(gaps, 2**20)
        assert bits[chosen] <= 1.02 * bits[best]


@hypothesis.given(
    st.lists(st.tuples(st.integers(0, 25), st.integers(0, 2**25 - 1)), max_size=60)
)
@hypothesis.settings(max_examples=60, deadline=None)
def test_fields_of_varying_width(fields):
    widths = np.array([w for w, _ in fields], np.int32)
    values = np.array([v % 2**w for w, v in fields], np.int32)
    offsets = (np.cumsum(widths) - widths).astype(np.int32)
    bits = "".join(f"{v:0{w}b}" for v, w in zip(values, widths, strict=True) if w)
    expected = wire_format.bytes_of(bits)
    packed = _bit_packing.write_fields(values, offsets, widths, len(expected))
    assert packed.numpy().tobytes() == expected
    np.testing.assert_array_equal(
        _bit_packing.read_fields(packed, tf.constant(offsets), tf.constant(widths)),
        values,
    )


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 100])
def test_numbers_of_one_width(bits, count):
    values = np.random.default_rng(count).integers(0, 2**bits, count, np.int32)
    packed = _bit_packing.pack_numbers(tf.constant(values), bits)
    expected = wire_format.bytes_of("".join(f"{v:0{bits}b}" for v in values))
    assert packed.numpy().tobytes() == expected
    np.testing.assert_array_equal(
        _bit_packing.unpack_numbers(packed, tf.constant(count), bits), values
    )


@hypothesis.given(st.lists(st.booleans(), max_size=100))
@hypothesis.settings(max_examples=40, deadline=None)
def test_bits(bits):
    expected = wire_format.bytes_of("".join("01"[bit] for bit in bits))
    packed = _bit_packing.pack_bits(tf.constant(bits, tf.bool))
    assert packed.numpy().tobytes() == expected
    unpacked = _bit_packing.unpack_bits(packed).numpy()
    np.testing.assert_array_equal(unpacked[: len(bits)], bits)
    positions = np.append(np.flatnonzero(bits), -1).astype(np.int32)
    set_ = _bit_packing.set_bits(tf.constant(positions), len(expected))
    assert set_.numpy().tobytes() == expected
