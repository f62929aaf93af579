"""32 bits an index: what index-value lists commonly cost."""

from __future__ import annotations

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.encoders import index_code, names


class Int32Code(index_code.IndexCode):
    """32 bits an index.

    A little-endian integer each.
    """

    tag = 0

    @override
    def plan(self, indices: tf.Tensor) -> index_code.Plan:
        return index_code.Plan(4 * tf.size(indices))

    @override
    def write(self, indices: tf.Tensor, plan: index_code.Plan) -> tf.Tensor:
        del plan
        return tf.reshape(tf.bitcast(indices, tf.uint8), [-1])

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> index_code.Indices:
        fits = tf.equal(tf.size(payload), 4 * count)
        payload = payload[: tf.where(fits, 4 * count, 0)]
        indices = tf.bitcast(tf.reshape(payload, [-1, 4]), tf.int32)
        error = tf.where(
            fits,
            index_code.check_order(indices, self._dimension),
            names.WRONG_LENGTH,
        )
        return index_code.Indices(indices, error)

    @override
    def max_bytes(self, count: tf.Tensor) -> tf.Tensor:
        return 4 * count

    @override
    def estimate_bits(self, count: tf.Tensor) -> tf.Tensor:
        return 32 * count
