"""Only the sign of every value, with the mean magnitude."""

from __future__ import annotations

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.encoders import _bit_packing, value_code


class TernaryCode(value_code.ValueCode):
    """The sign, with the mean magnitude of the message.

    The mean of |v| as a float32, and a bit for every value: 1 if v < 0. Together with
    the entries that are not sent, values are of three kinds (Sattler et al., "Robust
    and communication-efficient federated learning from non-IID data", IEEE TNNLS
    2020). This is biased; it needs error feedback.
    """

    tag = 3

    @override
    def num_bytes(self, count: tf.Tensor) -> tf.Tensor:
        return 4 + _bit_packing.bytes_for(count)

    @override
    def write(self, values: tf.Tensor, seed: tf.Tensor) -> value_code.Written:
        del seed
        # float64, because the sum of finite values may be beyond float32.
        total = tf.reduce_sum(tf.cast(tf.abs(values), tf.float64))
        count = tf.cast(tf.size(values), tf.float64)
        mean = tf.cast(tf.math.divide_no_nan(total, count), tf.float32)
        negative = values < 0
        payload = tf.concat(
            [value_code.float32_bytes(mean), _bit_packing.pack_bits(negative)], 0
        )
        return value_code.Written(payload, tf.where(negative, -mean, mean))

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        mean = value_code.bytes_float32(payload)
        negative = _bit_packing.unpack_bits(payload[4:])[:count]
        return tf.where(tf.cast(negative, tf.bool), -mean, mean)
