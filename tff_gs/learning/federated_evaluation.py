"""Evaluation of the server's weights on the clients' own test data.

`tff.learning.algorithms.build_fed_eval` does the work; here are what takes a server
state to it, and the metrics of a classifier that has none.
"""

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _client_values
from tff_gs.learning import objective as objective_lib
from tff_gs.learning import sparsified_process


class Home(Protocol):
    """Where clients' values can stay, such as a `tff_gs.runtime.ResidentContext`."""

    def place(self, values: Sequence[Any], type_signature: tff.Type) -> Any:
        """The values of clients as an argument of computations."""


def with_classification_metrics(
    model: tff.learning.models.FunctionalModel,
) -> tff.learning.models.FunctionalModel:
    """The model with metrics: `accuracy` and `loss` (float64), `examples` (int64).

    They are exact whatever the batches and clients are: correct predictions are
    counted, and losses are summed in float64.

    Args:
      model: A classifier that predicts logits; its loss is the batch's mean.
    """

    @tf.function
    def initialize() -> Mapping[str, tf.Tensor]:
        return collections.OrderedDict(
            correct=tf.constant(0, tf.int64),
            loss_sum=tf.constant(0.0, tf.float64),
            examples=tf.constant(0, tf.int64),
        )

    @tf.function
    def update(
        state: Mapping[str, tf.Tensor],
        labels: tf.Tensor,
        batch_output: tff.learning.models.BatchOutput,
        sample_weight: None = None,
    ) -> Mapping[str, tf.Tensor]:
        del sample_weight  # Unused.
        predicted = tf.argmax(batch_output.predictions, axis=-1)
        hits = tf.equal(predicted, tf.cast(labels, predicted.dtype))
        examples = tf.shape(labels, tf.int64)[0]
        loss_sum = tf.cast(batch_output.loss, tf.float64) * tf.cast(
            examples, tf.float64
        )
        return collections.OrderedDict(
            correct=state["correct"] + tf.reduce_sum(tf.cast(hits, tf.int64)),
            loss_sum=state["loss_sum"] + loss_sum,
            examples=state["examples"] + examples,
        )

    @tf.function
    def finalize(state: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        examples = tf.cast(state["examples"], tf.float64)
        return collections.OrderedDict(
            accuracy=tf.cast(state["correct"], tf.float64) / examples,
            loss=state["loss_sum"] / examples,
            examples=state["examples"],
        )

    return tff.learning.models.FunctionalModel(
        initial_weights=model.initial_weights,
        predict_on_batch_fn=model.predict_on_batch,
        loss_fn=model.loss,
        metrics_fns=(initialize, update, finalize),
        input_spec=model.input_spec,
    )


def build_federated_evaluation(
    model: objective_lib.Model,
    process: sparsified_process.SparsifiedProcess,
    data: Sequence[Sequence[Any]],
    *,
    context: Home | None = None,
) -> Callable[[sparsified_process.ServerState], Mapping[str, Any]]:
    """The federated evaluation of a server state.

    Args:
      model: The model that `process` trains, with metrics.
      process: The process.
      data: For each client of the evaluation its batches, each a structure like the
        model's, in a list or a finite `tf.data.Dataset`. They need not be the clients
        that train.
      context: The resident context that it runs in, where the data are placed once;
        None: another one.

    Returns:
      A function from a server state to the model's metrics over all examples.

    Raises:
      ValueError: In one sentence, if there is no client, or a batch is not of the
        model's type.
    """
    evaluation = tff.learning.algorithms.build_fed_eval(model)
    data_type = evaluation.next.type_signature.parameter[1]
    placed = [
        _client_values.pack(
            _client_values.flatten(batches, data_type.member, f"client {client}"),
            data_type.member,
        )
        for client, batches in enumerate(
            _client_values.as_list(data, "the batches of each client")
        )
    ]
    if context is not None:
        placed = context.place(placed, data_type)
    initial = evaluation.initialize()

    def evaluate(state: sparsified_process.ServerState) -> Mapping[str, Any]:
        weights = process.get_model_weights(state)
        output = evaluation.next(evaluation.set_model_weights(initial, weights), placed)
        return output.metrics["client_work"]["eval"]["current_round_metrics"]

    return evaluate
