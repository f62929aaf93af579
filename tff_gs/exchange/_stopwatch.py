"""Wall-clock time inside a computation."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, tf.Tensor]:
    """Calls `function`; returns its result and the seconds that it took.

    Args:
      function: TensorFlow code.
      *arguments: Structures of tensors, ready before the clock starts.

    Returns:
      The result, a structure of tensors, and a float64 scalar.
    """
    with tf.control_dependencies(tf.nest.flatten(arguments)):
        start = tf.timestamp()
    with tf.control_dependencies([start]):
        arguments = tf.nest.map_structure(tf.identity, arguments)
    result = function(*arguments)
    with tf.control_dependencies(tf.nest.flatten(result)):
        return result, tf.timestamp() - start
