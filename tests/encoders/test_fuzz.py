"""No bytes at all make a receiver raise, hang, or accept something invalid."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import wire_format

D = 301
SIZES = (100, 1, 7, 193)
MAX_COUNT = 150
AUTO = ("bitmap", "fixed", "rice", "rice_per_tensor", "leading")
CODES = [
    ("int32", "float32"),
    ("bitmap", "quantised1"),
    ("fixed", "float16"),
    ("rice", "bfloat16"),
    ("rice_per_tensor", "ternary"),
    ("leading", "quantised3"),
    ("auto", "quantised5"),
    ("ranked", "magnitude"),
    ("rice", "none"),
]


def _valid(codec, index, value, rng):
    count = (
        int(rng.integers(0, MAX_COUNT + 1))
        if rng.random() < 0.5
        else int(rng.integers(0, 8))
    )
    indices = np.sort(rng.choice(D, count, replace=False))
    if index == "leading":
        indices = np.arange(count)
    values = rng.normal(size=count)
    if index == "ranked":
        indices = rng.permutation(indices)
        values = np.sort(np.abs(values))[::-1]
    return codec(index, value, D, SIZES).encode(indices, values)[0]


def _sealed(body):
    """`body` with its right checksum, so that the checks behind it are reached."""
    return body + wire_format.checksum(body)


def _damaged(message, rng):
    """`message` after one of many accidents."""
    data = bytearray(message)
    body = data[:-4]
    kind = rng.integers(0, 8)
    if kind == 0:
        return bytes(rng.integers(0, 256, rng.integers(0, 200), np.uint8))
    if kind == 1:
        return bytes(data[: rng.integers(0, len(data))])
    if kind == 2:
        for bit in rng.integers(0, 8 * len(data), rng.integers(1, 4)):
            data[bit // 8] ^= 1 << int(bit % 8)
        return bytes(data)
    if kind == 3:
        for bit in rng.integers(0, 8 * len(body), rng.integers(1, 4)):
            body[bit // 8] ^= 1 << int(bit % 8)
    elif kind == 4:
        body = body[: rng.integers(0, len(body))]
    elif kind == 5:
        body += bytes(rng.integers(0, 256, rng.integers(1, 40), np.uint8))
    elif kind == 6:
        # Right start, anything after it.
        keep = min(int(rng.integers(2, 8)), len(body))
        body[keep:] = bytes(rng.integers(0, 256, len(body) - keep, np.uint8))
    else:
        # Indices of few ones, as in long unary numbers, or of few zeros.
        at = int(rng.integers(5, max(len(body), 6)))
        ones = rng.random(8 * len(body[at:])) < rng.choice([0.02, 0.98])
        body[at:] = np.packbits(ones).tobytes()
    return _sealed(bytes(body))


def _flushed(values):
    """TensorFlow takes denormal numbers for zero, where it computes with them."""
    return np.where(np.abs(values) < np.finfo(np.float32).tiny, 0, values)


def _check(codec, index, value, message, *, against_oracle):
    """Decodes `message`; returns whether it was accepted."""
    indices, values, reason = codec(index, value, D, SIZES).decode(message, MAX_COUNT)
    if reason != "accepted":
        assert len(indices) == 0
        assert len(values) == 0
    else:
        assert len(indices) == len(values) <= MAX_COUNT
        in_order = np.sort(indices) if index == "ranked" else indices
        assert np.all(np.diff(in_order) > 0)
        assert np.all((indices >= 0) & (indices < D))
        assert np.all(np.isfinite(values))
    if against_oracle:
        expected, refusal = None, None
        try:
            expected = wire_format.decode(
                message,
                index_codes=AUTO if index == "auto" else (index,),
                value=value,
                dimension=D,
                max_count=MAX_COUNT,
                sizes=SIZES,
            )
        except wire_format.MalformedError as error:
            refusal = str(error)
        if refusal is None:
            assert reason == "accepted"
            np.testing.assert_array_equal(indices, expected[0])
            np.testing.assert_array_equal(_flushed(values), _flushed(expected[1]))
        else:
            # Only the limit to lengths is not the oracle's.
            assert reason in (refusal, "wrong_length", "too_many_entries")
    return reason == "accepted"


def _fuzz(codec, rounds, *, seed, against_oracle):
    rng = np.random.default_rng(seed)
    accepted = 0
    for code in CODES:
        pool = [_valid(codec, *code, rng) for _ in range(50)]
        for _ in range(rounds):
            message = _damaged(pool[rng.integers(0, len(pool))], rng)
            accepted += _check(codec, *code, message, against_oracle=against_oracle)
    return accepted


def test_damaged_messages(codec):
    accepted = _fuzz(codec, 334, seed=1, against_oracle=True)
    # Damage with a right checksum that leaves a valid message exists, and is rare.
    assert 0 < accepted < 600


@pytest.mark.parametrize(("index", "value"), CODES)
@given(message=st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_any_bytes(codec, index, value, message):
    assert not _check(codec, index, value, message, against_oracle=True)


@pytest.mark.parametrize(("index", "value"), CODES)
@given(
    count=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=300),
    honest=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_payload_in_a_right_frame(codec, index, value, count, payload, honest):
    count = count % (MAX_COUNT + 1) if honest else count
    name = "rice" if index == "auto" else index
    _check(
        codec,
        index,
        value,
        wire_format.frame(name, value, D, count, payload),
        against_oracle=True,
    )


def test_a_large_count_allocates_nothing(codec):
    # Of 33 million entries that a short message claims, none is made room for.
    dimension = 2**25 - 1
    coder = codec("auto", "quantised1", dimension)
    for index in ("bitmap", "fixed", "rice"):
        for payload in (b"", bytes(100), b"\xff" * 100):
            message = wire_format.frame(
                index, "quantised1", dimension, dimension, payload
            )
            assert coder.decode(message, dimension)[2] == "wrong_length"


@pytest.mark.slow
def test_a_hundred_thousand_damaged_messages(codec):
    tf.random.set_seed(0)
    assert _fuzz(codec, 17_000, seed=2, against_oracle=False) > 0
