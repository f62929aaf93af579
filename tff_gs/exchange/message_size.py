"""The size of what crosses the network, counted on the tensors themselves."""

from typing import Any

import tensorflow as tf


def size_in_bits(structure: Any) -> tf.Tensor:
    """The size, int64 bits, of all tensors in `structure`."""
    return tf.add_n(
        [
            tf.size(tensor, out_type=tf.int64) * tensor.dtype.size * 8
            for tensor in tf.nest.flatten(structure)
        ]
    )
