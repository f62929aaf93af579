"""Encoders for all tests of this folder, each traced once."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tff_gs import sparse_vector
from tff_gs.encoders import message_encoder
from tff_gs.encoders.encoder import Encoder


class Codec(NamedTuple):
    """NumPy in, NumPy out."""

    encoder: message_encoder.MessageEncoder
    encode_fn: Callable
    decode_fn: Callable

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


def _encoder(index, value, dimension, tensor_sizes):
    """The encoder; no name leads to the codes that come with a method."""
    if index == "ranked":
        return message_encoder.MessageEncoder.of_ballots(dimension)
    encoder = Encoder(
        "int32" if index == "leading" else index,
        "float32" if value == "none" else value,
    ).bind(dimension=dimension, tensor_sizes=tensor_sizes)
    if index == "leading":
        encoder = encoder.without_indices()
    return encoder.without_values() if value == "none" else encoder


def _codec(index, value, dimension, tensor_sizes=None, *, traced=True):
    encoder = _encoder(index, value, dimension, tensor_sizes)

    def encode(indices, values, seed):
        return encoder.encode(sparse_vector.SparseVector(indices, values), seed)

    def trace(function, *signature):
        if traced:
            return tf.function(function, input_signature=signature, autograph=False)
        return lambda *arguments: function(*map(tf.constant, arguments))

    return Codec(
        encoder,
        trace(
            encode,
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([2], tf.int32),
        ),
        trace(
            encoder.decode,
            tf.TensorSpec([None], tf.uint8),
            tf.TensorSpec([], tf.int32),
        ),
    )


@pytest.fixture(scope="session")
def codec():
    """A function (index, value, dimension, tensor_sizes=None) -> Codec."""
    return functools.cache(_codec)


@pytest.fixture(scope="session")
def eager_codec():
    """The same without tracing, for tests of a few messages of many encoders."""
    return functools.cache(functools.partial(_codec, traced=False))
