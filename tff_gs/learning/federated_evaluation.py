"""Evaluation of the server's weights on the clients' own test data.

`tff.learning.algorithms.build_fed_eval` does the work; here are what takes a server
state to it, and metrics that are means over examples.
"""

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _client_values
from tff_gs.learning import objective as objective_lib
from tff_gs.learning import sparsified_process


class Home(Protocol):
    """Where clients' values can stay, such as a `tff_gs.runtime.ResidentContext`."""

    def place(self, values: Sequence[Any], type_signature: tff.Type) -> Any:
        """The values of clients as an argument of computations."""


#: From labels [n, ...] and a model's outputs [n, ...] to a number for each example.
OfExamples: TypeAlias = Callable[[Any, Any], tf.Tensor]


def accuracy(labels: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
    """Whether the class of each example is predicted; accuracy is the mean.

    Args:
      labels: The classes, whole numbers [n].
      outputs: Logits [n, classes].

    Returns:
      bool [n].
    """
    predicted = tf.argmax(outputs, axis=-1)
    return tf.equal(predicted, tf.cast(labels, predicted.dtype))


def with_metrics(
    model: tff.learning.models.FunctionalModel,
    metrics: Mapping[str, OfExamples],
) -> tff.learning.models.FunctionalModel:
    """The model with metrics, each the mean over examples (float64).

    `loss` (float64) and `examples` (int64), how many there were, are always among
    them. The means do not depend on how examples are batched or dealt to clients but
    for the order of float64 sums; a mean of truth values, such as `accuracy`, is exact.

        with_metrics(model, {"accuracy": accuracy})

    Args:
      model: Its loss is the mean over a batch.
      metrics: By name, what is computed of each example.
    """

    def sums(labels: Any, output: Any) -> Mapping[str, tf.Tensor]:
        examples = tf.shape(tf.nest.flatten(labels)[0], tf.int64)[0]
        loss = tf.cast(output.loss, tf.float64) * tf.cast(examples, tf.float64)
        of_examples = {
            name: tf.reduce_sum(_each(name, of(labels, output.predictions)))
            for name, of in metrics.items()
        }
        return collections.OrderedDict(**of_examples, loss=loss, examples=examples)

    @tf.function
    def initialize() -> Mapping[str, tf.Tensor]:
        zeros = {name: tf.constant(0.0, tf.float64) for name in (*metrics, "loss")}
        return collections.OrderedDict(**zeros, examples=tf.constant(0, tf.int64))

    @tf.function
    def update(
        state: Mapping[str, tf.Tensor],
        labels: tf.Tensor,
        batch_output: tff.learning.models.BatchOutput,
        sample_weight: None = None,
    ) -> Mapping[str, tf.Tensor]:
        del sample_weight  # Unused.
        return tf.nest.map_structure(tf.add, state, sums(labels, batch_output))

    @tf.function
    def finalize(state: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
        examples = tf.cast(state["examples"], tf.float64)
        means = {name: state[name] / examples for name in (*metrics, "loss")}
        return collections.OrderedDict(**means, examples=state["examples"])

    return tff.learning.models.FunctionalModel(
        initial_weights=model.initial_weights,
        predict_on_batch_fn=model.predict_on_batch,
        loss_fn=model.loss,
        metrics_fns=(initialize, update, finalize),
        input_spec=model.input_spec,
    )


def _each(name: str, values: tf.Tensor) -> tf.Tensor:
    """The numbers of the examples, float64 [n]."""
    found = tf.cast(values, tf.float64)
    if found.shape.rank != 1:
        raise ValueError(
            f"Expected of the metric {name} a number for each example, [n], found the "
            f"shape {found.shape}."
        )
    return found


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
