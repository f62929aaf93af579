"""The wire format of docs/wire_format.md in plain Python, bit by bit.

It shares no code with `tff_gs.encoders`, and takes the shortest way to each
definition: bits are strings of "0" and "1".
"""

import itertools
import math

import numpy as np

from tests.oracles import farmhash

INDEX_TAGS = {
    "int32": 0,
    "bitmap": 1,
    "fixed": 2,
    "rice": 3,
    "rice_per_tensor": 4,
    "leading": 5,
    "ranked": 6,
}
VALUE_TAGS = {
    "float32": 0,
    "bfloat16": 1,
    "float16": 2,
    "ternary": 3,
    **{f"quantised{b}": 3 + b for b in range(1, 9)},
    "none": 12,
    "magnitude": 13,
}


class MalformedError(Exception):
    """The bytes are no message; the text is the reason's name."""


def require(condition, reason):
    if not condition:
        raise MalformedError(reason)


def bits_of(data):
    return "".join(f"{byte:08b}" for byte in data)


def bytes_of(bits):
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def checksum(data):
    return (farmhash.fingerprint64(data) % 2**32).to_bytes(4, "little")


def golomb_parameter(code):
    e, f = divmod(code + 1, 4)
    return f if e == 0 else (4 + f) * 2 ** (e - 1)


def golomb_write(gaps, divisors):
    """The fixed plane and the tail of `gaps`, each with its M, as bits."""
    fixed, unary, extra = "", "", ""
    for gap, m in zip(gaps, divisors, strict=True):
        w = int(math.log2(m))
        u = 2 ** (w + 1) - m
        q, r = divmod(int(gap), int(m))
        unary += "0" * q + "1"
        if r < u:
            f = r
        else:
            f = (r + u) // 2
            extra += str((r + u) % 2)
        fixed += f"{f:0{w}b}" if w else ""
    return bytes_of(fixed) + bytes_of(unary + extra)


def golomb_read(data, divisors, max_quotients):
    """The gaps in `data`, of as many as there are `divisors`."""
    widths = [int(m).bit_length() - 1 for m in divisors]
    fixed_bytes = (sum(widths) + 7) // 8
    require(len(data) >= fixed_bytes, "wrong_length")
    longest = (max_quotients + 2 * len(divisors) + 7) // 8
    require(len(data) - fixed_bytes <= longest, "wrong_length")
    bits = bits_of(data[:fixed_bytes])
    tail = bits_of(data[fixed_bytes:])
    numbers, at = [], 0
    for w in widths:
        numbers.append(int("0" + bits[at : at + w], 2))
        at += w
    require("1" not in bits[at:], "malformed_indices")
    quotients, at = [], 0
    for _ in divisors:
        one = tail.find("1", at)
        require(one >= 0, "malformed_indices")
        quotients.append(one - at)
        at = one + 1
    gaps = []
    for m, w, f, q in zip(divisors, widths, numbers, quotients, strict=True):
        u = 2 ** (w + 1) - m
        if f < u:
            r = f
        else:
            require(at < len(tail), "malformed_indices")
            r = 2 * f + int(tail[at]) - u
            at += 1
        gaps.append(q * m + r)
    require(len(tail) - at < 8 and "1" not in tail[at:], "malformed_indices")
    return gaps


def indices_of(gaps):
    indices, after = [], 0
    for gap in gaps:
        indices.append(after + int(gap))
        after = indices[-1] + 1
    return indices


def gaps_of(indices):
    return [b - a - 1 for a, b in zip([-1, *indices], indices, strict=False)]


def read_indices(code, data, count, dimension, sizes):
    if code == "int32":
        require(len(data) == 4 * count, "wrong_length")
        indices = np.frombuffer(data, "<i4").tolist()
    elif code == "bitmap":
        require(len(data) == (dimension + 7) // 8, "wrong_length")
        indices = [j for j, bit in enumerate(bits_of(data)) if bit == "1"]
        require(all(j < dimension for j in indices), "index_out_of_range")
        require(len(indices) == count, "malformed_indices")
    elif code in ("fixed", "ranked"):
        width = math.ceil(math.log2(dimension))
        require(len(data) == (count * width + 7) // 8, "wrong_length")
        bits = bits_of(data)
        require("1" not in bits[count * width :], "malformed_indices")
        indices = [
            int("0" + bits[i * width : (i + 1) * width], 2) for i in range(count)
        ]
    elif code == "leading":
        require(not data, "wrong_length")
        indices = list(range(count))
    elif code == "rice":
        indices = read_rice(data, count, dimension)
    else:
        indices = read_rice_per_tensor(data, count, dimension, sizes)
    require(all(0 <= j < dimension for j in indices), "index_out_of_range")
    in_order = sorted(indices) if code == "ranked" else indices
    require(
        all(a < b for a, b in itertools.pairwise(in_order)),
        "unsorted_indices",
    )
    return indices


def read_rice(data, count, dimension):
    require(len(data) >= 1, "malformed_indices")
    require(data[0] < 128, "malformed_indices")
    m = golomb_parameter(data[0])
    require(m <= dimension, "malformed_indices")
    return indices_of(golomb_read(data[1:], [m] * count, dimension // m))


def read_rice_per_tensor(data, count, dimension, sizes):
    widths = [w for s in sizes for w in (int(math.log2(s)) + 1, 7)]
    num_bytes = (sum(widths) + 7) // 8
    require(len(data) >= num_bytes, "wrong_length")
    bits, fields, at = bits_of(data[:num_bytes]), [], 0
    for width in widths:
        fields.append(int(bits[at : at + width], 2))
        at += width
    require("1" not in bits[at:], "malformed_indices")
    counts, codes = fields[::2], fields[1::2]
    divisors = [golomb_parameter(code) for code in codes]
    require(
        all(c <= s for c, s in zip(counts, sizes, strict=True)), "malformed_indices"
    )
    require(all(m <= max(sizes) for m in divisors), "malformed_indices")
    require(sum(counts) == count, "malformed_indices")
    gaps = golomb_read(
        data[num_bytes:],
        [m for m, c in zip(divisors, counts, strict=True) for _ in range(c)],
        sum(s // m for s, m in zip(sizes, divisors, strict=True)),
    )
    indices, start = [], 0
    for size, number in zip(sizes, counts, strict=True):
        inside = indices_of(gaps[:number])
        require(all(j < size for j in inside), "index_out_of_range")
        indices += [start + j for j in inside]
        gaps = gaps[number:]
        start += size
    return indices


def value_bytes(code, count):
    if code == "float32":
        return 4 * count
    if code in ("bfloat16", "float16"):
        return 2 * count
    if code == "none":
        return 0
    if code == "magnitude":
        return 4 + (count + 63 + 7) // 8
    return 4 + (count * (1 if code == "ternary" else int(code[-1])) + 7) // 8


def read_values(code, data, count):
    if code == "float32":
        return np.frombuffer(data, "<f4")
    if code == "float16":
        return np.frombuffer(data, "<f2").astype(np.float32)
    if code == "bfloat16":
        upper = np.frombuffer(data, "<u2").astype(np.uint32)
        return (upper << 16).view(np.float32)
    if code == "none":
        return np.zeros(count, "f4")
    scale = np.frombuffer(data[:4], "<f4")[0]
    bits = bits_of(data[4:])
    if code == "magnitude":
        return read_magnitudes(scale, bits, count)
    if code == "ternary":
        return np.array([-scale if bit == "1" else scale for bit in bits[:count]], "f4")
    width = int(code[-1])
    steps = 2**width - 1
    levels = [int(bits[i * width : (i + 1) * width], 2) for i in range(count)]
    with np.errstate(invalid="ignore"):
        return np.array(
            [np.float32((2 * level - steps) / steps) * scale for level in levels], "f4"
        )


def read_magnitudes(first, bits, count):
    """Falling magnitudes: zeros for the steps down, and a one for each."""
    if not count:
        return np.zeros(0, np.float32)
    levels = [i - number for number, i in enumerate(_ones(bits))]
    require(len(levels) == count and not np.signbit(first), "non_finite_value")
    require(all(level <= 63 for level in levels), "non_finite_value")
    return np.array(
        [first * np.float32(2 ** (-level / 8)) for level in levels], np.float32
    )


def _ones(bits):
    return [i for i, bit in enumerate(bits) if bit == "1"]


def write_magnitudes(values):
    """The payload of falling magnitudes, at least one of them."""
    bits, before = "", 0
    for value in values:
        steps = 8 * math.log2(values[0] / value) if value else 63
        level = min(round(steps), 63)
        bits += "0" * (level - before) + "1"
        before = level
    bits += "0" * (len(values) + 63 - len(bits))
    return np.float32(values[0]).tobytes() + bytes_of(bits)


def write_values(code, values):
    """The payload of a code that does not draw random numbers."""
    values = np.asarray(values, "<f4")
    if code == "float32":
        return values.tobytes()
    if code == "float16":
        return np.clip(values, -65504, 65504).astype("<f2").tobytes()
    if code == "ternary":
        mean = np.abs(values.astype(np.float64)).mean() if len(values) else 0.0
        signs = "".join("1" if v < 0 else "0" for v in values)
        return np.float32(mean).tobytes() + bytes_of(signs)
    raise ValueError(code)


def write_indices(code, indices, dimension, sizes=None, parameters=0):
    """The payload; Golomb codes use the parameter codes given, one or one a tensor."""
    if code == "int32":
        return np.array(indices, "<i4").tobytes()
    if code == "bitmap":
        chosen = set(indices)
        return bytes_of("".join("01"[j in chosen] for j in range(dimension)))
    if code == "fixed":
        width = math.ceil(math.log2(dimension))
        return bytes_of("".join(f"{j:0{width}b}" for j in indices if width))
    if code == "leading":
        return b""
    if code == "rice":
        m = golomb_parameter(parameters)
        gaps = gaps_of(indices)
        return bytes([parameters]) + golomb_write(gaps, [m] * len(gaps))
    fields, gaps, divisors, start = "", [], [], 0
    for size, parameter in zip(sizes, parameters, strict=True):
        inside = [j - start for j in indices if start <= j < start + size]
        fields += f"{len(inside):0{int(math.log2(size)) + 1}b}{parameter:07b}"
        gaps += gaps_of(inside)
        divisors += [golomb_parameter(parameter)] * len(inside)
        start += size
    return bytes_of(fields) + golomb_write(gaps, divisors)


def frame(index, value, dimension, count, payload, *, version=2, tags=None):
    """A message around `payload`, the values' and the indices' bytes."""
    width = (dimension.bit_length() + 7) // 8
    count_width = max((count.bit_length() + 7) // 8, 1)
    tags = 16 * INDEX_TAGS[index] + VALUE_TAGS[value] if tags is None else tags
    body = (
        bytes([128 + 16 * version + 4 * (width - 1) + count_width - 1, tags])
        + dimension.to_bytes(width, "little")
        + count.to_bytes(count_width, "little")
        + payload
    )
    return body + checksum(body)


def decode(message, *, index_codes, value, dimension, max_count, sizes=None):
    """The indices and values in `message`.

    Args:
      message: bytes.
      index_codes: Names of the index codes that are expected.
      value: Name of the value code that is expected.
      dimension: D.
      max_count: The most entries that are accepted.
      sizes: The tensors' sizes.

    Raises:
      MalformedError: If it is no message.
    """
    width = (dimension.bit_length() + 7) // 8
    require(len(message) >= 2 + width + 1 + 4, "wrong_length")
    body = message[:-4]
    start = body[0]
    require(start >> 4 == 0b1010, "unknown_version")
    require(checksum(body) == message[-4:], "bad_checksum")
    same = (start >> 2) % 4 + 1 == width
    same = same and int.from_bytes(body[2 : 2 + width], "little") == dimension
    require(same, "dimension_mismatch")
    names = {INDEX_TAGS[name]: name for name in index_codes}
    expected = body[1] >> 4 in names and body[1] % 16 == VALUE_TAGS[value]
    require(expected, "unknown_code")
    end = 2 + width + start % 4 + 1
    # Of a count that is cut off, what is missing is in the checksum's place.
    count = int.from_bytes(message[2 + width : end], "little")
    require(count <= min(max_count, dimension), "too_many_entries")
    values_end = end + value_bytes(value, count)
    require(len(body) >= values_end, "wrong_length")
    indices = read_indices(
        names[body[1] >> 4], body[values_end:], count, dimension, sizes
    )
    values = read_values(value, body[end:values_end], count)
    require(np.isfinite(values).all(), "non_finite_value")
    return np.array(indices, np.int32), values
