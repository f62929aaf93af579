"""Golomb/Rice-coded gaps with one parameter a message."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf

from tff_gs.encoders import bit_packing, golomb, index_code, names

# Between these densities Golomb codes of gaps are up to 4% above the entropy, and
# coordinates are coded in pairs, which is at most 1.0% above it.
_PAIRS_FROM = 0.31
_PAIRS_TO = 0.45
_PAIRS_FLAG = 128


class _Pairs(NamedTuple):
    """A set, taken apart by pairs of coordinates.

    Attributes:
      planes: uint8 [bytes], which pairs are unequal, and how.
      both: int32 [n], which of the equal pairs are in the set, as positions in
        the list of equal pairs.
    """

    planes: tf.Tensor
    both: tf.Tensor


class _ReadPairs(NamedTuple):
    """What the planes of pairs say.

    Attributes:
      unequal: bool [pairs], or [0] where the message has no pairs.
      first: bool [unequal pairs], whether the lower coordinate is in the set.
      num_bytes: int32 scalar, how many bytes the planes take.
      both_count: int32 scalar, how many equal pairs are in the set.
      both_limit: int32 scalar, how many equal pairs there are.
      fits: bool scalar, whether the planes are well formed.
    """

    unequal: tf.Tensor
    first: tf.Tensor
    num_bytes: tf.Tensor
    both_count: tf.Tensor
    both_limit: tf.Tensor
    fits: tf.Tensor


class RiceCode(index_code.IndexCode):
    """Gaps between indices in a Golomb code; the parameter is in the first byte.

    Gaps of 0.31 to 0.45 D random indices suit no parameter. There the set is
    coded by pairs of coordinates (after Peres, "Iterating von Neumann's procedure
    for extracting random bits", Annals of Statistics 20, 1992): a plane of which
    pairs are unequal and a plane of which of their two is in the set, both of
    nearly fair bits, and a Golomb code of the equal pairs that are in the set,
    which are few.
    """

    tag = 3

    def __init__(
        self, dimension: int, tensor_sizes: Sequence[int] | None = None
    ) -> None:
        super().__init__(dimension, tensor_sizes)
        self._golomb = golomb.Golomb(dimension)
        self._num_pairs = (dimension + 1) // 2
        self._pairs_from = int(_PAIRS_FROM * dimension)
        self._pairs_to = int(_PAIRS_TO * dimension)

    def plan(self, indices: tf.Tensor) -> index_code.Plan:
        """See base class."""
        count = tf.size(indices)
        in_pairs = (count > self._pairs_from) & (count < self._pairs_to)
        pairs = tf.cond(
            in_pairs,
            lambda: self._to_pairs(indices),
            lambda: _Pairs(tf.zeros([0], tf.uint8), indices),
        )
        ends = tf.concat([[0], pairs.both[:-1] + 1], 0)[: tf.size(pairs.both)]
        gaps = pairs.both - ends
        code = self._golomb.choose(gaps)[0]
        planes = self._golomb.split(gaps, self._golomb.parameter(code))
        first_byte = code + tf.where(in_pairs, _PAIRS_FLAG, 0)
        return index_code.Plan(
            1 + tf.size(pairs.planes) + planes.fixed_bytes + planes.tail_bytes,
            (first_byte, pairs.planes, *planes),
        )

    def write(self, indices: tf.Tensor, plan: index_code.Plan) -> tf.Tensor:
        """See base class."""
        del indices
        first_byte, pair_planes, *planes = plan.tensors
        return tf.concat(
            [
                tf.cast(first_byte, tf.uint8)[tf.newaxis],
                pair_planes,
                self._golomb.write(golomb.Planes(*planes)),
            ],
            0,
        )

    def read(self, payload: tf.Tensor, count: tf.Tensor) -> index_code.Indices:
        """See base class."""
        first_byte = tf.reduce_sum(tf.cast(payload[:1], tf.int32))
        in_pairs = first_byte >= _PAIRS_FLAG
        code = tf.bitwise.bitwise_and(first_byte, _PAIRS_FLAG - 1)
        known = code < self._golomb.num_codes
        parameter = self._golomb.parameter(tf.where(known, code, 0))
        pairs = tf.cond(
            in_pairs,
            lambda: self._read_pairs(payload[1:], count),
            lambda: _ReadPairs(
                tf.zeros([0], tf.bool),
                tf.zeros([0], tf.bool),
                tf.constant(0),
                count,
                tf.constant(self._dimension),
                tf.constant(True),
            ),
        )
        well_formed = (tf.size(payload) > 0) & known & pairs.fits
        gaps, error = self._golomb.read(
            payload[tf.where(well_formed, 1 + pairs.num_bytes, tf.size(payload)) :],
            tf.where(well_formed, pairs.both_count, 0),
            parameter,
            self._dimension // parameter.divisor,
        )
        ends = tf.cumsum(gaps + 1)
        in_range = tf.reduce_all(ends[-1:] <= tf.cast(pairs.both_limit, tf.int64))
        both = tf.cast(ends - 1, tf.int32)[: tf.where(in_range, tf.size(ends), 0)]
        indices = tf.cond(
            in_pairs & well_formed, lambda: _from_pairs(pairs, both), lambda: both
        )
        in_range &= tf.reduce_all(indices[-1:] < self._dimension)
        error = tf.where(well_formed, error, names.MALFORMED_INDICES)
        error = tf.where(
            tf.equal(error, names.ACCEPTED) & ~in_range,
            names.INDEX_OUT_OF_RANGE,
            error,
        )
        return index_code.Indices(indices, error)

    def max_bytes(self, count: tf.Tensor) -> tf.Tensor:
        """See base class."""
        field_bits = bit_packing.MAX_FIELD_BITS + 2
        return 5 + 2 * (self._dimension // 8) + (count // 8 + 1) * field_bits

    def estimate_bits(self, count: tf.Tensor) -> tf.Tensor:
        """See base class."""
        size = tf.constant(float(self._dimension), tf.float64)
        density = count / size
        num_pairs = size / 2
        unequal = num_pairs * 2 * density * (1 - density)
        pairs_bits = (
            num_pairs
            + unequal
            + self._golomb.estimate_bits(
                num_pairs * density**2, tf.maximum(num_pairs - unequal, 1.0)
            )
        )
        in_pairs = (count > self._pairs_from) & (count < self._pairs_to)
        bits = tf.where(in_pairs, pairs_bits, self._golomb.estimate_bits(count, size))
        # The first byte, and half a byte of padding for each plane.
        planes = tf.where(in_pairs, 4.0, 2.0)
        return 8 + bits + 3.5 * tf.cast(planes, tf.float64)

    def _to_pairs(self, indices: tf.Tensor) -> _Pairs:
        num_bytes = (2 * self._num_pairs + 7) // 8
        bits = bit_packing.unpack_bits(bit_packing.set_bits(indices, num_bytes))
        pairs = tf.cast(tf.reshape(bits[: 2 * self._num_pairs], [-1, 2]), tf.bool)
        first = pairs[:, 0]
        unequal = tf.not_equal(first, pairs[:, 1])
        planes = tf.concat(
            [
                bit_packing.pack_bits(unequal),
                bit_packing.pack_bits(tf.boolean_mask(first, unequal)),
            ],
            0,
        )
        both = tf.where(tf.boolean_mask(first, ~unequal))[:, 0]
        return _Pairs(planes, tf.cast(both, tf.int32))

    def _read_pairs(self, payload: tf.Tensor, count: tf.Tensor) -> _ReadPairs:
        unequal_bytes = bit_packing.bytes_for(self._num_pairs)
        # A short plane is read as if zeros followed, and refused by `fits`.
        unequal_plane = payload[:unequal_bytes]
        missing = unequal_bytes - tf.size(unequal_plane)
        unequal_plane = tf.pad(unequal_plane, [[0, missing]])
        unequal = tf.cast(
            bit_packing.unpack_bits(unequal_plane)[: self._num_pairs], tf.bool
        )
        num_unequal = tf.reduce_sum(tf.cast(unequal, tf.int32))
        first_bytes = bit_packing.bytes_for(num_unequal)
        first_plane = payload[unequal_bytes : unequal_bytes + first_bytes]
        both_count = (count - num_unequal) // 2
        both_limit = self._num_pairs - num_unequal
        fits = (
            tf.equal(missing, 0)
            & tf.equal(tf.size(first_plane), first_bytes)
            & tf.equal(count, num_unequal + 2 * both_count)
            & (both_count >= 0)
            & (both_count <= both_limit)
            & bit_packing.zero_padded(unequal_plane, tf.constant(self._num_pairs))
            & bit_packing.zero_padded(first_plane, num_unequal)
        )
        return _ReadPairs(
            unequal,
            tf.cast(bit_packing.unpack_bits(first_plane)[:num_unequal], tf.bool),
            unequal_bytes + first_bytes,
            both_count,
            both_limit,
            fits,
        )


def _from_pairs(pairs: _ReadPairs, both: tf.Tensor) -> tf.Tensor:
    """The indices, int32 [n], that `pairs` and the equal pairs `both` say."""
    unequal = tf.cast(tf.where(pairs.unequal)[:, 0], tf.int32)
    equal = tf.cast(tf.where(~pairs.unequal)[:, 0], tf.int32)
    both = 2 * tf.gather(equal, both)
    ones = tf.concat([2 * unequal + tf.where(pairs.first, 0, 1), both, both + 1], 0)
    num_bytes = bit_packing.bytes_for(2 * tf.size(pairs.unequal))
    bits = bit_packing.unpack_bits(bit_packing.set_bits(ones, num_bytes))
    return tf.cast(tf.where(bits)[:, 0], tf.int32)
