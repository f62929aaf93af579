"""What a client reads in a message of the server."""

import tensorflow as tf

from tff_gs import sparse_vector
from tff_gs.encoders import codec


def read_answer(
    code: codec.Codec, message: tf.Tensor, dimension: int
) -> sparse_vector.SparseVector:
    """Decodes a message that the server wrote with `code`.

    Args:
      code: The encoder of the message.
      message: uint8 [bytes].
      dimension: D.

    Raises:
      tf.errors.InvalidArgumentError: When run, if the message is not one that the
        encoder accepts: a client could not go on with what the server applied.
    """
    vector, error = code.decode(message, tf.constant(dimension))
    check = tf.debugging.assert_equal(error, 0, "The server's message was damaged.")
    with tf.control_dependencies([check]):
        return sparse_vector.SparseVector(*(tf.identity(part) for part in vector))
