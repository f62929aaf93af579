"""Accuracy and loss of the server's weights on the test data."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tasks import ClientData

if TYPE_CHECKING:
    import tensorflow_federated as tff

    from tff_gs import learning
    from tff_gs.learning import objective as objective_lib

BATCH_SIZE = 256


class Evaluation(NamedTuple):
    """The result of an evaluation.

    Attributes:
      accuracy: Share of the examples whose class is predicted.
      loss: Mean loss of an example.
    """

    accuracy: float
    loss: float


def build_evaluate(
    model: "tff.learning.models.FunctionalModel",
    objective: "objective_lib.Objective",
    test: ClientData,
) -> Callable[["learning.ServerState"], Evaluation]:
    """The function that evaluates a server state.

    Args:
      model: A classifier that predicts logits; its loss is the batch's mean.
      objective: The model as a function of flat weights.
      test: The examples, at least one.
    """
    import tensorflow as tf

    @tf.function(
        input_signature=[
            tf.TensorSpec([objective.dimension], tf.float32),
            *(tf.TensorSpec(spec.shape, spec.dtype) for spec in objective.input_spec),
        ]
    )
    def evaluate_batch(
        weights: tf.Tensor, features: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        non_trainable = model.initial_weights[1]
        logits = model.predict_on_batch(
            (objective.unflatten(weights), non_trainable), features, training=False
        )
        predicted = tf.argmax(logits, axis=-1, output_type=labels.dtype)
        correct = tf.reduce_sum(tf.cast(tf.equal(predicted, labels), tf.int64))
        return correct, model.loss(logits, labels)

    def evaluate(state: "learning.ServerState") -> Evaluation:
        weights = tf.constant(state.weights)
        count = len(test.labels)
        correct, loss = 0, 0.0
        for start in range(0, count, BATCH_SIZE):
            labels = test.labels[start : start + BATCH_SIZE]
            hits, mean = evaluate_batch(
                weights, test.features[start : start + BATCH_SIZE], labels
            )
            correct += int(hits)
            loss += float(mean) * len(labels)
        return Evaluation(float(np.divide(correct, count)), loss / count)

    return evaluate
