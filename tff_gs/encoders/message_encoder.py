"""Messages: a header, values, indices and a checksum; one encoder for all codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

from typing_extensions import override

from tff_gs import sparse_vector
from tff_gs._tensorflow import tf
from tff_gs.encoders import (
    _bit_packing,
    _leading_code,
    _magnitude_code,
    _no_values_code,
    _ranked_code,
    codec,
    index_code,
    names,
    value_code,
)

#: The largest D. Bit positions are int32, and an index fits into 25 bits.
MAX_DIMENSION = 2**_bit_packing.MAX_FIELD_BITS - 1

_MAGIC = 0x80
_VERSION = 2
_CHECKSUM_BYTES = 4
# What the first 1 to 4 bytes of a little-endian number hold.
_MASKS = (0xFF, 0xFFFF, 0xFFFFFF, -1)


class _Header(NamedTuple):
    """A message's first bytes.

    Attributes:
      start: int32 [2 + W], the bytes before the count.
      count: int32 scalar, how many entries there are.
      num_bytes: int32 scalar, the length of the header.
    """

    start: tf.Tensor
    count: tf.Tensor
    num_bytes: tf.Tensor


class MessageEncoder(codec.Codec):
    """An index code times a value code.

    A message is (docs/wire_format.md has it to the bit):

    - 1 byte: 0x80 + 16 times the version, which is 2, + 4 (W - 1) + (C - 1), where
      W and C are how many bytes D and the count take;
    - 1 byte: 16 times the index code's tag, plus the value code's tag;
    - W bytes: D; C bytes: how many entries there are; both little-endian;
    - the value code's payload, whose length follows from the count;
    - the index code's payload;
    - 4 bytes: the checksum of all before.

    A receiver decodes the codes that it was built for, and no others: with "auto"
    all that "auto" may choose. It agreed on the codes with the sender, and a
    server that trusts no message need not offer more.
    """

    def __init__(
        self,
        index_codes: Sequence[index_code.IndexCode],
        value: value_code.ValueCode,
        *,
        dimension: int,
    ) -> None:
        """Initializes the encoder; see `Encoder.bind` for one by names.

        Args:
          index_codes: One, or several: then the smallest for each message is
            taken, of equal ones the first.
          value: The value code.
          dimension: D in [1, MAX_DIMENSION], which all codes are bound to.
        """
        self._index_codes = tuple(index_codes)
        self._value_code = value
        self._dimension = dimension
        self._width = (dimension.bit_length() + 7) // 8
        self._count_start = 2 + self._width
        self._start = _MAGIC + 16 * _VERSION + 4 * (self._width - 1)
        self._shortest = self._count_start + 1 + _CHECKSUM_BYTES

    @classmethod
    def of_ballots(cls, dimension: int) -> Self:
        """The encoder of an election's ballots.

        Indices come in the order of rank, each once; magnitudes fall, and are short.

        Args:
          dimension: D.
        """
        code = _ranked_code.RankedCode().bind(dimension=dimension)
        return cls([code], _magnitude_code.MagnitudeCode(), dimension=dimension)

    @override
    def encode(
        self, vector: sparse_vector.SparseVector, seed: tf.Tensor
    ) -> codec.Encoded:
        indices = vector.indices
        tag, index_payload = self._write_indices(indices)
        values = self._value_code.write(vector.values, seed)
        count = tf.size(indices)
        count_width = tf.reduce_sum(tf.cast(count > [-1, *_MASKS[:-1]], tf.int32))
        start = tf.cast(self._start + count_width - 1, tf.uint8)
        dimension = list(self._dimension.to_bytes(self._width, "little"))
        codes = tf.cast(16 * tag + self._value_code.tag, tf.uint8)
        body = tf.concat(
            [
                start[tf.newaxis],
                codes[tf.newaxis],
                tf.constant(dimension, tf.uint8),
                tf.bitcast(count, tf.uint8)[:count_width],
                values.payload,
                index_payload,
            ],
            0,
        )
        message = tf.concat([body, checksum(body)], 0)
        return codec.Encoded(message, values.received)

    @override
    def decode(self, message: tf.Tensor, max_count: tf.Tensor) -> codec.Decoded:
        error, header, code = self._check(message, max_count)
        vector, error = tf.cond(
            tf.equal(error, names.ACCEPTED),
            lambda: self._read(message, header, code),
            lambda: (_empty(), error),
        )
        return codec.Decoded(vector, error)

    @override
    def max_bytes(self) -> tf.Tensor:
        return self._longest(tf.constant(self._dimension))

    @override
    def estimate_bits(self, count: tf.Tensor) -> tf.Tensor:
        integral = tf.cast(tf.math.ceil(tf.cast(count, tf.float64)), tf.int32)
        count = tf.cast(count, tf.float64)
        index_bits = self._estimate_index_bits(count)
        value_bytes = tf.cast(self._value_code.num_bytes(integral), tf.float64)
        count_bytes = tf.reduce_sum(tf.cast(integral > _MASKS[:-1], tf.float64))
        return index_bits + 8 * (value_bytes + self._shortest + count_bytes)

    @override
    def sizes(self, message: tf.Tensor) -> codec.Sizes:
        message = tf.convert_to_tensor(message)
        header = self._read_header(message)
        frame_bytes = header.num_bytes + _CHECKSUM_BYTES
        value_bytes = self._value_code.num_bytes(header.count)
        index_bytes = tf.size(message) - frame_bytes - value_bytes
        return codec.Sizes(
            8 * tf.cast(index_bytes, tf.int64),
            8 * tf.cast(value_bytes, tf.int64),
            8 * tf.cast(frame_bytes, tf.int64),
        )

    @override
    def without_indices(self) -> MessageEncoder:
        return MessageEncoder(
            [_leading_code.LeadingCode().bind(dimension=self._dimension)],
            self._value_code,
            dimension=self._dimension,
        )

    @override
    def without_values(self) -> MessageEncoder:
        return MessageEncoder(
            self._index_codes, _no_values_code.NoValuesCode(), dimension=self._dimension
        )

    def _longest(self, count: tf.Tensor) -> tf.Tensor:
        """No message of up to `count` entries is longer; bytes, int32 scalar."""
        index_bytes = [code.max_bytes(count) for code in self._index_codes]
        value_bytes = self._value_code.num_bytes(count)
        frame_bytes = self._shortest + len(_MASKS)
        return frame_bytes + value_bytes + tf.reduce_max(index_bytes)

    def _estimate_index_bits(self, count: tf.Tensor) -> tf.Tensor:
        """Expected float64 bits of `count` (float64 scalar) random indices."""
        estimates = []
        for code in self._index_codes:
            bits = code.estimate_bits(count)
            if not code.writes_any and len(self._index_codes) > 1:
                # As good as no random list is one that it can write, but these two.
                trivial = tf.equal(count, 0) | tf.equal(count, self._dimension)
                bits = tf.where(trivial, bits, tf.float64.max)
            estimates.append(bits)
        return tf.reduce_min(tf.stack(estimates))

    def _write_indices(self, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The tag of the code that suits `indices` best, and its payload."""
        plans = [code.plan(indices) for code in self._index_codes]
        tags = [code.tag for code in self._index_codes]
        if len(plans) == 1:
            return tf.constant(tags[0]), self._index_codes[0].write(indices, plans[0])
        smallest = tf.argmin(
            tf.stack([plan.num_bytes for plan in plans]), output_type=tf.int32
        )
        branches = [
            lambda code=code, plan=plan: code.write(indices, plan)
            for code, plan in zip(self._index_codes, plans, strict=True)
        ]
        return tf.gather(tags, smallest), tf.switch_case(smallest, branches)

    def _read_header(self, message: tf.Tensor) -> _Header:
        """The header of `message`, or of any bytes as if they were one."""
        end = self._count_start + 4
        start = tf.cast(tf.pad(message[:end], [[0, end]])[:end], tf.int32)
        count_bytes = tf.cast(start[self._count_start :], tf.uint8)
        count = tf.bitcast(tf.reshape(count_bytes, [4]), tf.int32)
        count_width = tf.bitwise.bitwise_and(start[0], 3)
        count = tf.bitwise.bitwise_and(count, tf.gather(_MASKS, count_width))
        return _Header(
            start[: self._count_start], count, self._count_start + 1 + count_width
        )

    def _check(
        self, message: tf.Tensor, max_count: tf.Tensor
    ) -> tuple[tf.Tensor, _Header, tf.Tensor]:
        """Checks all but the payloads.

        Returns:
          The error number; the header, with a count in [0, max_count] if there
          was no error; the position of the index code in `_index_codes`.
        """
        limit = tf.clip_by_value(tf.cast(max_count, tf.int32), 0, self._dimension)
        size = tf.size(message)
        not_short, not_long = size >= self._shortest, size <= self._longest(limit)
        right_size = not_short & not_long
        header = self._read_header(message)
        allowed = (header.count >= 0) & (header.count <= limit)
        # What has no possible size is not looked at, however large.
        body_size = tf.where(right_size, size - _CHECKSUM_BYTES, 0)
        right_checksum = _has_checksum(
            message[: tf.where(right_size, size, 0)], body_size
        )
        expected = tf.equal(
            header.start[1],
            [16 * code.tag + self._value_code.tag for code in self._index_codes],
        )
        value_bytes = self._value_code.num_bytes(tf.where(allowed, header.count, 0))
        holds_values = body_size - header.num_bytes >= value_bytes
        error = _first_failed(
            [
                (not_short, names.WRONG_LENGTH),
                # Of another version nothing else is known, not even its checksum.
                (_is_of_this_version(header), names.UNKNOWN_VERSION),
                # Too long to be looked at, and it says itself why.
                (not_long | allowed, names.TOO_MANY_ENTRIES),
                (not_long, names.WRONG_LENGTH),
                (right_checksum, names.BAD_CHECKSUM),
                (self._has_dimension(header), names.DIMENSION_MISMATCH),
                (tf.reduce_any(expected), names.UNKNOWN_CODE),
                (allowed, names.TOO_MANY_ENTRIES),
                (holds_values, names.WRONG_LENGTH),
            ]
        )
        code = tf.argmax(tf.cast(expected, tf.int32), output_type=tf.int32)
        return error, header, code

    def _has_dimension(self, header: _Header) -> tf.Tensor:
        """Whether a message is of vectors of D entries, bool scalar."""
        dimension = list(self._dimension.to_bytes(self._width, "little"))
        width = tf.bitwise.bitwise_and(header.start[0], 0x0C)
        return tf.equal(width, 4 * (self._width - 1)) & tf.reduce_all(
            tf.equal(header.start[2:], dimension)
        )

    def _read(
        self, message: tf.Tensor, header: _Header, code: tf.Tensor
    ) -> tuple[sparse_vector.SparseVector, tf.Tensor]:
        """Reads and checks the payloads of a message that passed `_check`."""
        count = header.count
        values_end = header.num_bytes + self._value_code.num_bytes(count)
        values = self._value_code.read(message[header.num_bytes : values_end], count)
        payload = message[values_end:-_CHECKSUM_BYTES]
        readers = [
            lambda code=code: tuple(code.read(payload, count))
            for code in self._index_codes
        ]
        indices, error = (
            readers[0]() if len(readers) == 1 else tf.switch_case(code, readers)
        )
        finite = tf.reduce_all(tf.math.is_finite(values))
        error = tf.where(
            tf.equal(error, names.ACCEPTED) & ~finite, names.NON_FINITE_VALUE, error
        )
        kept = tf.where(tf.equal(error, names.ACCEPTED), count, 0)
        return sparse_vector.SparseVector(indices[:kept], values[:kept]), error


def _empty() -> sparse_vector.SparseVector:
    return sparse_vector.SparseVector(
        tf.zeros([0], tf.int32), tf.zeros([0], tf.float32)
    )


def checksum(message: tf.Tensor) -> tf.Tensor:
    """The lowest 32 bits of FarmHash's Fingerprint64 of `message`, little-endian.

    A fingerprint of that family is the same on every machine and in every version
    (https://github.com/google/farmhash). It misses damage in one case of 2**32, and is
    no protection against somebody who wants to deceive.

    Args:
      message: uint8 [n].

    Returns:
      uint8 [4].
    """
    # A batch of one: the fingerprint is of each entry of the first axis.
    return tf.fingerprint(message[tf.newaxis])[0, :4]


def _has_checksum(message: tf.Tensor, body_size: tf.Tensor) -> tf.Tensor:
    """Whether the bytes after the body (int32 scalar) are its checksum, bool scalar."""
    padded = tf.pad(message, [[0, _CHECKSUM_BYTES]])
    found = padded[body_size : body_size + _CHECKSUM_BYTES]
    return tf.reduce_all(tf.equal(found, checksum(padded[:body_size])))


def _is_of_this_version(header: _Header) -> tf.Tensor:
    version = tf.bitwise.bitwise_and(header.start[0], 0xF0)
    return tf.equal(version, _MAGIC + 16 * _VERSION)


def _first_failed(checks: Sequence[tuple[tf.Tensor, int]]) -> tf.Tensor:
    """The error number of the first check that is false; `ACCEPTED` if none is.

    Args:
      checks: Bool scalars, each with the error number that it stands for.
    """
    passed, errors = zip(*checks, strict=True)
    passed = tf.stack(passed)
    first_failed = tf.argmin(tf.cast(passed, tf.int32))
    return tf.where(
        tf.reduce_all(passed), names.ACCEPTED, tf.gather(errors, first_failed)
    )
