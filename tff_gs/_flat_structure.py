"""A structure of float tensors as one vector, and back."""

import math
from typing import Any, Self

import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _tensor_specs


class FlatStructure:
    """How a structure of tensors lies in one float32 vector: leaf after leaf.

    Attributes:
      dimension: D, the number of entries of all tensors.
      tensor_sizes: How many of these each tensor has, in order; empty tensors are
        left out.
    """

    def __init__(self, specs: Any) -> None:
        """Reads a structure of `tf.TensorSpec`: floats, fully defined shapes."""
        self._specs = specs
        leaves = tf.nest.flatten(specs)
        self._leaf_sizes = [math.prod(leaf.shape) for leaf in leaves]
        self.tensor_sizes = [size for size in self._leaf_sizes if size > 0]
        self.dimension = sum(self._leaf_sizes)

    @classmethod
    def of_type(cls, value_type: tff.Type) -> Self:
        """That of the values of a TFF type.

        Args:
          value_type: A `tff.TensorType`, or a `tff.StructWithPythonType` of such, in
            any nesting.

        Raises:
          TypeError: If it is neither, a tensor is not of floats or not of a fully
            defined shape, or there is no entry at all.
        """
        _check_is_structure_of_tensors(value_type)
        specs = _tensor_specs.structure(value_type)
        for leaf in tf.nest.flatten(specs):
            if not leaf.dtype.is_floating or not leaf.shape.is_fully_defined():
                raise TypeError(
                    "Expected float tensors of fully defined shapes, found "
                    f"{leaf.dtype.name}{leaf.shape} in {value_type}."
                )
        flat = cls(specs)
        if not flat.dimension:
            raise TypeError(f"Expected a type with entries, found {value_type}.")
        return flat

    def flatten(self, value: Any) -> tf.Tensor:
        """The value as float32 [D]; other floats are cast."""
        leaves = [
            tf.reshape(tf.cast(leaf, tf.float32), [-1])
            for leaf in tf.nest.flatten(value)
        ]
        return tf.concat(leaves, axis=0)

    def unflatten(self, vector: tf.Tensor) -> Any:
        """The value, in its own dtypes and shapes, that float32 [D] stands for."""
        leaves = [
            tf.cast(tf.reshape(part, spec.shape), spec.dtype)
            for part, spec in zip(
                tf.split(vector, self._leaf_sizes),
                tf.nest.flatten(self._specs),
                strict=True,
            )
        ]
        return tf.nest.pack_sequence_as(self._specs, leaves)


def _check_is_structure_of_tensors(value_type: tff.Type) -> None:
    is_structure = isinstance(
        value_type, tff.StructWithPythonType
    ) and tff.types.contains_only(
        value_type, lambda t: isinstance(t, tff.TensorType | tff.StructWithPythonType)
    )
    if not is_structure and not isinstance(value_type, tff.TensorType):
        raise TypeError(
            "Expected a tff.TensorType or a tff.StructWithPythonType of such, found "
            f"{value_type!r}."
        )
