"""A model as a function of one flat vector of weights."""

import abc
import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _flat_structure
from tff_gs.learning import _forward_pass, client_data

Model: TypeAlias = (
    Callable[[], tff.learning.models.VariableModel]
    | tff.learning.models.FunctionalModel
)


def features_and_labels(batch: Any) -> tuple[Any, Any]:
    """The features and the labels of a batch, or of its specification.

    As TFF's own algorithms read it: by the keys `x` and `y` if it is a mapping, in
    whatever order they are; else by position.

    Raises:
      ValueError: If it is neither a mapping of `x` and `y` nor a pair.
    """
    if isinstance(batch, Mapping):
        found = sorted(map(str, batch))
        if found != ["x", "y"]:
            raise ValueError(
                "Expected a batch with the keys x and y and no other, found "
                f"{', '.join(found) or 'none'}."
            )
        return batch["x"], batch["y"]
    fields = getattr(batch, "_fields", ("x", "y"))
    if not isinstance(batch, Sequence) or len(batch) != 2 or fields == ("y", "x"):
        raise ValueError(
            "Expected a batch that is a pair (x, y) or a mapping with these keys, "
            f"found {batch!r}."
        )
    features, labels = batch
    return features, labels


class TrainingPass(NamedTuple):
    """What a forward and a backward pass over a minibatch come to.

    Attributes:
      loss: float32 scalar, the mean over the minibatch.
      gradient: float32 [D], of the loss.
      metrics: The state of the model's own metrics after this minibatch alone, not
        finalized; `()` if it has none. States add up.
    """

    loss: tf.Tensor
    gradient: tf.Tensor
    metrics: Any


class Objective(abc.ABC):
    """The loss of a model and its gradient, over flat float32 [D] weights.

    Attributes:
      dimension: D, the number of trainable weights.
      tensor_sizes: How many of these each trainable tensor has, in order; empty ones
        are left out.
      input_spec: The `tf.TensorSpec` structure of a batch; leading dimensions open.
      non_trainable_type: The TFF type of the weights that training leaves alone.
      weights_type: That of all weights, a `tff.learning.models.ModelWeights`.
      metrics_specs: The `tf.TensorSpec` structure of the model's own metrics before
        they are finalized; `()` if it has none.
    """

    def __init__(self, trainable: Any, non_trainable: Any, input_spec: Any):
        """Reads the structure of the model.

        Args:
          trainable: The structure of `tf.TensorSpec` of the trainable weights.
          non_trainable: That of the others.
          input_spec: That of a batch.
        """
        found = {spec.dtype.name for spec in tf.nest.flatten(trainable)}
        if found != {"float32"}:
            raise ValueError(
                "Expected a model whose trainable weights are all float32, found "
                f"{sorted(found) or 'no trainable weights'}."
            )
        client_data.check_input_spec(input_spec)
        self.input_spec = input_spec
        self.non_trainable_type = tff.types.tensorflow_to_type(non_trainable)
        self.weights_type = tff.to_type(
            tff.learning.models.ModelWeights(
                tff.types.tensorflow_to_type(trainable), self.non_trainable_type
            )
        )
        self._flat = _flat_structure.FlatStructure(trainable)
        self.tensor_sizes = self._flat.tensor_sizes
        self.dimension = self._flat.dimension
        self.metrics_specs: Any = ()

    def flatten(self, trainable: Any) -> tf.Tensor:
        """The trainable weights, or their gradient, as one float32 [D] vector."""
        return self._flat.flatten(trainable)

    def unflatten(self, weights: tf.Tensor) -> Any:
        """The trainable structure that float32 [D] `weights` stands for."""
        return self._flat.unflatten(weights)

    @abc.abstractmethod
    def remarks(self) -> list[str]:
        """What the training pass does that no round can repeat or keep.

        A sentence each: of weights that it updates (the moving statistics of batch
        normalisation), which stay as they began, and of random numbers that it draws
        by stateful operations (dropout), which no seed fixes.
        """

    @abc.abstractmethod
    def initial_weights(self) -> tuple[tf.Tensor, Any]:
        """The model's own initial weights: float32 [D], and the non-trainable ones."""

    @abc.abstractmethod
    def _loss(
        self, weights: tf.Tensor, non_trainable: Any, batch: Any, *, training: bool
    ) -> tf.Tensor:
        """The mean loss over `batch`, a float32 scalar."""

    def loss(self, weights: tf.Tensor, non_trainable: Any, batch: Any) -> tf.Tensor:
        """The mean loss over `batch`, a float32 scalar, as in a training pass."""
        return self._loss(weights, non_trainable, batch, training=True)

    @abc.abstractmethod
    def training_pass(
        self, weights: tf.Tensor, non_trainable: Any, batch: Any
    ) -> TrainingPass:
        """Loss, gradient and the model's own metrics of `batch`."""

    def loss_and_gradient(
        self, weights: tf.Tensor, non_trainable: Any, batch: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The mean loss over `batch` and its gradient, float32 [D]."""
        return self.training_pass(weights, non_trainable, batch)[:2]

    @abc.abstractmethod
    def finalize(self, metrics: Any) -> Any:
        """The values of the model's own metrics, from sums of their states.

        Args:
          metrics: As of `metrics_specs`, which are not `()`.
        """

    def probe_losses(
        self, weights: Sequence[tf.Tensor], non_trainable: Any, batch: Any
    ) -> tf.Tensor:
        """The mean losses over `batch` at several weights, to be compared.

        As at inference: no dropout, and batch normalisation by the statistics in
        `non_trainable`, so the losses differ by the weights alone.

        Args:
          weights: n vectors, float32 [D].
          non_trainable: The model's weights that training leaves alone.
          batch: A batch.

        Returns:
          float32 [n].
        """
        return tf.stack(
            [
                self._loss(vector, non_trainable, batch, training=False)
                for vector in weights
            ]
        )


class _FunctionalObjective(Objective):
    def __init__(self, model: tff.learning.models.FunctionalModel):
        self._model = model
        trainable, non_trainable = tf.nest.map_structure(
            _spec, tuple(model.initial_weights)
        )
        features_and_labels(model.input_spec)
        super().__init__(trainable, non_trainable, model.input_spec)
        self._non_trainable_specs = non_trainable
        with tf.Graph().as_default():
            self.metrics_specs = _specs_of(model.initialize_metrics_state())

    def remarks(self) -> list[str]:
        # TFF's functional models of Keras's run in a graph only.
        with tf.Graph().as_default():
            traced = tf.function(
                self.loss_and_gradient, autograph=False
            ).get_concrete_function(
                tf.TensorSpec([self.dimension], tf.float32),
                self._non_trainable_specs,
                self.input_spec,
            )
        return _on_random_operations(traced.graph)

    def initial_weights(self) -> tuple[tf.Tensor, Any]:
        trainable, non_trainable = tf.nest.map_structure(
            tf.constant, tuple(self._model.initial_weights)
        )
        return self.flatten(trainable), non_trainable

    def _forward(
        self, weights: tf.Tensor, non_trainable: Any, batch: Any, *, training: bool
    ) -> tuple[tf.Tensor, Any]:
        """The loss and the model's output."""
        x, y = features_and_labels(batch)
        output = self._model.predict_on_batch(
            (self.unflatten(weights), non_trainable), x, training=training
        )
        return self._model.loss(output, y), output

    def _loss(
        self, weights: tf.Tensor, non_trainable: Any, batch: Any, *, training: bool
    ) -> tf.Tensor:
        return self._forward(weights, non_trainable, batch, training=training)[0]

    def training_pass(
        self, weights: tf.Tensor, non_trainable: Any, batch: Any
    ) -> TrainingPass:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            loss, output = self._forward(weights, non_trainable, batch, training=True)
        metrics = self._measure(batch, loss, output) if self.metrics_specs else ()
        return TrainingPass(loss, tape.gradient(loss, weights), metrics)

    def finalize(self, metrics: Any) -> Any:
        return self._model.finalize_metrics(metrics)

    def _measure(self, batch: Any, loss: tf.Tensor, output: Any) -> Any:
        """The state of the model's metrics after a minibatch."""
        _, labels = features_and_labels(batch)
        return self._model.update_metrics_state(
            self._model.initialize_metrics_state(),
            labels,
            tff.learning.models.BatchOutput(
                loss=loss,
                predictions=output,
                num_examples=tf.shape(tf.nest.flatten(output)[0])[0],
            ),
        )


class _VariableObjective(Objective):
    def __init__(self, model_fn: Callable[[], tff.learning.models.VariableModel]):
        self._model_fn = model_fn
        with tf.Graph().as_default():
            model = model_fn()
            trainable, non_trainable = (
                [tf.TensorSpec(v.shape, v.dtype) for v in variables]
                for variables in (
                    model.trainable_variables,
                    model.non_trainable_variables,
                )
            )
            super().__init__(trainable, non_trainable, model.input_spec)
            self.metrics_specs = _specs_of(model.report_local_unfinalized_metrics())
            self._finalizers = model.metric_finalizers()

    def remarks(self) -> list[str]:
        with tf.Graph().as_default():
            return self._remarks(self._model_fn())

    def _remarks(self, model: tff.learning.models.VariableModel) -> list[str]:
        @tf.function(autograph=False)
        def run(batch: Any) -> tuple[tf.Tensor, Any]:
            with tf.GradientTape() as tape:
                loss = model.forward_pass(batch, training=True).loss
            return loss, tape.gradient(loss, model.trainable_variables)

        traced = run.get_concrete_function(model.input_spec)
        remarks = _on_random_operations(traced.graph)
        updated = _forward_pass.updated_variables(
            traced, [*model.trainable_variables, *model.non_trainable_variables]
        )
        if updated:
            remarks.append(
                "The model's forward pass updates weights that no optimizer trains, "
                f"and which stay as they began here: {', '.join(updated)}."
            )
        return remarks

    def initial_weights(self) -> tuple[tf.Tensor, Any]:
        model = self._model_fn()
        non_trainable = [v.read_value() for v in model.non_trainable_variables]
        return self.flatten([v.read_value() for v in model.trainable_variables]), (
            non_trainable
        )

    def _forward(
        self,
        model: tff.learning.models.VariableModel,
        weights: tf.Tensor,
        non_trainable: Any,
        batch: Any,
        *,
        training: bool,
    ) -> tf.Tensor:
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        values = [*self.unflatten(weights), *tf.nest.flatten(non_trainable)]
        assigned = [v.assign(x) for v, x in zip(variables, values, strict=True)]
        with tf.control_dependencies(assigned):
            return model.forward_pass(batch, training=training).loss

    def _loss(
        self, weights: tf.Tensor, non_trainable: Any, batch: Any, *, training: bool
    ) -> tf.Tensor:
        model = self._model_fn()

        @tf.function
        def run() -> tf.Tensor:
            return self._forward(
                model, weights, non_trainable, batch, training=training
            )

        return run()

    def training_pass(
        self, weights: tf.Tensor, non_trainable: Any, batch: Any
    ) -> TrainingPass:
        model = self._model_fn()

        @tf.function
        def run() -> TrainingPass:
            # One model serves all local steps of a client.
            model.reset_metrics()
            with tf.GradientTape() as tape:
                loss = self._forward(
                    model, weights, non_trainable, batch, training=True
                )
            gradients = tape.gradient(
                loss,
                model.trainable_variables,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            metrics = ()
            if self.metrics_specs:
                metrics = model.report_local_unfinalized_metrics()
            return TrainingPass(loss, self.flatten(gradients), metrics)

        return run()

    def finalize(self, metrics: Any) -> Any:
        return collections.OrderedDict(
            (name, finalizer(metrics[name]))
            for name, finalizer in self._finalizers.items()
        )


def _on_random_operations(graph: tf.Graph) -> list[str]:
    found = _forward_pass.random_operations(graph)
    if not found:
        return []
    return [
        "The model's forward pass draws random numbers that no seed of the process "
        f"fixes ({', '.join(found)}), so two runs of one seed differ."
    ]


def _specs_of(metrics: Any) -> Any:
    """See `Objective.metrics_specs`."""
    if not tf.nest.flatten(metrics):
        return ()
    return tf.nest.map_structure(tf.TensorSpec.from_tensor, metrics)


def _spec(value: Any) -> tf.TensorSpec:
    array = np.asarray(value)
    return tf.TensorSpec(array.shape, array.dtype)


def build_objective(model: Model) -> Objective:
    """The objective of a functional model, or of a function that builds a model.

    >>> @tf.function(autograph=False)
    ... def predict(weights, x, training):
    ...     return weights[0] * x
    >>> def loss(output, label, sample_weight=None):
    ...     return tf.reduce_mean((output - label) ** 2)
    >>> objective = build_objective(
    ...     tff.learning.models.FunctionalModel(
    ...         initial_weights=(np.float32(1.0), ()),
    ...         predict_on_batch_fn=predict,
    ...         loss_fn=loss,
    ...         input_spec=2 * (tf.TensorSpec([None], tf.float32),),
    ...     )
    ... )
    >>> batch = tf.constant([1.0, 2.0]), tf.constant([2.0, 4.0])
    >>> _, gradient = objective.loss_and_gradient(tf.constant([1.0]), (), batch)
    >>> objective.dimension, gradient.numpy()
    (1, array([-5.], dtype=float32))

    Raises:
      TypeError: If `model` is neither.
      ValueError: If its trainable weights are not float32, or the batch of a functional
        model is no pair of features and labels.
    """
    if isinstance(model, tff.learning.models.FunctionalModel):
        return _FunctionalObjective(model)
    if callable(model):
        return _VariableObjective(model)
    raise TypeError(
        "Expected a tff.learning.models.FunctionalModel or a function that returns "
        f"a tff.learning.models.VariableModel, found {type(model).__name__}."
    )
