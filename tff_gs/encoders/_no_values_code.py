"""No bits at all: the message says which coordinates, and nothing of their values."""

from __future__ import annotations

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.encoders import value_code


class NoValuesCode(value_code.ValueCode):
    """Nothing; a receiver reads zeros.

    For sets of coordinates, such as an election's result.
    """

    tag = 12

    @override
    def num_bytes(self, count: tf.Tensor) -> tf.Tensor:
        return tf.zeros_like(count)

    @override
    def write(self, values: tf.Tensor, seed: tf.Tensor) -> value_code.Written:
        del seed
        return value_code.Written(tf.zeros([0], tf.uint8), tf.zeros_like(values))

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        del payload
        return tf.zeros(count[tf.newaxis], tf.float32)
