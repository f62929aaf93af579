"""Uniform stochastic quantisation of values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.encoders import _bit_packing, value_code


class QuantisedCode(value_code.ValueCode):
    """Uniform stochastic quantisation, unbiased.

    The payload is the scale s = max |v| and for every value a level of `bits` bits.

    With L = 2**bits - 1 steps, level l stands for s (2 l - L) / L, so levels
    are evenly spaced from -s to s. A value between two levels becomes either, with
    the probabilities that make its expectation the value itself (Alistarh et al.,
    "QSGD", NeurIPS 2017, with the maximum as norm). The payload is s as a float32,
    then the levels without gaps.

    Attributes:
      bits: Of a level, 1 to 8; `QUANTISED` has a class for each.
    """

    bits: ClassVar[int]

    @property
    def _levels(self) -> np.ndarray:
        """What the levels stand for if s is 1, float32 [2 ** bits]."""
        steps = 2**self.bits - 1
        levels = 2 * np.arange(2**self.bits) - steps
        return levels.astype(np.float32) / np.float32(steps)

    @override
    def num_bytes(self, count: tf.Tensor) -> tf.Tensor:
        return 4 + _bit_packing.bytes_for(count * self.bits)

    @override
    def write(self, values: tf.Tensor, seed: tf.Tensor) -> value_code.Written:
        # max(.) would not do for NaN, and of no values it is -inf.
        finite = tf.reduce_all(tf.math.is_finite(values))
        largest = tf.maximum(tf.reduce_max(tf.abs(values)), 0.0)
        scale = tf.where(finite, largest, float("nan"))
        steps = 2**self.bits - 1
        position = (tf.math.divide_no_nan(values, scale) + 1) * (steps / 2)
        uniform = tf.random.stateless_uniform(tf.shape(values), seed)
        level = tf.clip_by_value(tf.floor(position + uniform), 0, steps)
        level = tf.where(finite, tf.cast(level, tf.int32), 0)
        payload = tf.concat(
            [
                value_code.float32_bytes(scale),
                _bit_packing.pack_numbers(level, self.bits),
            ],
            0,
        )
        return value_code.Written(payload, tf.gather(self._levels, level) * scale)

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
        scale = value_code.bytes_float32(payload)
        level = _bit_packing.unpack_numbers(payload[4:], count, self.bits)
        return tf.gather(self._levels, level) * scale


def _of(bits: int) -> type[QuantisedCode]:
    summary = f"Uniform stochastic quantisation to {bits} bits, unbiased."
    members = {"__doc__": summary, "__module__": __name__, "bits": bits}
    name = f"Quantised{bits}Code"
    return type(name, (QuantisedCode,), {**members, "tag": 3 + bits})


#: By the number of bits, 1 to 8.
QUANTISED: Mapping[int, type[QuantisedCode]] = {bits: _of(bits) for bits in range(1, 9)}
