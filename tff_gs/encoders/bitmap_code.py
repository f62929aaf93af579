"""One bit for every coordinate: the code for dense messages."""

from __future__ import annotations

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.encoders import _bit_packing, index_code, names


class BitmapCode(index_code.IndexCode):
    """One bit for every coordinate of the model.

    Most significant first; bit j is 1 if entry j was sent.
    """

    tag = 1

    @property
    def _num_bytes(self) -> int:
        return (self._dimension + 7) // 8

    @override
    def plan(self, indices: tf.Tensor) -> index_code.Plan:
        del indices
        return index_code.Plan(tf.constant(self._num_bytes))

    @override
    def write(self, indices: tf.Tensor, plan: index_code.Plan) -> tf.Tensor:
        del plan
        return _bit_packing.set_bits(indices, self._num_bytes)

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> index_code.Indices:
        fits = tf.equal(tf.size(payload), self._num_bytes)
        payload = payload[: tf.where(fits, self._num_bytes, 0)]
        ones = tf.where(_bit_packing.unpack_bits(payload))[:, 0]
        indices = tf.cast(ones, tf.int32)
        # A one among the padding bits is an index of D or more.
        in_range = tf.reduce_all(indices < self._dimension)
        error = tf.where(
            fits,
            tf.where(
                in_range,
                tf.where(
                    tf.equal(tf.size(indices), count),
                    names.ACCEPTED,
                    names.MALFORMED_INDICES,
                ),
                names.INDEX_OUT_OF_RANGE,
            ),
            names.WRONG_LENGTH,
        )
        return index_code.Indices(indices, error)

    @override
    def max_bytes(self, count: tf.Tensor) -> tf.Tensor:
        del count
        return tf.constant(self._num_bytes)

    @override
    def estimate_bits(self, count: tf.Tensor) -> tf.Tensor:
        del count
        return tf.constant(8.0 * self._num_bytes, tf.float64)
