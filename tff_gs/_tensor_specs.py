"""From a TFF type to TensorFlow's descriptions of its tensors."""

from typing import Any

import tensorflow as tf
import tensorflow_federated as tff


def structure(value_type: tff.Type) -> Any:
    """The `tf.TensorSpec`s of a type's tensors, in the type's own structure.

    Args:
      value_type: A `tff.TensorType`, or a structure of such in any nesting.
    """
    return tff.types.structure_from_tensor_type_tree(
        lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), value_type
    )


def leaves(value_type: tff.Type) -> list[tf.TensorSpec]:
    """The same as a list, in the order of `tf.nest.flatten`."""
    return tf.nest.flatten(structure(value_type))
