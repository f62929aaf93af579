"""Small classifiers that processes are tested with; imports TensorFlow."""

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff


def functional(trainable, logits, *, features):
    """A model of batches (float32 [n, features], int32 [n]), its loss cross-entropy.

    `logits` takes trainable weights, as `trainable`, and the batch's features.
    """

    @tf.function
    def predict(weights, x, training=True):
        del training
        return logits(weights[0], x)

    def loss(output, label, sample_weight=None):
        del sample_weight
        return tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=label, logits=output)
        )

    return tff.learning.models.FunctionalModel(
        initial_weights=(trainable, ()),
        predict_on_batch_fn=predict,
        loss_fn=loss,
        input_spec=_input_spec(features),
    )


def linear(kernel):
    """A linear classifier that begins with this kernel and a bias of zeros."""

    def logits(weights, x):
        kernel, bias = weights
        return tf.matmul(x, kernel) + bias

    features, classes = kernel.shape
    bias = np.zeros(classes, np.float32)
    return functional((kernel, bias), logits, features=features)


def of_layers(layers, *, features):
    """The Keras model of these layers, the same from outside as `functional`."""
    return tff.learning.models.from_keras_model(
        tf.keras.Sequential([tf.keras.layers.InputLayer([features]), *layers]),
        loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        input_spec=_input_spec(features),
    )


def _input_spec(features):
    return (
        tf.TensorSpec([None, features], tf.float32),
        tf.TensorSpec([None], tf.int32),
    )
