"""Falling magnitudes in little more than a bit each."""

from __future__ import annotations

import numpy as np
from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.encoders import _bit_packing, value_code

#: How many steps there are from one power of two to the next.
_STEPS = 8
#: The lowest level; what is smaller is taken to be as large as that.
_LAST_LEVEL = 63
# A table, so that every machine reads the same numbers.
_FACTORS = (2.0 ** (-np.arange(_LAST_LEVEL + 1) / _STEPS)).astype(np.float32)


class MagnitudeCode(value_code.ValueCode):
    """Magnitudes that never rise, to the nearest eighth of a power of two.

    The first, a binary32, is exact. The i-th is the first times 2**(-l_i / 8), with
    whole levels 0 = l_1 <= l_2 <= ... <= 63, the nearest in the logarithm. Then follow
    k + 63 bits: for each entry, as many zeros as its level exceeds the one before, and
    a one; the rest is zero. So k entries take 4 + ceil((k + 63) / 8) bytes.

    What is no such sequence is read as NaN, which a receiver refuses.
    """

    tag = 13

    @override
    def num_bytes(self, count: tf.Tensor) -> tf.Tensor:
        return 4 + _bit_packing.bytes_for(count + _LAST_LEVEL)

    @override
    def write(self, values: tf.Tensor, seed: tf.Tensor) -> value_code.Written:
        """Of float32 [count] magnitudes, at least 0, the largest first."""
        del seed
        count = tf.size(values)
        first = tf.reduce_max(tf.concat([values, [0.0]], axis=0))
        octaves = tf.math.log(first / values) / tf.math.log(2.0)
        # 0 / 0, where all are zero, is as good as the first.
        octaves = tf.where(tf.math.is_nan(octaves), 0.0, octaves)
        levels = tf.clip_by_value(_STEPS * octaves, 0.0, float(_LAST_LEVEL))
        levels = tf.cast(tf.round(levels), tf.int32)
        ones = tf.range(count) + levels
        planes = _bit_packing.set_bits(
            ones, _bit_packing.bytes_for(count + _LAST_LEVEL)
        )
        payload = tf.concat([value_code.float32_bytes(first), planes], axis=0)
        return value_code.Written(payload, _at(first, levels))

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        first = value_code.bytes_float32(payload)
        bits = _bit_packing.unpack_bits(payload[4:])
        ones = tf.cast(tf.where(bits > 0)[:, 0], tf.int32)
        # By the sign bit: TensorFlow takes denormal numbers for zero.
        positive = tf.bitcast(first, tf.int32) >= 0
        valid = tf.equal(tf.size(ones), count) & positive
        levels = tf.where(valid, ones, 0)[:count]
        levels -= tf.where(valid, tf.range(tf.size(ones)), 0)[:count]
        valid &= tf.reduce_all(levels <= _LAST_LEVEL)
        magnitudes = _at(first, tf.minimum(levels, _LAST_LEVEL))
        padded = tf.pad(magnitudes, [[0, count - tf.size(magnitudes)]])
        return tf.where(valid, padded, float("nan"))


def _at(first: tf.Tensor, levels: tf.Tensor) -> tf.Tensor:
    """The magnitudes at `levels`."""
    return first * tf.gather(_FACTORS, levels)
