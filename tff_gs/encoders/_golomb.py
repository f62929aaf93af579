"""Golomb codes of index gaps, written as planes that vector operations can read.

Golomb, "Run-length encodings", IEEE Transactions on Information Theory 12, 1966; with a
power of two for the parameter M it is Rice's code (Rice and Plaunt, 1971). A gap
g = q M + r is the quotient q in unary and the remainder r in truncated binary:
with w = floor(log2 M) and u = 2**(w + 1) - M, r in w bits if r < u, else
r + u in w + 1 bits.

Codewords one after the other can only be read one after the other. So the parts
are kept apart, and the place of each is known from the parts before it:

1. the fixed plane: for each gap w bits, those of r, or the upper w bits of r + u;
2. the tail: the unary plane (for each gap q zeros and a one), then the extra
   plane (for each gap with r >= u the lowest bit of r + u).

Each of the two is padded with zero bits to a whole byte; padding is checked.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tff_gs._tensorflow import tf
from tff_gs.encoders import _bit_packing, names

# Codes that are tried, from the one that suits uniformly random indices: more below,
# because clustered indices have many short gaps.
_TRIED = np.array([-6, -4, -3, -2, -1, 0, 1], np.int32)


def parameters(limit: int) -> np.ndarray:
    """The parameters M by their codes 0, 1, 2, ...: 1, 2, 3, 4, 5, 6, 7, 8, 10, ...

    They are all numbers of at most three significant bits: steps of a quarter of
    an octave and less, of which the best costs less than 0.1% more than the best M.

    Args:
      limit: The largest M that is wanted.

    Returns:
      int32 [codes]; code c has M = c + 1 below 8, then (4 + f) 2**(e - 1) with
      c + 1 = 4 e + f.
    """
    found: list[int] = []
    while True:
        octave, fraction = divmod(len(found) + 1, 4)
        parameter = fraction if octave == 0 else (4 + fraction) << (octave - 1)
        if parameter > limit:
            return np.array(found, np.int32)
        found.append(parameter)


class Parameter(NamedTuple):
    """A parameter M of the code, or one for each gap; int32, all of one shape.

    Attributes:
      divisor: M.
      width: w = floor(log2 M).
      cut: u = 2**(w + 1) - M; remainders from here on have an extra bit.
    """

    divisor: tf.Tensor
    width: tf.Tensor
    cut: tf.Tensor


class Planes(NamedTuple):
    """Gaps, taken apart; everything that `write` needs.

    Attributes:
      fixed: int32 [n], numbers of the fixed plane.
      offsets: int32 [n], where these begin in it, in bits.
      widths: int32 [n] or scalar, how many bits each has.
      ones: int32 [n], positions of the ones of the unary plane.
      extra: int32 [n], positions of the ones of the extra plane in the tail, or
        -1 if a gap has none.
      fixed_bytes: int32 scalar, the length of the fixed plane.
      tail_bytes: int32 scalar, the length of the tail.
    """

    fixed: tf.Tensor
    offsets: tf.Tensor
    widths: tf.Tensor
    ones: tf.Tensor
    extra: tf.Tensor
    fixed_bytes: tf.Tensor
    tail_bytes: tf.Tensor


class Gaps(NamedTuple):
    """What `read` found.

    Attributes:
      gaps: int64 [count], or empty if `error` is not 0.
      error: int32 scalar, an error number (see `names.ERRORS`).
    """

    gaps: tf.Tensor
    error: tf.Tensor


class Golomb:
    """The code for gaps of indices below `limit`."""

    def __init__(self, limit: int) -> None:
        self._divisors = parameters(max(limit, 1))
        self._widths = np.array(
            [int(m).bit_length() - 1 for m in self._divisors], np.int32
        )
        self._cuts = (2 << self._widths) - self._divisors

    @property
    def num_codes(self) -> int:
        """Parameters have the codes 0 to `num_codes` - 1."""
        return len(self._divisors)

    def parameter(self, code: tf.Tensor) -> Parameter:
        """The parameter with `code`, int32 of any shape, below `num_codes`."""
        return Parameter(
            tf.gather(self._divisors, code),
            tf.gather(self._widths, code),
            tf.gather(self._cuts, code),
        )

    def choose(
        self, gaps: tf.Tensor, segments: tf.Tensor | None = None, num_segments: int = 1
    ) -> tf.Tensor:
        """The codes of the parameters that make the gaps of each segment cheapest.

        Tried are the one that suits indices spread at random, M near ln 2 times the
        mean gap, the next above and some below, by what all gaps cost with them.

        Args:
          gaps: int32 [n].
          segments: int32 [n], which segment each gap is of; None: all are of one.
          num_segments: How many segments there are, each with its own parameter.

        Returns:
          int32 [num_segments].
        """
        numbers = tf.cast(gaps, tf.float32)
        if segments is None:
            counts = tf.cast(tf.shape(gaps), tf.float32)
            totals = tf.reduce_sum(numbers, keepdims=True)
        else:
            counts = tf.math.unsorted_segment_sum(
                tf.ones_like(numbers), segments, num_segments
            )
            totals = tf.math.unsorted_segment_sum(numbers, segments, num_segments)
        usual = tf.searchsorted(
            self._divisors.astype(np.float32),
            math.log(2) * (tf.math.divide_no_nan(totals, counts) + 0.5),
        )
        tried = tf.clip_by_value(
            usual[:, tf.newaxis] + _TRIED, 0, len(self._divisors) - 1
        )
        # The quotient and the extra bit of a gap g are floor((g + M - u) / M) bits;
        # 1/2 more guards exact quotients against rounding.
        factors = tf.gather((1 / self._divisors).astype(np.float32), tried)
        shifts = 1 - tf.gather((self._cuts - 0.5).astype(np.float32), tried) * factors
        if segments is None:
            # Long rows, which are summed faster than short ones.
            lengths = tf.floor(numbers * tf.transpose(factors) + tf.transpose(shifts))
            lengths = tf.reduce_sum(lengths, axis=1)[tf.newaxis]
        else:
            lengths = tf.floor(
                numbers[:, tf.newaxis] * tf.gather(factors, segments)
                + tf.gather(shifts, segments)
            )
            lengths = tf.math.unsorted_segment_sum(lengths, segments, num_segments)
        widths = tf.gather(self._widths.astype(np.float32), tried)
        costs = lengths + counts[:, tf.newaxis] * widths
        best = tf.argmin(costs, axis=1, output_type=tf.int32)
        return tf.gather(tried, best, batch_dims=1)

    def split(self, gaps: tf.Tensor, parameter: Parameter) -> Planes:
        """Takes `gaps`, int32 [n], apart; `parameter` is one, or one for each."""
        quotients = gaps // parameter.divisor
        remainders = gaps - quotients * parameter.divisor
        has_extra = remainders >= parameter.cut
        raised = remainders + parameter.cut
        fixed = tf.where(has_extra, tf.bitwise.right_shift(raised, 1), remainders)
        offsets, fixed_bits = _offsets(parameter.width, tf.size(gaps))
        ones = tf.cumsum(quotients + 1) - 1
        unary_bits = _last(ones) + 1
        extra_ends = tf.cumsum(tf.cast(has_extra, tf.int32))
        is_one = has_extra & tf.equal(tf.bitwise.bitwise_and(raised, 1), 1)
        extra = tf.where(is_one, unary_bits + extra_ends - 1, -1)
        tail_bits = unary_bits + _last(extra_ends, empty=0)
        return Planes(
            fixed,
            offsets,
            parameter.width,
            ones,
            extra,
            _bit_packing.bytes_for(fixed_bits),
            _bit_packing.bytes_for(tail_bits),
        )

    def write(self, planes: Planes) -> tf.Tensor:
        """The bytes, uint8 [planes.fixed_bytes + planes.tail_bytes]."""
        fixed = _bit_packing.write_fields(
            planes.fixed, planes.offsets, planes.widths, planes.fixed_bytes
        )
        tail = _bit_packing.set_bits(
            tf.concat([planes.ones, planes.extra], 0), planes.tail_bytes
        )
        return tf.concat([fixed, tail], 0)

    def read(
        self,
        payload: tf.Tensor,
        count: tf.Tensor,
        parameter: Parameter,
        max_quotients: tf.Tensor,
    ) -> Gaps:
        """Reads what `write` wrote; never raises on malformed bytes.

        Args:
          payload: uint8 [bytes].
          count: int32 scalar, how many gaps there are.
          parameter: One, or one for each gap.
          max_quotients: int32 scalar, what the quotients sum to at most. It bounds
            what is read, and so what a malformed message can make allocate.
        """
        offsets, fixed_bits = _offsets(parameter.width, count)
        fixed_bytes = _bit_packing.bytes_for(fixed_bits)
        tail_bytes = tf.size(payload) - fixed_bytes
        fits = (tail_bytes >= 0) & (
            tail_bytes <= _bit_packing.bytes_for(max_quotients + 2 * count)
        )
        # A payload of impossible length is replaced by one without gaps.
        keep = tf.where(fits, count, 0)
        fixed_plane = payload[: tf.where(fits, fixed_bytes, 0)]
        bits = _bit_packing.unpack_bits(
            payload[tf.where(fits, fixed_bytes, tf.size(payload)) :]
        )
        widths, cuts, divisors = (
            values[:keep] if values.shape.rank else values
            for values in (parameter.width, parameter.cut, parameter.divisor)
        )
        fixed = _bit_packing.read_fields(fixed_plane, offsets[:keep], widths)
        quotients, extra_bits, well_formed = _read_tail(bits, keep, fixed >= cuts)
        remainders = tf.where(fixed >= cuts, 2 * fixed + extra_bits - cuts, fixed)
        gaps = tf.cast(quotients, tf.int64) * tf.cast(divisors, tf.int64) + tf.cast(
            remainders, tf.int64
        )
        well_formed &= _bit_packing.zero_padded(fixed_plane, fixed_bits)
        error = tf.where(
            fits,
            tf.where(well_formed, names.ACCEPTED, names.MALFORMED_INDICES),
            names.WRONG_LENGTH,
        )
        return Gaps(gaps[: tf.where(fits & well_formed, keep, 0)], error)

    def estimate_bits(self, count: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
        """Expected bits for a random subset, with the parameter that suits it best.

        Gaps of a uniformly random subset are nearly geometric with density
        p = count / size, which gives the expected quotient and extra bits.

        Args:
          count: float64 [...], how many indices.
          size: float64 [...], below which.

        Returns:
          float64 [...], without padding.
        """
        density = tf.clip_by_value(count / size, 1e-12, 1.0)
        log_zero = tf.math.log1p(-density)[..., tf.newaxis]
        beyond = tf.exp(log_zero * self._divisors.astype(np.float64))
        beyond_cut = tf.exp(log_zero * self._cuts.astype(np.float64))
        # The mean quotient, beyond / (1 - beyond), and the chance of an extra bit,
        # (beyond_cut - beyond) / (1 - beyond), in one.
        each = self._widths.astype(np.float64) + 1 + beyond_cut / (1 - beyond)
        return count * tf.reduce_min(each, axis=-1)


def _offsets(widths: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where `count` fields begin, int32 [count], and how many bits they are."""
    if widths.shape.rank == 0:
        return tf.range(count) * widths, count * widths
    return tf.cumsum(widths, exclusive=True), tf.reduce_sum(widths)


def _last(ascending: tf.Tensor, empty: int = -1) -> tf.Tensor:
    """The last of `ascending`, int32 [n], or `empty` if there is none."""
    return tf.concat([[empty], ascending], 0)[-1]


def _read_tail(
    bits: tf.Tensor, count: tf.Tensor, has_extra: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Reads the unary and the extra plane.

    Args:
      bits: bool [8 n], those of the tail.
      count: int32 scalar, how many gaps there are.
      has_extra: bool [count], which of them have an extra bit.

    Returns:
      int32 [count], the quotients; int32 [count], the extra bits, 0 if there is none;
      bool scalar, whether the tail is one that is written for such gaps.
    """
    all_ones = tf.cast(tf.where(bits)[:, 0], tf.int32)
    missing = tf.maximum(count - tf.size(all_ones), 0)
    ones = tf.pad(all_ones, [[0, missing]])[:count]
    quotients = ones - tf.concat([[-1], ones[:-1]], 0)[:count] - 1
    unary_bits = _last(ones) + 1
    extra_ends = tf.cumsum(tf.cast(has_extra, tf.int32))
    # A malformed tail may end before its extra bits do: read the added zero.
    places = tf.minimum(unary_bits + extra_ends - 1, tf.size(bits))
    extra_bits = tf.cast(
        tf.gather(tf.pad(bits, [[0, 1]]), tf.maximum(places, 0)), tf.int32
    )
    extra_bits *= tf.cast(has_extra, tf.int32)
    tail_bits = unary_bits + _last(extra_ends, empty=0)
    well_formed = (
        tf.equal(missing, 0)
        & tf.equal(tf.size(bits), 8 * _bit_packing.bytes_for(tail_bits))
        & tf.equal(tf.size(all_ones), count + tf.reduce_sum(extra_bits))
    )
    return quotients, extra_bits, well_formed
