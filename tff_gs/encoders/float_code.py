"""Values as floating-point numbers of 32 or 16 bits."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.encoders import value_code


class FloatCode(value_code.ValueCode):
    """Every value as a little-endian floating-point number of a type.

    Narrower types round to nearest; a finite value beyond the largest number of
    the type becomes that number; error feedback can send the rest later.

    Attributes:
      dtype_name: The type: float32, bfloat16 or float16.
    """

    dtype_name: ClassVar[str]

    @property
    def _dtype(self) -> tf.DType:
        return tf.dtypes.as_dtype(self.dtype_name)

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


class Float32Code(FloatCode):
    """32 bits a value, exact."""

    tag = 0
    dtype_name = "float32"


class BFloat16Code(FloatCode):
    """16 bits a value, 8 of them precision."""

    tag = 1
    dtype_name = "bfloat16"


class Float16Code(FloatCode):
    """16 bits a value, 11 of them precision, saturating at 65504."""

    tag = 2
    dtype_name = "float16"
