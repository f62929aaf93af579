"""Golomb/Rice-coded gaps with one parameter a message."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.encoders import _bit_packing, _golomb, index_code, names


class RiceCode(index_code.IndexCode):
    """Gaps in a Rice/Golomb code, one parameter a message.

    The parameter is in the first byte.

    Of uniformly random indices it is at most 1.5% above the entropy up to a density
    of 0.32. No parameter suits 0.382: there it is 4.2% above, as a bitmap is.
    """

    tag = 3

    _golomb: ClassVar[_golomb.Golomb]

    @override
    def _prepare(self) -> None:
        self._set(_golomb=_golomb.Golomb(self._dimension))

    @override
    def plan(self, indices: tf.Tensor) -> index_code.Plan:
        ends = tf.concat([[0], indices[:-1] + 1], 0)[: tf.size(indices)]
        gaps = indices - ends
        code = self._golomb.choose(gaps)[0]
        planes = self._golomb.split(gaps, self._golomb.parameter(code))
        return index_code.Plan(
            1 + planes.fixed_bytes + planes.tail_bytes, (code, *planes)
        )

    @override
    def write(self, indices: tf.Tensor, plan: index_code.Plan) -> tf.Tensor:
        del indices
        code, *planes = plan.tensors
        return tf.concat(
            [
                tf.cast(code, tf.uint8)[tf.newaxis],
                self._golomb.write(_golomb.Planes(*planes)),
            ],
            0,
        )

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> index_code.Indices:
        code = tf.reduce_sum(tf.cast(payload[:1], tf.int32))
        well_formed = (tf.size(payload) > 0) & (code < self._golomb.num_codes)
        parameter = self._golomb.parameter(tf.where(well_formed, code, 0))
        gaps, error = self._golomb.read(
            payload[tf.where(well_formed, 1, tf.size(payload)) :],
            tf.where(well_formed, count, 0),
            parameter,
            self._dimension // parameter.divisor,
        )
        ends = tf.cumsum(gaps + 1)
        in_range = tf.reduce_all(ends[-1:] <= self._dimension)
        error = tf.where(well_formed, error, names.MALFORMED_INDICES)
        error = tf.where(
            tf.equal(error, names.ACCEPTED) & ~in_range,
            names.INDEX_OUT_OF_RANGE,
            error,
        )
        return index_code.Indices(tf.cast(ends - 1, tf.int32), error)

    @override
    def max_bytes(self, count: tf.Tensor) -> tf.Tensor:
        field_bits = _bit_packing.MAX_FIELD_BITS + 2
        return 3 + self._dimension // 8 + (count // 8 + 1) * field_bits

    @override
    def estimate_bits(self, count: tf.Tensor) -> tf.Tensor:
        size = tf.constant(float(self._dimension), tf.float64)
        # The first byte, and half a byte of padding for each plane.
        return 8 + self._golomb.estimate_bits(count, size) + 7
