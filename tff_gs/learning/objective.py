"""A model as a function of one flat vector of weights."""

import abc
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

Model = (
    Callable[[], tff.learning.models.VariableModel]
    | tff.learning.models.FunctionalModel
)


class Objective(abc.ABC):
    """The loss of a model and its gradient, over flat float32 [D] weights.

    Attributes:
      dimension: D, the number of trainable weights.
      input_spec: The `tf.TensorSpec` structure of a batch; leading dimensions open.
      shapes: The shapes of the trainable tensors, in order.
      non_trainable_type: The TFF type of the weights that training leaves alone.
    """

    def __init__(self, trainable: Any, non_trainable: Any, input_spec: Any):
        """Reads the structure of the model.

        Args:
          trainable: The structure of `tf.TensorSpec` of the trainable weights.
          non_trainable: That of the others.
          input_spec: That of a batch.
        """
        self._trainable_specs = trainable
        self.shapes = [spec.shape.as_list() for spec in tf.nest.flatten(trainable)]
        found = {spec.dtype.name for spec in tf.nest.flatten(trainable)}
        if found != {"float32"}:
            raise ValueError(
                "Expected a model whose trainable weights are all float32, found "
                f"{sorted(found) or 'no trainable weights'}."
            )
        self.input_spec = input_spec
        self.non_trainable_type = tff.types.tensorflow_to_type(non_trainable)
        self.tensor_sizes = [math.prod(shape) for shape in self.shapes]
        self.dimension = sum(self.tensor_sizes)

    def flatten(self, trainable: Any) -> tf.Tensor:
        """The trainable weights, or their gradient, as one float32 [D] vector."""
        return tf.concat(
            [tf.reshape(tensor, [-1]) for tensor in tf.nest.flatten(trainable)], axis=0
        )

    def unflatten(self, weights: tf.Tensor) -> Any:
        """The trainable structure that float32 [D] `weights` stands for."""
        parts = tf.split(weights, self.tensor_sizes)
        tensors = [
            tf.reshape(part, shape)
            for part, shape in zip(parts, self.shapes, strict=True)
        ]
        return tf.nest.pack_sequence_as(self._trainable_specs, tensors)

    @abc.abstractmethod
    def initial_weights(self) -> tuple[tf.Tensor, Any]:
        """The model's own initial weights: float32 [D], and the non-trainable ones."""

    @abc.abstractmethod
    def loss(self, weights: tf.Tensor, non_trainable: Any, batch: Any) -> tf.Tensor:
        """The mean loss over `batch`, a float32 scalar, as in a training pass."""

    @abc.abstractmethod
    def loss_and_gradient(
        self, weights: tf.Tensor, non_trainable: Any, batch: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The mean loss over `batch` and its gradient, float32 [D]."""


class _FunctionalObjective(Objective):
    def __init__(self, model: tff.learning.models.FunctionalModel):
        self._model = model
        specs = tf.nest.map_structure(_spec, tuple(model.initial_weights))
        super().__init__(*specs, model.input_spec)

    def initial_weights(self) -> tuple[tf.Tensor, Any]:
        trainable, non_trainable = tf.nest.map_structure(
            tf.constant, tuple(self._model.initial_weights)
        )
        return self.flatten(trainable), non_trainable

    def loss(self, weights: tf.Tensor, non_trainable: Any, batch: Any) -> tf.Tensor:
        x, y = batch.values() if isinstance(batch, dict) else batch
        output = self._model.predict_on_batch(
            (self.unflatten(weights), non_trainable), x, training=True
        )
        return self._model.loss(output, y)

    def loss_and_gradient(
        self, weights: tf.Tensor, non_trainable: Any, batch: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            loss = self.loss(weights, non_trainable, batch)
        return loss, tape.gradient(loss, weights)


class _VariableObjective(Objective):
    def __init__(self, model_fn: Callable[[], tff.learning.models.VariableModel]):
        self._model_fn = model_fn
        with tf.Graph().as_default():
            model = model_fn()
            specs = [
                [tf.TensorSpec(v.shape, v.dtype) for v in variables]
                for variables in (
                    model.trainable_variables,
                    model.non_trainable_variables,
                )
            ]
            super().__init__(*specs, model.input_spec)

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
    ) -> tf.Tensor:
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        values = [*self.unflatten(weights), *tf.nest.flatten(non_trainable)]
        assigned = [v.assign(x) for v, x in zip(variables, values, strict=True)]
        with tf.control_dependencies(assigned):
            return model.forward_pass(batch, training=True).loss

    def loss(self, weights: tf.Tensor, non_trainable: Any, batch: Any) -> tf.Tensor:
        model = self._model_fn()

        @tf.function
        def run() -> tf.Tensor:
            return self._forward(model, weights, non_trainable, batch)

        return run()

    def loss_and_gradient(
        self, weights: tf.Tensor, non_trainable: Any, batch: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        model = self._model_fn()

        @tf.function
        def run() -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape() as tape:
                loss = self._forward(model, weights, non_trainable, batch)
            gradients = tape.gradient(
                loss,
                model.trainable_variables,
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            return loss, self.flatten(gradients)

        return run()


def _spec(value: Any) -> tf.TensorSpec:
    array = np.asarray(value)
    return tf.TensorSpec(array.shape, array.dtype)


def build_objective(model: Model) -> Objective:
    """The objective of a functional model, or of a function that builds a model."""
    if isinstance(model, tff.learning.models.FunctionalModel):
        return _FunctionalObjective(model)
    if callable(model):
        return _VariableObjective(model)
    raise TypeError(
        "Expected a tff.learning.models.FunctionalModel or a function that returns a "
        f"tff.learning.models.VariableModel, found {type(model).__name__}."
    )
