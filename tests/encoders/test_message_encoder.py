"""Messages against the oracle, byte by byte, and what a receiver refuses."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests import fresh_python
from tests.oracles import wire_format
from tff_gs import sparse_vector
from tff_gs.encoders import index_code, registry, value_code
from tff_gs.encoders.encoder import Encoder
from tff_gs.encoders.registry import INDEX_CODES, VALUE_CODES
from tff_gs.encoders.rice_code import RiceCode
from tff_gs.encoders.ternary_code import TernaryCode

D = 301
SIZES = (100, 1, 7, 193)
SINGLE = ("int32", "bitmap", "fixed", "rice", "rice_per_tensor", "leading")
AUTO = ("bitmap", "fixed", "rice", "rice_per_tensor", "leading")
PAPER_SIZES = (800, 32, 25600, 32, 401408, 256, 15872, 62)
PAPER_D = sum(PAPER_SIZES)


def subsets(dimension=D):
    """Subsets of every size, spread out or clustered."""

    def draw(parts):
        count, seed, clustered = parts
        rng = np.random.default_rng(seed)
        if clustered:
            start = rng.integers(0, dimension - count + 1)
            return np.arange(start, start + count)
        return np.sort(rng.choice(dimension, count, replace=False))

    return st.tuples(
        st.integers(0, dimension), st.integers(0, 2**32 - 1), st.booleans()
    ).map(draw)


def suited(index, indices):
    """`indices`, or as many that the code "leading" can write."""
    return np.arange(len(indices)) if index == "leading" else indices


def oracle_decode(message, index, value, max_count=D):
    return wire_format.decode(
        message,
        index_codes=AUTO if index == "auto" else (index,),
        value=value,
        dimension=D,
        max_count=max_count,
        sizes=SIZES,
    )


def split(message, value, count):
    """The indices' payload of a message of `count` entries, 301 coordinates."""
    start = 4 + message[0] % 4 + 1 + wire_format.value_bytes(value, count)
    return message[start:-4]


@pytest.mark.parametrize("index", [*SINGLE, "auto"])
@hypothesis.given(indices=subsets())
@hypothesis.settings(max_examples=60, deadline=None)
def test_oracle_reads_what_is_written(codec, index, indices):
    indices = suited(index, indices)
    values = np.random.default_rng(len(indices)).normal(size=len(indices))
    values = values.astype(np.float32)
    coder = codec(index, "float32", D, SIZES)
    message, received = coder.encode(indices, values)
    np.testing.assert_array_equal(received, values)
    for found in (oracle_decode(message, index, "float32"), coder.decode(message, D)):
        np.testing.assert_array_equal(found[0], indices)
        np.testing.assert_array_equal(found[1], values)


@pytest.mark.parametrize("index", SINGLE)
@hypothesis.given(indices=subsets())
@hypothesis.settings(max_examples=40, deadline=None)
def test_indices_are_written_to_the_byte_like_the_oracle(codec, index, indices):
    indices = suited(index, indices)
    message, _ = codec(index, "float32", D, SIZES).encode(
        indices, np.ones(len(indices))
    )
    found = split(message, "float32", len(indices))
    parameters = 0
    if index == "rice":
        parameters = found[0]
    elif index == "rice_per_tensor":
        bits, at, parameters = wire_format.bits_of(found), 0, []
        for size in SIZES:
            at += size.bit_length() + 7
            parameters.append(int(bits[at - 7 : at], 2))
    assert found == wire_format.write_indices(
        index, indices.tolist(), D, SIZES, parameters
    )


@pytest.mark.parametrize("index", SINGLE)
@hypothesis.given(indices=subsets(), data=st.data())
@hypothesis.settings(max_examples=40, deadline=None)
def test_any_parameter_of_another_sender_is_read(codec, index, indices, data):
    indices = suited(index, indices)
    # 29 codes have M <= 301, of the 193 coordinates of the largest tensor 26.
    code = st.integers(0, 25)
    parameters = data.draw(
        st.lists(code, min_size=4, max_size=4) if "per" in index else code
    )
    payload = wire_format.write_indices(index, indices.tolist(), D, SIZES, parameters)
    values = np.ones(len(indices), "<f4")
    message = wire_format.frame(
        index, "float32", D, len(indices), values.tobytes() + payload
    )
    found, _, reason = codec(index, "float32", D, SIZES).decode(message, D)
    assert reason == "accepted"
    np.testing.assert_array_equal(found, indices)


@pytest.mark.parametrize("dimension", [1, 2, 3, 255, 256, 1000])
@pytest.mark.parametrize("index", [*SINGLE, "auto"])
def test_empty_one_and_full_messages_of_any_dimension(eager_codec, index, dimension):
    coder = eager_codec(index, "quantised3", dimension, (dimension,))
    for indices in ([], [dimension - 1], range(dimension)):
        indices = suited(index, indices)
        values = np.linspace(-1, 2, len(indices))
        message, received = coder.encode(indices, values)
        found, found_values, reason = coder.decode(message, dimension)
        assert reason == "accepted"
        np.testing.assert_array_equal(found, np.array(indices, np.int32))
        np.testing.assert_array_equal(found_values, received)


@pytest.mark.parametrize("value", VALUE_CODES)
@hypothesis.given(indices=subsets(), seed=st.integers(0, 1000))
@hypothesis.settings(max_examples=50, deadline=None)
def test_received_values_are_what_everybody_decodes(codec, value, indices, seed):
    values = np.random.default_rng(seed).standard_cauchy(len(indices)) * 1e3
    coder = codec("fixed", value, D, SIZES)
    message, received = coder.encode(indices, values, (seed, 7))
    found, found_values, reason = coder.decode(message, D)
    assert reason == "accepted"
    np.testing.assert_array_equal(found, indices)
    np.testing.assert_array_equal(found_values, received)
    np.testing.assert_array_equal(oracle_decode(message, "fixed", value)[1], received)


def test_one_message_by_hand(codec):
    # Version 2; D = 301 takes 2 bytes, the count 1: 10 10 01 00. Indices 4 and 9 in 9
    # bits: 000000100 000001001 and 6 bits of padding. 1.5 is 0x3FC00000. The
    # fingerprint is 0xD8336C1F3EA63828, as its lower half in little-endian order.
    message, _ = codec("fixed", "float32", D, SIZES).encode([4, 9], [1.5, -1.5])
    expected = "A4 20 2D01 02 0000C03F 0000C0BF 020240 2838A63E"
    assert message == bytes.fromhex(expected)


def _message(index, value="float32", *, dimension=D, count=2, payload=b"", **options):
    values = np.ones(count, "<f4").tobytes() if value == "float32" else b""
    return wire_format.frame(
        index, value, dimension, count, values + payload, **options
    )


def _int32(*indices):
    return np.array(indices, "<i4").tobytes()


def _bits(text):
    return wire_format.bytes_of(text.replace(" ", ""))


GOOD = _message("int32", payload=_int32(3, 5))
# With the checksum of its time.
VERSION_1 = bytes.fromhex("94002D01020000803F0000803F0300000005000000E52AC848")
PER_TENSOR_COUNTS = "0000001 {} 0 0000000 000 0000000 {} 0000000"

REFUSED = {
    "empty": ("int32", b"", "wrong_length"),
    "short": ("int32", GOOD[:8], "wrong_length"),
    "huge": ("int32", GOOD + bytes(10**6), "wrong_length"),
    "longer": ("int32", _message("int32", payload=_int32(3, 5, 6)), "wrong_length"),
    "values missing": (
        "int32",
        wire_format.frame("int32", "float32", D, 2, bytes(7)),
        "wrong_length",
    ),
    "cut": ("int32", GOOD[:-1], "bad_checksum"),
    "flipped": ("int32", bytes([GOOD[0] ^ 1]) + GOOD[1:], "bad_checksum"),
    "version 1": ("int32", VERSION_1, "unknown_version"),
    "version 3": (
        "int32",
        _message("int32", payload=_int32(3, 5), version=3),
        "unknown_version",
    ),
    "version 1 of too many": (
        "int32",
        _message("int32", count=40, payload=_int32(*range(40)), version=1),
        "unknown_version",
    ),
    "dimension": (
        "int32",
        _message("int32", payload=_int32(3, 5), dimension=302),
        "dimension_mismatch",
    ),
    "wide dimension": (
        "int32",
        _message("int32", payload=_int32(3, 5), dimension=D + 2**16),
        "dimension_mismatch",
    ),
    "other index code": ("fixed", GOOD, "unknown_code"),
    "no code": (
        "int32",
        _message("int32", payload=_int32(3, 5), tags=0xFF),
        "unknown_code",
    ),
    "too many": (
        "int32",
        _message("int32", count=11, payload=_int32(*range(11))),
        "too_many_entries",
    ),
    "count beyond int32": (
        "int32",
        wire_format.frame("int32", "float32", D, 2**32 - 1, bytes(16)),
        "too_many_entries",
    ),
    "index of D": (
        "int32",
        _message("int32", payload=_int32(3, D)),
        "index_out_of_range",
    ),
    "negative": (
        "int32",
        _message("int32", payload=_int32(-1, 3)),
        "index_out_of_range",
    ),
    "unsorted": ("int32", _message("int32", payload=_int32(5, 3)), "unsorted_indices"),
    "duplicate": ("int32", _message("int32", payload=_int32(5, 5)), "unsorted_indices"),
    "bitmap of another count": (
        "bitmap",
        _message("bitmap", payload=_bits("1" + "0" * (D - 1))),
        "malformed_indices",
    ),
    "bitmap beyond D": (
        "bitmap",
        _message("bitmap", payload=_bits("1" + "0" * (D - 1) + "1")),
        "index_out_of_range",
    ),
    "bitmap cut": (
        "bitmap",
        _message("bitmap", payload=_bits("11" + "0" * (D - 10))),
        "wrong_length",
    ),
    "fixed padding": (
        "fixed",
        _message("fixed", payload=_bits("000000001 000000011 000001")),
        "malformed_indices",
    ),
    "fixed duplicate": (
        "fixed",
        _message("fixed", payload=_bits("000000001 000000001")),
        "unsorted_indices",
    ),
    "no parameter": ("rice", _message("rice"), "malformed_indices"),
    "unknown parameter": (
        "rice",
        _message("rice", payload=bytes([29]) + _bits("11")),
        "malformed_indices",
    ),
    "one index of two": (
        "rice",
        _message("rice", payload=bytes([0]) + _bits("00010000")),
        "malformed_indices",
    ),
    "three indices of two": (
        "rice",
        _message("rice", payload=bytes([0]) + _bits("11000001")),
        "malformed_indices",
    ),
    "a byte of zeros more": (
        "rice",
        _message("rice", payload=bytes([0]) + _bits("11") + b"\0"),
        "malformed_indices",
    ),
    "rice beyond D": (
        "rice",
        # M = 256 has code 27; remainders 1 and 255: gaps 1 and 256 + 255.
        _message(
            "rice", payload=bytes([27]) + _bits("00000001 11111111") + _bits("101")
        ),
        "index_out_of_range",
    ),
    "rice tail too long": (
        "rice",
        _message("rice", payload=bytes([27]) + bytes(2) + _bits("0" * 15 + "11")),
        "wrong_length",
    ),
    "a bit beside the parameter": (
        "rice",
        _message("rice", payload=bytes([128]) + _bits("11")),
        "malformed_indices",
    ),
    "tensor counts": (
        "rice_per_tensor",
        _message(
            "rice_per_tensor",
            payload=_bits(PER_TENSOR_COUNTS.format("0000000", "00000011")) + b"\xc0",
        ),
        "malformed_indices",
    ),
    "beyond a tensor": (
        "rice_per_tensor",
        _message(
            "rice_per_tensor",
            payload=_bits(PER_TENSOR_COUNTS.format("0000000", "00000001"))
            + _bits("0" * 100 + "11"),
        ),
        "index_out_of_range",
    ),
    "side information cut": (
        "rice_per_tensor",
        _message("rice_per_tensor", payload=b"\0\0\0"),
        "wrong_length",
    ),
    "bytes after no indices": (
        "leading",
        _message("leading", payload=b"\0"),
        "wrong_length",
    ),
    "NaN": (
        "int32",
        wire_format.frame(
            "int32", "float32", D, 1, np.array([np.nan], "<f4").tobytes() + _int32(3)
        ),
        "non_finite_value",
    ),
    "infinity": (
        "int32",
        wire_format.frame(
            "int32", "float32", D, 1, np.array([-np.inf], "<f4").tobytes() + _int32(3)
        ),
        "non_finite_value",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(codec, name):
    index, message, reason = REFUSED[name]
    found = codec(index, "float32", D, SIZES).decode(message, 10)
    assert found[2] == reason
    assert len(found[0]) == 0
    assert len(found[1]) == 0
    if name != "huge":  # The oracle has no limit to lengths.
        with pytest.raises(wire_format.MalformedError, match=reason):
            oracle_decode(message, index, "float32", 10)


@pytest.mark.parametrize("value", VALUE_CODES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(codec, value, bad):
    coder = codec("fixed", value, D, SIZES)
    message, _ = coder.encode([1, 2, 3], [1.0, bad, -2.0])
    assert coder.decode(message, D)[2] == "non_finite_value"


@pytest.mark.parametrize("indices", [[], [7], range(0, D, 9), range(0, D, 2)])
def test_every_truncation_and_every_flipped_bit_is_refused(codec, indices):
    coder = codec("auto", "quantised5", D, SIZES)
    message, _ = coder.encode(indices, np.linspace(-3, 3, len(indices)))
    for size in range(len(message)):
        assert coder.decode(message[:size], D)[2] != "accepted"
    for bit in range(8 * len(message)):
        flipped = bytearray(message)
        flipped[bit // 8] ^= 1 << bit % 8
        # The upper half of the first byte is the version, looked at before.
        reason = "unknown_version" if 4 <= bit < 8 else "bad_checksum"
        assert coder.decode(bytes(flipped), D)[2] == reason


def test_max_count_is_inclusive(codec):
    coder = codec("auto", "float32", D, SIZES)
    message, _ = coder.encode([1, 2, 3], [1, 2, 3])
    assert coder.decode(message, 3)[2] == "accepted"
    assert coder.decode(message, 2)[2] == "too_many_entries"
    assert coder.decode(message, -1)[2] != "accepted"
    assert coder.decode(message, 2**31 - 1)[2] == "accepted"


@pytest.mark.parametrize(
    ("index", "value"),
    [*((index, "float32") for index in SINGLE), ("auto", "quantised5")],
)
@hypothesis.given(indices=subsets())
@hypothesis.settings(max_examples=50, deadline=None)
def test_sizes_add_up(codec, index, value, indices):
    indices = suited(index, indices)
    coder = codec(index, value, D, SIZES)
    message, _ = coder.encode(indices, np.ones(len(indices)))
    sizes = coder.encoder.sizes(np.frombuffer(message, np.uint8))
    index_bits, value_bits, overhead_bits = (int(size) for size in sizes)
    count = len(indices)
    assert index_bits == 8 * len(split(message, value, count))
    assert value_bits == 8 * wire_format.value_bytes(value, count)
    assert overhead_bits == 8 * (4 + (1 if count < 256 else 2) + 4)
    assert index_bits + value_bits + overhead_bits == 8 * len(message)


@hypothesis.given(indices=subsets())
@hypothesis.settings(max_examples=60, deadline=None)
def test_auto_is_the_smallest(codec, indices):
    ones = np.ones(len(indices))
    lengths = {
        index: len(codec(index, "float32", D, SIZES).encode(indices, ones)[0])
        for index in (*AUTO, "auto")
        if index != "leading" or np.array_equal(suited(index, indices), indices)
    }
    assert lengths.pop("auto") == min(lengths.values())


@pytest.mark.parametrize("count", [0, 1, 7, D])
def test_auto_sends_no_indices_where_they_lead(codec, count):
    coder = codec("auto", "float32", D, SIZES)
    message, _ = coder.encode(np.arange(count), np.ones(count))
    assert split(message, "float32", count) == b""
    np.testing.assert_array_equal(coder.decode(message, D)[0], np.arange(count))
    if count in (0, D):
        assert float(coder.encoder.estimate_bits(count)) == 8 * len(message)


@pytest.mark.parametrize("indices", [[1], [0, 2], [0, 1, 3], [1, 0], [0, 0]])
def test_other_indices_cannot_be_left_out(codec, indices):
    coder = codec("leading", "float32", D)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"0, 1, \.\.\., n"):
        coder.encode(indices, np.ones(len(indices)))


@pytest.mark.parametrize("index", [*SINGLE, "auto"])
def test_without_indices_the_values_are_the_same(eager_codec, index):
    coder = eager_codec(index, "quantised3", D, SIZES)
    values = np.linspace(-1, 2, 9)
    bare = eager_codec("leading", "quantised3", D)
    vector = sparse_vector.SparseVector(tf.range(9), tf.constant(values, tf.float32))
    encoded = coder.encoder.without_indices().encode(vector, tf.constant([1, 2]))
    message, received = bare.encode(range(9), values)
    assert encoded.message.numpy().tobytes() == message
    np.testing.assert_array_equal(encoded.received, received)
    np.testing.assert_array_equal(received, coder.encode(range(9), values)[1])


def test_auto_without_tensor_sizes_leaves_the_code_per_tensor_out(eager_codec):
    clustered = list(range(100, 108))
    message, _ = eager_codec("auto", "float32", D).encode(clustered, np.ones(8))
    assert message[1] >> 4 != wire_format.INDEX_TAGS["rice_per_tensor"]
    found, _, reason = eager_codec("auto", "float32", D, SIZES).decode(message, D)
    assert reason == "accepted"
    np.testing.assert_array_equal(found, clustered)


@pytest.mark.parametrize(
    "density",
    [0.002, 0.01, 0.03, 0.05, 0.1, 0.2, 0.246, 0.3, 0.33, 0.382, 0.44, 0.5],
)
def test_rice_is_near_the_entropy_and_the_estimate_right(eager_codec, density):
    count = int(PAPER_D * density)
    rng = np.random.default_rng(3)
    indices = np.sort(rng.choice(PAPER_D, count, replace=False))
    coder = eager_codec("rice", "bfloat16", PAPER_D, PAPER_SIZES)
    message, _ = coder.encode(indices, np.ones(count))
    bits = int(coder.encoder.sizes(np.frombuffer(message, np.uint8)).index_bits)
    bound = float(index_code.entropy_bits(count, PAPER_D))
    # No parameter suits densities near 0.382, where M = 1 and M = 2 cost the same.
    worst = 1.045 if 0.31 < density < 0.45 else 1.015
    assert bound < bits < worst * bound
    estimate = float(coder.encoder.estimate_bits(count))
    assert estimate == pytest.approx(8 * len(message), rel=2e-3)


@pytest.mark.parametrize("index", [*SINGLE, "auto"])
def test_estimates_of_all_codes(eager_codec, index):
    coder = eager_codec(index, "quantised4", PAPER_D, PAPER_SIZES)
    rng = np.random.default_rng(4)
    for count in (0, 444, 44_406, 160_000):
        indices = np.sort(rng.choice(PAPER_D, count, replace=False))
        message, _ = coder.encode(suited(index, indices), np.ones(count))
        estimate = coder.encoder.estimate_bits(tf.constant(count))
        assert estimate.dtype == tf.float64
        assert float(estimate) == pytest.approx(8 * len(message), rel=0.01, abs=64)


def test_per_tensor_is_below_the_uniform_entropy_where_tensors_differ(eager_codec):
    # Half of the entries in the last 4% of the coordinates.
    rng = np.random.default_rng(5)
    indices = np.concatenate(
        [
            np.sort(rng.choice(428_128, 2_220, replace=False)),
            428_128 + np.sort(rng.choice(PAPER_D - 428_128, 2_220, replace=False)),
        ]
    )
    coder = eager_codec("rice_per_tensor", "float32", PAPER_D, PAPER_SIZES)
    message, _ = coder.encode(indices, np.ones(4_440))
    sizes = coder.encoder.sizes(np.frombuffer(message, np.uint8))
    assert int(sizes.index_bits) < 0.9 * float(index_code.entropy_bits(4_440, PAPER_D))


def test_entropy_by_hand():
    # log2 C(5, 2) = log2 10; nothing to say about none and all.
    assert float(index_code.entropy_bits(2, 5)) == pytest.approx(np.log2(10))
    assert float(index_code.entropy_bits(0, 5)) == 0
    assert float(index_code.entropy_bits(5, 5)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        (
            ("huffman", "float32"),
            {"dimension": 5},
            "int32, bitmap, .*, found 'huffman'",
        ),
        (("rice", "int8"), {"dimension": 5}, "float32, .*, found 'int8'"),
        (("rice", "float32"), {"dimension": 0}, "from 1 to 33554431, found 0"),
        (("rice", "float32"), {"dimension": 2**25}, "found 33554432"),
        (
            ("rice_per_tensor", "float32"),
            {"dimension": 5},
            "tensor_sizes .* found None",
        ),
        (
            ("auto", "float32"),
            {"dimension": 5, "tensor_sizes": [2, 2]},
            r"sum to the dimension 5, found \[2, 2\]",
        ),
        (("auto", "float32"), {"dimension": 5, "tensor_sizes": [5, 0]}, "positive"),
    ],
)
def test_what_is_wrong_with_an_encoder_is_one_sentence(arguments, options, match):
    with pytest.raises(ValueError, match=match):
        Encoder(*arguments).bind(**options)


def test_tags_are_those_of_the_wire_format():
    for name in (*SINGLE[:-1], "auto"):
        tags = [code.tag for code in INDEX_CODES[name]().alternatives]
        named = AUTO if name == "auto" else (name,)
        assert sorted(tags) == sorted(wire_format.INDEX_TAGS[known] for known in named)
    tags = {name: code.tag for name, code in VALUE_CODES.items()}
    own = {"none", "magnitude"}  # of methods, so that no name leads to them
    assert tags == {n: t for n, t in wire_format.VALUE_TAGS.items() if n not in own}


@pytest.mark.parametrize(
    ("codes", "base"), [(INDEX_CODES, RiceCode), (VALUE_CODES, TernaryCode)]
)
@pytest.mark.parametrize(
    ("tag", "found"), [(3, "3, the tag of"), (12, "12"), (16, "16"), ("a", "'a'")]
)
def test_a_code_of_ones_own_needs_a_tag_that_is_free(codes, base, tag, found):
    code = type("Own", (base,), {"tag": tag})
    with pytest.raises(ValueError, match=rf"free \(14, 15\), found {found}"):
        codes.register("own", code)
    assert "own" not in codes


def test_no_two_codes_have_one_tag():
    own = registry.CodeRegistry("value code", value_code.ValueCode, {})
    own.register("first", type("First", (TernaryCode,), {"tag": 14}))
    with pytest.raises(ValueError, match=r"free \(15\), found 14, the tag of first\.$"):
        own.register("second", type("Second", (TernaryCode,), {"tag": 14}))


def test_codes_by_name_import_no_tensorflow():
    program = (
        "import sys; from tff_gs.encoders import Encoder, INDEX_CODES, VALUE_CODES;"
        "Encoder('rice', 'float32'); VALUE_CODES.build('quantised3');"
        "assert 'tensorflow' not in sys.modules; print(len(INDEX_CODES.summaries))"
    )
    assert fresh_python.printed(program).strip() == "6"
