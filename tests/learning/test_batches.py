"""Which part of a batch are the features, whatever order its keys are in."""

import collections

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import learning
from tff_gs.controllers import fixed
from tff_gs.learning import objective

_SPEC = tf.TensorSpec([None], tf.float32)
_BATCH = {"x": np.float32([1, 2]), "y": np.float32([2, 4])}
_Pair = collections.namedtuple("_Pair", "x y")
_Swapped = collections.namedtuple("_Swapped", "y x")


def _scale(input_spec):
    """w x with the loss (w x - y)^2, where w begins at 1."""
    return tff.learning.models.FunctionalModel(
        initial_weights=((np.float32(1.0),), ()),
        predict_on_batch_fn=tf.function(lambda weights, x, training: weights[0][0] * x),
        loss_fn=lambda output, y, sample_weight=None: tf.reduce_mean((output - y) ** 2),
        input_spec=input_spec,
    )


def _variable(input_spec):
    """The same, as a function that builds a model with a variable."""

    def build():
        layer = tf.keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
        return tff.learning.models.from_keras_model(
            tf.keras.Sequential([tf.keras.layers.InputLayer([1]), layer]),
            loss=tf.keras.losses.MeanSquaredError(),
            input_spec=input_spec,
        )

    return build


def _mapping(kind, keys, value):
    return kind((key, value[key] if isinstance(value, dict) else value) for key in keys)


@pytest.mark.parametrize("kind", [dict, collections.OrderedDict])
@pytest.mark.parametrize("keys", ["xy", "yx"])
def test_a_mapping_is_read_by_its_keys(kind, keys):
    built = objective.build_objective(_scale(_mapping(kind, keys, _SPEC)))
    batch = _mapping(kind, keys, _BATCH)
    loss, gradient = built.loss_and_gradient(tf.constant([1.0]), (), batch)
    # (2 - 1)^2 and (4 - 2)^2; 2 (w x - y) x: -2 and -8.
    assert float(loss) == 2.5
    assert gradient.numpy().tolist() == [-5]
    assert built.probe_losses([tf.constant([1.0])], (), batch).numpy() == [2.5]


@pytest.mark.parametrize("pair", [tuple, list, lambda parts: _Pair(*parts)])
def test_a_pair_is_read_by_position(pair):
    built = objective.build_objective(_scale(pair([_SPEC, _SPEC])))
    batch = pair([_BATCH["x"], _BATCH["y"]])
    _, gradient = built.loss_and_gradient(tf.constant([1.0]), (), batch)
    assert gradient.numpy().tolist() == [-5]


@pytest.mark.parametrize("keys", ["xy", "yx"])
def test_so_do_variable_models(keys):
    spec = tf.TensorSpec([None, 1], tf.float32)
    input_spec = _mapping(collections.OrderedDict, keys, spec)
    built = objective.build_objective(_variable(input_spec))
    batch_type = tff.types.tensorflow_to_type(input_spec)
    run = tff.tensorflow.computation(
        lambda weights, batch: built.loss_and_gradient(weights, [], batch),
        ((np.float32, [1]), batch_type),
    )
    columns = {name: value[:, np.newaxis] for name, value in _BATCH.items()}
    batch = _mapping(collections.OrderedDict, keys, columns)
    assert run(np.float32([1]), batch)[1].tolist() == [-5]


def test_a_round_and_an_evaluation_are_the_same_for_every_order():
    """In a process, and in TFF's evaluation of its weights."""
    for keys in ("xy", "yx"):
        model = _scale(_mapping(collections.OrderedDict, keys, _SPEC))
        process = learning.build_sparsified_fed_sgd(
            model,
            learning_rate=0.5,
            controller=fixed.FixedK(k=1),
        )
        state = process.initialize()
        state, clients, _ = process.initialize_clients(state, [0])
        data = _mapping(collections.OrderedDict, keys, _BATCH)
        output = process.next(state, clients, [data])
        # 1 - 0.5 (-5).
        assert np.asarray(output.state.weights).tolist() == [3.5]
        evaluate = learning.build_federated_evaluation(
            _with_loss(model), process, [[data]]
        )
        # (3.5 - 2)^2 and (7 - 4)^2.
        assert evaluate(output.state)["loss"] == pytest.approx((2.25 + 9) / 2)


def _with_loss(model):
    @tf.function
    def initialize():
        return collections.OrderedDict(loss=tf.constant(0.0))

    @tf.function
    def update(state, labels, batch_output, sample_weight=None):
        return collections.OrderedDict(loss=state["loss"] + batch_output.loss)

    @tf.function
    def finalize(state):
        return state

    return tff.learning.models.FunctionalModel(
        initial_weights=model.initial_weights,
        predict_on_batch_fn=model.predict_on_batch,
        loss_fn=model.loss,
        metrics_fns=(initialize, update, finalize),
        input_spec=model.input_spec,
    )


@pytest.mark.parametrize(
    ("input_spec", "found"),
    [
        ({"x": _SPEC}, "found x"),
        ({"x": _SPEC, "y": _SPEC, "weight": _SPEC}, "found weight, x, y"),
        ({"features": _SPEC, "labels": _SPEC}, "found features, labels"),
        ({}, "found none"),
        ((_SPEC, _SPEC, _SPEC), "a pair .*found .*TensorSpec"),
        (_SPEC, "a pair .*found TensorSpec"),
        (_Swapped(_SPEC, _SPEC), "a pair .*found _Swapped"),
    ],
)
def test_anything_else_is_refused_at_build(input_spec, found):
    with pytest.raises(ValueError, match=f"^Expected a batch .*{found}") as error:
        objective.build_objective(_scale(input_spec))
    assert "\n" not in str(error.value)
