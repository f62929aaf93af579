"""Encoders traced once for all tests of this folder."""

import functools
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tff_gs import sparse_vector
from tff_gs.encoders import message_encoder


class Codec(NamedTuple):
    """NumPy in, NumPy out."""

    encoder: message_encoder.MessageEncoder
    encode_fn: tf.types.experimental.GenericFunction
    decode_fn: tf.types.experimental.GenericFunction

    def encode(self, indices, values, seed=(1, 2)):
        message, received = self.encode_fn(
            np.array(indices, np.int32),
            np.array(values, np.float32),
            np.array(seed, np.int32),
        )
        return message.numpy().tobytes(), received.numpy()

    def decode(self, message, max_count):
        vector, error = self.decode_fn(
            np.frombuffer(message, np.uint8), np.int32(max_count)
        )
        reason = self.encoder.ERRORS[int(error)]
        return vector.indices.numpy(), vector.values.numpy(), reason


def _codec(index, value, dimension, tensor_sizes=None):
    encoder = message_encoder.build_encoder(
        index, value, dimension=dimension, tensor_sizes=tensor_sizes
    )
    encode = tf.function(
        lambda i, v, seed: encoder.encode(sparse_vector.SparseVector(i, v), seed),
        input_signature=[
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([2], tf.int32),
        ],
        autograph=False,
    )
    decode = tf.function(
        encoder.decode,
        input_signature=[tf.TensorSpec([None], tf.uint8), tf.TensorSpec([], tf.int32)],
        autograph=False,
    )
    return Codec(encoder, encode, decode)


@pytest.fixture(scope="session")
def codec():
    """A function (index, value, dimension, tensor_sizes=None) -> Codec."""
    return functools.cache(_codec)
