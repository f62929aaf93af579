"""No bits at all: the indices are 0, 1, 2, and so on."""

from __future__ import annotations

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.encoders import index_code, names


class LeadingCode(index_code.IndexCode):
    """The first `count` indices; the header's count says it all.

    For methods whose coordinates both ends know already. Indices are then positions
    in an order that was agreed on before.
    """

    tag = 5
    writes_any = False

    @override
    def plan(self, indices: tf.Tensor) -> index_code.Plan:
        leading = tf.reduce_all(tf.equal(indices, tf.range(tf.size(indices))))
        return index_code.Plan(tf.where(leading, 0, tf.int32.max))

    @override
    def write(self, indices: tf.Tensor, plan: index_code.Plan) -> tf.Tensor:
        """Writes no byte.

        Raises:
          tf.errors.InvalidArgumentError: When run, if the indices are others: their
            values would be read as those of the first coordinates.
        """
        check = tf.debugging.assert_equal(
            plan.num_bytes,
            0,
            "Expected the indices 0, 1, ..., n - 1 of a message without indices, "
            "found others.",
        )
        with tf.control_dependencies([check]):
            return tf.identity(tf.cast(indices[:0], tf.uint8))

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> index_code.Indices:
        fits = tf.equal(tf.size(payload), 0)
        return index_code.Indices(
            tf.range(tf.where(fits, count, 0)),
            tf.where(fits, names.ACCEPTED, names.WRONG_LENGTH),
        )

    @override
    def max_bytes(self, count: tf.Tensor) -> tf.Tensor:
        return tf.zeros_like(count)

    @override
    def estimate_bits(self, count: tf.Tensor) -> tf.Tensor:
        """Of the indices that it can write."""
        return tf.zeros_like(count)
