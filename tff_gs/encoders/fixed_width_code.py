"""ceil(log2 D) bits an index."""

import tensorflow as tf

from tff_gs.encoders import bit_packing, index_code, names


class FixedWidthCode(index_code.IndexCode):
    """Every index in ceil(log2 D) bits, most significant first; zero-padded."""

    tag = 2

    @property
    def _width(self) -> int:
        return (self._dimension - 1).bit_length()

    def plan(self, indices: tf.Tensor) -> index_code.Plan:
        """See base class."""
        return index_code.Plan(self.max_bytes(tf.size(indices)))

    def write(self, indices: tf.Tensor, plan: index_code.Plan) -> tf.Tensor:
        """See base class."""
        offsets = tf.range(tf.size(indices)) * self._width
        return bit_packing.write_fields(indices, offsets, self._width, plan.num_bytes)

    def read(self, payload: tf.Tensor, count: tf.Tensor) -> index_code.Indices:
        """See base class."""
        fits = tf.equal(tf.size(payload), self.max_bytes(count))
        count = tf.where(fits, count, 0)
        offsets = tf.range(count) * self._width
        indices = bit_packing.read_fields(payload, offsets, self._width)
        error = tf.where(
            fits,
            tf.where(
                bit_packing.zero_padded(payload, count * self._width),
                index_code.check_order(indices, self._dimension),
                names.MALFORMED_INDICES,
            ),
            names.WRONG_LENGTH,
        )
        return index_code.Indices(indices, error)

    def max_bytes(self, count: tf.Tensor) -> tf.Tensor:
        """See base class."""
        return bit_packing.bytes_for(count * self._width)

    def estimate_bits(self, count: tf.Tensor) -> tf.Tensor:
        """See base class."""
        return 8 * tf.math.ceil(count * self._width / 8)
