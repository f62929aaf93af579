"""Uniform stochastic quantisation of values."""

import numpy as np
import tensorflow as tf
from typing_extensions import override

from tff_gs.encoders import _bit_packing, value_code


class QuantisedCode(value_code.ValueCode):
    """The scale s = max |v|, and for every value a level of `bits` bits.

    With L = 2**bits - 1 steps, level l stands for s (2 l - L) / L, so that levels
    are evenly spaced from -s to s. A value between two levels becomes either, with
    the probabilities that make its expectation the value itself (Alistarh et al.,
    "QSGD", NeurIPS 2017, with the maximum as norm). The payload is s as a float32,
    then the levels without gaps.
    """

    def __init__(self, bits: int) -> None:
        """Initializes the code.

        Args:
          bits: 1 to 8.

        Raises:
          ValueError: If `bits` is something else.
        """
        if not 1 <= bits <= 8:
            raise ValueError(f"Expected 1 to 8 bits a value, found {bits}.")
        self._bits = bits
        steps = 2**bits - 1
        levels = 2 * np.arange(2**bits) - steps
        self._levels = levels.astype(np.float32) / np.float32(steps)

    @property
    @override
    def tag(self) -> int:
        return 3 + self._bits

    @override
    def num_bytes(self, count: tf.Tensor) -> tf.Tensor:
        return 4 + _bit_packing.bytes_for(count * self._bits)

    @override
    def write(self, values: tf.Tensor, seed: tf.Tensor) -> value_code.Written:
        # max(.) would not do for NaN, and of no values it is -inf.
        finite = tf.reduce_all(tf.math.is_finite(values))
        largest = tf.maximum(tf.reduce_max(tf.abs(values)), 0.0)
        scale = tf.where(finite, largest, float("nan"))
        steps = 2**self._bits - 1
        position = (tf.math.divide_no_nan(values, scale) + 1) * (steps / 2)
        uniform = tf.random.stateless_uniform(tf.shape(values), seed)
        level = tf.clip_by_value(tf.floor(position + uniform), 0, steps)
        level = tf.where(finite, tf.cast(level, tf.int32), 0)
        payload = tf.concat(
            [
                value_code.float32_bytes(scale),
                _bit_packing.pack_numbers(level, self._bits),
            ],
            0,
        )
        return value_code.Written(payload, tf.gather(self._levels, level) * scale)

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        scale = value_code.bytes_float32(payload)
        level = _bit_packing.unpack_numbers(payload[4:], count, self._bits)
        return tf.gather(self._levels, level) * scale
