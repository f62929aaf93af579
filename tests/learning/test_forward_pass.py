"""Models whose forward pass does more than compute, and the probe of them."""

import warnings

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tests import models
from tff_gs import learning
from tff_gs.learning import objective

_FEATURES = 4
_RANDOM = "draws random numbers that no seed of the process fixes"
_UPDATES = "updates weights that no optimizer trains"


def _layers(*names):
    """A function that builds a Keras model of dense layers and these."""
    kinds = {
        "dropout": lambda: tf.keras.layers.Dropout(0.5),
        "normalise": tf.keras.layers.BatchNormalization,
        "noise": lambda: tf.keras.layers.GaussianNoise(1.0),
        "relu": tf.keras.layers.ReLU,
    }

    def build():
        return models.of_layers(
            [
                tf.keras.layers.Dense(6),
                *(kinds[name]() for name in names),
                tf.keras.layers.Dense(3),
            ],
            features=_FEATURES,
        )

    return build


def _functional(draw):
    """A linear model whose features `draw` changes in training."""

    @tf.function
    def predict(weights, x, training=True):
        return tf.matmul(draw(x) if training else x, weights[0][0])

    plain = models.linear(np.ones([_FEATURES, 3], np.float32))
    return tff.learning.models.FunctionalModel(
        initial_weights=((np.ones([_FEATURES, 3], np.float32),), ()),
        predict_on_batch_fn=predict,
        loss_fn=plain.loss,
        input_spec=plain.input_spec,
    )


def _mask(x):
    return tf.nn.dropout(x, 0.5)


def _looped(x):
    """A random operation two functions deep."""
    return tf.while_loop(lambda i, _: i < 2, lambda i, z: (i + 1, _mask(z)), (0, x))[1]


def _stateless(x):
    return x * tf.random.stateless_uniform(tf.shape(x), [1, 2])


def _of_keras():
    """TFF's own functional model of a Keras model with dropout."""
    return tff.learning.models.functional_model_from_keras(
        tf.keras.Sequential(
            [
                tf.keras.layers.InputLayer([_FEATURES]),
                tf.keras.layers.Dropout(0.5),
                tf.keras.layers.Dense(3),
            ]
        ),
        loss_fn=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        input_spec=models.linear(np.zeros([_FEATURES, 3], np.float32)).input_spec,
    )


_MODELS = {
    "plain": (lambda: _layers("relu"), set()),
    "dropout": (lambda: _layers("dropout"), {_RANDOM}),
    "noise": (lambda: _layers("noise"), {_RANDOM}),
    "normalise": (lambda: _layers("normalise"), {_UPDATES}),
    "both": (lambda: _layers("dropout", "normalise"), {_RANDOM, _UPDATES}),
    "functional": (lambda: _functional(tf.identity), set()),
    "functional_mask": (lambda: _functional(_mask), {_RANDOM}),
    "functional_loop": (lambda: _functional(_looped), {_RANDOM}),
    "functional_stateless": (lambda: _functional(_stateless), set()),
    "functional_of_keras": (_of_keras, {_RANDOM}),
}


@pytest.fixture(scope="module")
def built():
    """Each objective by its name, and what is remarked of it."""
    found = {}

    def build(name):
        if name not in found:
            model = objective.build_objective(_MODELS[name][0]())
            found[name] = model, model.remarks()
        return found[name]

    return build


@pytest.mark.parametrize("name", _MODELS)
def test_remarks_what_it_finds(built, name):
    _, messages = built(name)
    wanted = _MODELS[name][1]
    assert all(message.startswith("The model's") for message in messages)
    assert len(messages) == len(wanted)
    for part in wanted:
        assert any(part in message for message in messages)


def test_a_process_warns_once_of_what_is_remarked():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        learning.build_sparsified_fed_sgd(_MODELS["both"][0]())
    ours = [w for w in caught if str(w.message).startswith("The model's")]
    assert len(ours) == len(_MODELS["both"][1])


def test_the_warning_names_the_weights(built):
    _, messages = built("normalise")
    (message,) = (message for message in messages if _UPDATES in message)
    assert "moving_mean" in message
    assert "moving_variance" in message
    assert "gamma" not in message


@pytest.mark.parametrize("name", _MODELS)
def test_equal_weights_have_equal_losses(built, name):
    model, _ = built(name)
    weights_type = (np.float32, [model.dimension])
    initial = tff.tensorflow.computation(model.initial_weights)
    probe = tff.tensorflow.computation(
        lambda first, second, third, non_trainable, batch: model.probe_losses(
            (first, second, third), non_trainable, batch
        ),
        (
            *[weights_type] * 3,
            model.non_trainable_type,
            tff.types.tensorflow_to_type(model.input_spec),
        ),
    )
    weights, non_trainable = initial()
    rng = np.random.default_rng(5)
    # One example, as a probe has.
    batch = rng.normal(size=(1, _FEATURES)).astype("f4"), np.int32([2])
    moved = weights + rng.normal(size=model.dimension).astype("f4")
    for _ in range(3):
        losses = probe(moved, moved, moved, non_trainable, batch)
        assert losses[0] == losses[1] == losses[2]
        assert losses.dtype == np.float32
    # It does see the weights, of batch normalisation too.
    losses = probe(weights, moved, weights, non_trainable, batch)
    assert losses[0] == losses[2] != losses[1]
    assert np.isfinite(losses).all()
