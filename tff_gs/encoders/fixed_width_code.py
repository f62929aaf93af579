"""ceil(log2 D) bits an index."""

from __future__ import annotations

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.encoders import _bit_packing, index_code, names


class FixedWidthCode(index_code.IndexCode):
    """Ceil(log2 D) bits an index.

    Most significant first; zero-padded.
    """

    tag = 2

    @property
    def _width(self) -> int:
        return (self._dimension - 1).bit_length()

    @override
    def plan(self, indices: tf.Tensor) -> index_code.Plan:
        return index_code.Plan(self.max_bytes(tf.size(indices)))

    @override
    def write(self, indices: tf.Tensor, plan: index_code.Plan) -> tf.Tensor:
        offsets = tf.range(tf.size(indices)) * self._width
        return _bit_packing.write_fields(indices, offsets, self._width, plan.num_bytes)

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> index_code.Indices:
        indices, error = self._read_fields(payload, count)
        order = index_code.check_order(indices, self._dimension)
        return index_code.Indices(indices, tf.where(error > 0, error, order))

    def _read_fields(
        self, payload: tf.Tensor, count: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The numbers, int32, and the error number of the payload around them."""
        fits = tf.equal(tf.size(payload), self.max_bytes(count))
        count = tf.where(fits, count, 0)
        offsets = tf.range(count) * self._width
        indices = _bit_packing.read_fields(payload, offsets, self._width)
        padded = tf.where(
            _bit_packing.zero_padded(payload, count * self._width),
            names.ACCEPTED,
            names.MALFORMED_INDICES,
        )
        return indices, tf.where(fits, padded, names.WRONG_LENGTH)

    @override
    def max_bytes(self, count: tf.Tensor) -> tf.Tensor:
        return _bit_packing.bytes_for(count * self._width)

    @override
    def estimate_bits(self, count: tf.Tensor) -> tf.Tensor:
        return 8 * tf.math.ceil(count * self._width / 8)
