"""Encoders inside TFF computations, and the stage inside `EncodedSumFactory`."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from tensorflow_model_optimization.python.core.internal import tensor_encoding as te

from tff_gs import sparse_vector
from tff_gs.aggregators import tensor_encoding_stage
from tff_gs.encoders.encoder import Encoder


@pytest.mark.parametrize("index", ["auto", "rice"])
def test_bytes_travel_between_clients_and_server(index):
    dimension = 400
    encoder = Encoder(index, "quantised8").bind(
        dimension=dimension, tensor_sizes=[100, 300]
    )

    @tff.tensorflow.computation(tff.types.TensorType(np.float32, [dimension]))
    def encode(x):
        indices = tf.cast(tf.where(tf.not_equal(x, 0))[:, 0], tf.int32)
        vector = sparse_vector.gather(x, indices)
        return encoder.encode(vector, tf.constant([3, 4])).message

    message_type = encode.type_signature.result
    assert str(message_type) == "uint8[?]"
    accumulator_type = tff.types.to_type(tff.types.TensorType(np.float32, [dimension]))

    @tff.tensorflow.computation
    def zero():
        return tf.zeros([dimension], tf.float32)

    @tff.tensorflow.computation(accumulator_type, message_type)
    def accumulate(total, message):
        vector, error = encoder.decode(message, tf.constant(dimension))
        return (
            total
            + sparse_vector.to_dense(vector, dimension)
            + tf.cast(error, tf.float32)
        )

    @tff.tensorflow.computation(accumulator_type, accumulator_type)
    def merge(a, b):
        return a + b

    @tff.tensorflow.computation(accumulator_type)
    def report(total):
        return total

    @tff.federated_computation(
        tff.types.FederatedType(encode.type_signature.parameter, tff.CLIENTS)
    )
    def total(x):
        messages = tff.federated_map(encode, x)
        return tff.federated_aggregate(messages, zero(), accumulate, merge, report)

    values = np.zeros([3, dimension], np.float32)
    values[0, 5:395:3] = 1.0
    values[1, 17] = -2.0
    # With all magnitudes alike, quantised values are exact; a client is empty.
    np.testing.assert_array_equal(total(list(values)), values.sum(axis=0))


def _sum_process(fraction, shape, **options):
    factory = tff.aggregators.EncodedSumFactory(
        lambda spec: te.encoders.as_gather_encoder(
            tensor_encoding_stage.sparse_top_k(fraction, **options), spec
        )
    )
    return factory.create(tff.types.TensorType(np.float32, shape))


def test_encoded_sum_of_top_k():
    process = _sum_process(0.1, [4, 5], index="auto")
    values = np.random.default_rng(0).normal(size=[3, 20]).astype(np.float32)
    expected = np.zeros(20, np.float32)
    for row in values:
        largest = np.argsort(-np.abs(row))[:2]
        expected[largest] += row[largest]
    output = process.next(process.initialize(), list(values.reshape(3, 4, 5)))
    np.testing.assert_allclose(output.result, expected.reshape(4, 5), rtol=1e-6)


def test_encoded_sum_rounds_differently_in_every_round():
    process = _sum_process(1.0, [50], value="quantised1", seed=9)
    values = [np.linspace(-1, 1, 50).astype(np.float32)] * 2
    states, results = [process.initialize()], []
    for _ in range(2):
        output = process.next(states[-1], values)
        states.append(output.state)
        results.append(output.result)
    assert np.any(results[0] != results[1])
    again = process.next(states[0], values)
    np.testing.assert_array_equal(again.result, results[0])


def test_model_of_several_tensors():
    factory = tff.aggregators.EncodedSumFactory(
        lambda spec: te.encoders.as_gather_encoder(
            tensor_encoding_stage.sparse_top_k(0.5), spec
        )
    )
    value_type = tff.types.to_type([(np.float32, (2, 2)), (np.float32, (3,))])
    process = factory.create(value_type)
    value = [np.float32([[1, -4], [3, 2]]), np.float32([0.1, -0.5, 0.2])]
    output = process.next(process.initialize(), [value, value])
    np.testing.assert_allclose(output.result[0], [[0, -8], [6, 0]])
    np.testing.assert_allclose(output.result[1], [0, -1.0, 0.4])


def test_a_damaged_message_adds_nothing():
    stage = tensor_encoding_stage.SparseTopKEncodingStage(0.5)
    state = stage.initial_state()
    encode_params, decode_params = stage.get_params(state)
    encoded, _ = stage.encode(tf.constant([1.0, -2.0, 3.0, 0.5]), encode_params)
    decoded = stage.decode(encoded, decode_params, shape=[4])
    np.testing.assert_array_equal(decoded, [0, -2, 3, 0])
    damaged = {stage.MESSAGE_KEY: encoded[stage.MESSAGE_KEY][:-1]}
    np.testing.assert_array_equal(
        stage.decode(damaged, decode_params, shape=[4]), np.zeros(4)
    )


@pytest.mark.parametrize("fraction", [0.0, 1.5, -0.1])
def test_fraction_out_of_range(fraction):
    with pytest.raises(ValueError, match=r"in \(0, 1\], found"):
        tensor_encoding_stage.SparseTopKEncodingStage(fraction)


def test_unknown_codes_are_named_at_once():
    with pytest.raises(ValueError, match="found 'zip'"):
        tensor_encoding_stage.SparseTopKEncodingStage(0.1, index="zip")
