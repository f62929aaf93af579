"""Golomb/Rice-coded gaps with a parameter for each tensor of the model."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np
from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.encoders import _bit_packing, _golomb, index_code, names

_CODE_BITS = 7


class _Fields(NamedTuple):
    """What a payload begins with; zeros if it is not usable.

    Attributes:
      counts: int32 [tensors], how many indices are in each.
      codes: int32 [tensors], the code of each one's parameter.
      usable: bool scalar.
      error: int32 scalar, why it is not.
    """

    counts: tf.Tensor
    codes: tf.Tensor
    usable: tf.Tensor
    error: tf.Tensor


class RicePerTensorCode(index_code.IndexCode):
    """Gaps in a Rice/Golomb code, a parameter for each tensor.

    Selections are not uniform over a model's layers, so this can be below the
    entropy of a uniformly random subset, which is what it is for. On such subsets
    themselves it pays for its side information (1.8% at 0.2% of the paper's CNN).

    The payload begins with how many indices are in each tensor and the parameter's
    code, as numbers of fixed widths; gaps restart at the borders of tensors.
    """

    tag = 4
    needs_tensor_sizes = True

    _sizes: ClassVar[np.ndarray]
    _starts: ClassVar[np.ndarray]
    _ends: ClassVar[np.ndarray]
    _golomb: ClassVar[_golomb.Golomb]
    _field_widths: ClassVar[np.ndarray]
    _field_offsets: ClassVar[np.ndarray]
    _field_bits: ClassVar[int]
    _field_bytes: ClassVar[int]

    @override
    def _prepare(self) -> None:
        sizes = np.array(self._tensor_sizes, np.int32)
        ends = np.cumsum(sizes, dtype=np.int32)
        count_widths = [int(size).bit_length() for size in sizes]
        field_widths = np.array(
            [width for count in count_widths for width in (count, _CODE_BITS)],
            np.int32,
        )
        field_ends = np.cumsum(field_widths, dtype=np.int32)
        field_bits = int(field_ends[-1])
        self._set(
            _sizes=sizes,
            _starts=ends - sizes,
            _ends=ends,
            _golomb=_golomb.Golomb(int(sizes.max())),
            _field_widths=field_widths,
            _field_offsets=field_ends - field_widths,
            _field_bits=field_bits,
            _field_bytes=(field_bits + 7) // 8,
        )

    @override
    def plan(self, indices: tf.Tensor) -> index_code.Plan:
        firsts = tf.searchsorted(indices, np.append(0, self._ends).astype(np.int32))
        counts = firsts[1:] - firsts[:-1]
        tensors = self._tensor_of(firsts[1:], tf.size(indices))
        ends = tf.concat([[0], indices[:-1] + 1], 0)[: tf.size(indices)]
        gaps = indices - tf.maximum(ends, tf.gather(self._starts, tensors))
        codes = self._golomb.choose(gaps, tensors, len(self._sizes))
        planes = self._golomb.split(
            gaps, self._golomb.parameter(tf.gather(codes, tensors))
        )
        return index_code.Plan(
            self._field_bytes + planes.fixed_bytes + planes.tail_bytes,
            (counts, codes, *planes),
        )

    @override
    def write(self, indices: tf.Tensor, plan: index_code.Plan) -> tf.Tensor:
        del indices
        counts, codes, *planes = plan.tensors
        fields = _bit_packing.write_fields(
            tf.reshape(tf.stack([counts, codes], axis=1), [-1]),
            tf.constant(self._field_offsets),
            tf.constant(self._field_widths),
            self._field_bytes,
        )
        return tf.concat([fields, self._golomb.write(_golomb.Planes(*planes))], 0)

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> index_code.Indices:
        counts, codes, usable, field_error = self._read_fields(payload, count)
        count = tf.where(usable, count, 0)
        lasts = tf.cumsum(counts)
        tensors = self._tensor_of(lasts, count)
        parameter = self._golomb.parameter(codes)
        gaps, error = self._golomb.read(
            payload[tf.where(usable, self._field_bytes, tf.size(payload)) :],
            count,
            _golomb.Parameter(*(tf.gather(part, tensors) for part in parameter)),
            tf.reduce_sum(self._sizes // parameter.divisor),
        )
        tensors = tensors[: tf.size(gaps)]
        # Ends count from the first index; each tensor's begin where it begins.
        ends = tf.cumsum(gaps + 1)
        before = tf.gather(
            tf.concat([tf.zeros([1], tf.int64), ends], 0),
            tf.minimum(lasts - counts, tf.size(gaps)),
        )
        shift = tf.cast(self._starts, tf.int64) - before
        ends += tf.gather(shift, tensors)
        in_range = tf.reduce_all(
            ends <= tf.cast(tf.gather(self._ends, tensors), tf.int64)
        )
        error = tf.where(usable, error, field_error)
        error = tf.where(
            tf.equal(error, names.ACCEPTED) & ~in_range,
            names.INDEX_OUT_OF_RANGE,
            error,
        )
        return index_code.Indices(tf.cast(ends - 1, tf.int32), error)

    def _read_fields(self, payload: tf.Tensor, count: tf.Tensor) -> _Fields:
        """Reads and checks what the payload of `count` indices begins with."""
        fits = tf.size(payload) >= self._field_bytes
        plane = tf.pad(payload, [[0, self._field_bytes]])[: self._field_bytes]
        fields = tf.reshape(
            _bit_packing.read_fields(
                plane,
                tf.constant(self._field_offsets),
                tf.constant(self._field_widths),
            ),
            [-1, 2],
        )
        counts, codes = fields[:, 0], fields[:, 1]
        # int64, because counts of a malformed message may sum to anything.
        total = tf.reduce_sum(tf.cast(counts, tf.int64))
        well_formed = (
            tf.reduce_all(counts <= self._sizes)
            & tf.reduce_all(codes < self._golomb.num_codes)
            & tf.equal(total, tf.cast(count, tf.int64))
            & _bit_packing.zero_padded(plane, tf.constant(self._field_bits))
        )
        usable = fits & well_formed
        return _Fields(
            tf.where(usable, counts, 0),
            tf.where(usable, codes, 0),
            usable,
            tf.where(fits, names.MALFORMED_INDICES, names.WRONG_LENGTH),
        )

    @override
    def max_bytes(self, count: tf.Tensor) -> tf.Tensor:
        field_bits = _bit_packing.MAX_FIELD_BITS + 2
        return (
            self._field_bytes + 2 + self._dimension // 8 + (count // 8 + 1) * field_bits
        )

    @override
    def estimate_bits(self, count: tf.Tensor) -> tf.Tensor:
        sizes = tf.constant(self._sizes, tf.float64)
        counts = count * sizes / self._dimension
        bits = tf.reduce_sum(self._golomb.estimate_bits(counts, sizes))
        return 8 * self._field_bytes + bits + 7

    def _tensor_of(self, lasts: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        """Each index's tensor, int32 [count], by how many there are up to each."""
        tensors = tf.searchsorted(lasts, tf.range(count), side="right")
        return tf.ensure_shape(tensors, [None])
