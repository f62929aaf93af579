"""What a task measures of the server's weights, on its test data."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tasks import ClientData, Metric

if TYPE_CHECKING:
    import tensorflow_federated as tff

    from tff_gs import learning

BATCH_SIZE = 256

#: The mean of each measure over the test examples, by name; the loss is the last.
Evaluation = Mapping[str, float]


def build_evaluate(
    model: "tff.learning.models.FunctionalModel",
    objective: "learning.Objective",
    test: ClientData,
    metrics: tuple[Metric, ...],
) -> Callable[["learning.ServerState"], Evaluation]:
    """The function that evaluates a server state.

    Args:
      model: The model; its loss is the batch's mean.
      objective: The model as a function of flat weights.
      test: The examples, at least one.
      metrics: What is measured beside the loss.
    """
    import tensorflow as tf
    import tensorflow_federated as tff

    from tff_gs import learning

    measured = learning.with_metrics(model, {m.name: m.of_examples for m in metrics})

    @tf.function(
        input_signature=[
            tf.TensorSpec([objective.dimension], tf.float32),
            *(tf.TensorSpec(spec.shape, spec.dtype) for spec in objective.input_spec),
        ],
        autograph=False,
    )
    def evaluate_batch(
        weights: tf.Tensor, features: tf.Tensor, labels: tf.Tensor
    ) -> Mapping[str, tf.Tensor]:
        non_trainable = model.initial_weights[1]
        outputs = model.predict_on_batch(
            (objective.unflatten(weights), non_trainable), features, training=False
        )
        return measured.update_metrics_state(
            measured.initialize_metrics_state(),
            labels,
            tff.learning.models.BatchOutput(
                loss=model.loss(outputs, labels), predictions=outputs, num_examples=None
            ),
        )

    try:
        evaluate_batch.get_concrete_function()
    except Exception as error:  # Of TensorFlow, of the model or of a metric.
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            "Expected a task whose metrics can be computed of its model's outputs, "
            f"found: {said[-1].strip()}"
        ) from error

    def evaluate(state: "learning.ServerState") -> Evaluation:
        weights = tf.constant(state.weights)
        sums = measured.initialize_metrics_state()
        for start in range(0, len(test.labels), BATCH_SIZE):
            batch = slice(start, start + BATCH_SIZE)
            of_batch = evaluate_batch(weights, test.features[batch], test.labels[batch])
            sums = tf.nest.map_structure(tf.add, sums, of_batch)
        means = measured.finalize_metrics(sums)
        return {name: float(mean) for name, mean in means.items() if name != "examples"}

    return evaluate
