"""Minibatches drawn without replacement within a pass over a client's data."""

from typing import Any

import tensorflow as tf

from tff_gs import seeds


def _order(seed: tf.Tensor, number: tf.Tensor, examples: tf.Tensor) -> tf.Tensor:
    """The order of the examples in pass `number`, int32 [examples]."""
    draw = tf.random.stateless_uniform(
        [examples], seeds.derive(seed, seeds.Purpose.PASS, number)
    )
    return tf.argsort(draw, stable=True)


def minibatch_indices(
    seed: tf.Tensor, number: tf.Tensor, examples: tf.Tensor, batch_size: int
) -> tf.Tensor:
    """Which examples make up a client's minibatch.

    Every pass goes through all examples once, in an order of its own. A minibatch
    that reaches the end of a pass is completed from the start of the next one.

    Args:
      seed: int32 [2], the client's seed; it fixes all passes.
      number: int32 scalar, how many minibatches the client has drawn before.
      examples: int32 scalar, how many examples the client has.
      batch_size: The size wanted; a client with fewer examples uses them all.

    Returns:
      int32 [min(batch_size, examples)].
    """
    size = tf.minimum(batch_size, examples)
    start = tf.cast(number, tf.int64) * tf.cast(size, tf.int64)
    pass_number = tf.cast(start // tf.cast(examples, tf.int64), tf.int32)
    offset = tf.cast(start % tf.cast(examples, tf.int64), tf.int32)
    order = _order(seed, pass_number, examples)
    missing = offset + size - examples
    return tf.cond(
        missing > 0,
        lambda: tf.concat(
            [order[offset:], _order(seed, pass_number + 1, examples)[:missing]], axis=0
        ),
        lambda: order[offset : offset + size],
    )


def count_examples(data: Any) -> tf.Tensor:
    """The number of examples (int32 scalar) in a client's stacked data.

    It is an error of the computation if there is none, or another number of them in
    another part of the data.
    """
    counts = [tf.shape(part)[0] for part in tf.nest.flatten(data)]
    found = tf.strings.join([tf.strings.as_string(count) for count in counts], ", ")
    message = tf.strings.join(
        [
            "Expected the same number of examples, at least one, in all parts of a "
            "client's data, found ",
            found,
            ".",
        ]
    )
    usable = counts[0] > 0
    for count in counts[1:]:
        # In the graph of a TFF computation `==` compares Python's objects.
        usable = tf.logical_and(usable, tf.equal(count, counts[0]))
    with tf.control_dependencies([tf.debugging.Assert(usable, [message])]):
        return tf.identity(counts[0])


def gather_examples(data: Any, indices: tf.Tensor) -> Any:
    """The examples at `indices` (int32 [n]) of a client's stacked data."""
    return tf.nest.map_structure(lambda tensor: tf.gather(tensor, indices), data)
