"""The examples of a `tf.data.Dataset`, stacked into arrays."""

from typing import Any

import numpy as np
import tensorflow as tf

MAX_BYTES = 2**31 - 1
_BATCH = 256


def stack(dataset: tf.data.Dataset, where: str, *, batched: bool) -> Any:
    """All examples of a dataset: its element's structure, arrays [examples, ...].

    Args:
      dataset: A finite one, of tensors.
      where: Whose it is, for the sentences.
      batched: Whether an element is a batch of examples, rather than an example.

    Raises:
      ValueError: In one sentence, if it is infinite, empty, of more than 2 GiB, or
        cannot be read or stacked.
    """
    wanted = f"a finite tf.data.Dataset with at least one example as {where}"
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(f"Expected {wanted}, found an infinite one.")
    batches, size = [], 0
    try:
        for batch in (
            dataset if batched else dataset.batch(_BATCH)
        ).as_numpy_iterator():
            batches.append(batch)
            size += sum(np.asarray(leaf).nbytes for leaf in tf.nest.flatten(batch))
            if size > MAX_BYTES:
                raise ValueError(
                    f"Expected {wanted}, and at most {MAX_BYTES:,} bytes, found more: "
                    "is it infinite?"
                )
        if batches:
            return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)
    except (tf.errors.OpError, TypeError) as error:
        reason = str(error).strip().split("\n")[0].split(" [Op:")[0]
        raise ValueError(f"Expected {wanted}, found: {reason}") from error
    raise ValueError(f"Expected {wanted}, found an empty one.")


def are_batches(element_spec: Any) -> bool:
    """Whether elements are batches: no tensor's first dimension is known."""
    specs = tf.nest.flatten(element_spec)
    return all(
        isinstance(spec, tf.TensorSpec) and spec.shape.rank and spec.shape[0] is None
        for spec in specs
    )
