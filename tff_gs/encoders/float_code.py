"""Values as floating-point numbers of 32 or 16 bits."""

import tensorflow as tf
from typing_extensions import override

from tff_gs.encoders import value_code


class FloatCode(value_code.ValueCode):
    """Every value as a little-endian floating-point number.

    Narrower types round to nearest; a finite value beyond the largest number of
    the type becomes that number, so that error feedback can send the rest later.
    """

    def __init__(self, dtype: tf.DType, tag: int) -> None:
        """Initializes the code.

        Args:
          dtype: float32, bfloat16 or float16.
          tag: The code's number in headers.
        """
        self._dtype = dtype
        self._tag = tag

    @property
    @override
    def tag(self) -> int:
        return self._tag

    @override
    def num_bytes(self, count: tf.Tensor) -> tf.Tensor:
        return self._dtype.size * count

    @override
    def write(self, values: tf.Tensor, seed: tf.Tensor) -> value_code.Written:
        del seed
        if self._dtype != tf.float32:
            largest = float(self._dtype.max)
            clipped = tf.clip_by_value(values, -largest, largest)
            values = tf.where(tf.math.is_finite(values), clipped, values)
        numbers = tf.cast(values, self._dtype)
        payload = tf.reshape(tf.bitcast(numbers, tf.uint8), [-1])
        return value_code.Written(payload, tf.cast(numbers, tf.float32))

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        del count
        numbers = tf.bitcast(tf.reshape(payload, [-1, self._dtype.size]), self._dtype)
        return tf.cast(numbers, tf.float32)
