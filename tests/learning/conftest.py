from typing import Any, NamedTuple

import numpy as np
import pytest

FEATURES, HIDDEN, CLASSES = 4, 6, 3


class ScriptedState(NamedTuple):
    """The decision of the coming round, and what the last one showed."""

    k: Any
    k_probe: Any
    feedback: Any


@pytest.fixture(scope="session")
def scripted_controller():
    """Builds a rule that follows its state and keeps the feedback there."""
    import tensorflow as tf

    from tff_gs.controllers import controller

    class Scripted(controller.Controller):
        def __init__(self, *, k, k_probe, probes=True):
            self._decision = (k, k_probe)
            self._probes = probes

        @property
        def probes(self):
            return self._probes

        def initialize(self):
            unknown = [tf.constant(np.nan, tf.float64) for _ in range(6)]
            return ScriptedState(
                *(tf.constant(number) for number in self._decision),
                controller.Feedback(*unknown, round=tf.constant(0)),
            )

        def decide(self, state):
            return controller.Decision(state.k, state.k_probe)

        def update(self, state, feedback, seed):
            return state._replace(feedback=feedback)

        def sign(self, state):
            return tf.constant(0)

    return Scripted


def _initial_weights():
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.normal(scale=0.5, size=shape).astype(np.float32)

    return (normal(FEATURES, HIDDEN), [normal(HIDDEN), normal(HIDDEN, CLASSES)])


@pytest.fixture(scope="session")
def functional_model():
    """A small classifier whose weights lie in a tuple with a list in it; D = 48."""
    import tensorflow as tf

    from tests import models

    def logits(weights, x):
        first, (bias, second) = weights
        return tf.matmul(tf.nn.tanh(tf.matmul(x, first) + bias), second)

    return models.functional(_initial_weights(), logits, features=FEATURES)


@pytest.fixture(scope="session")
def variable_model():
    """A function that builds a Keras model with batch normalisation."""
    import tensorflow as tf

    from tests import models

    def build():
        layers = tf.keras.layers
        initializer = tf.keras.initializers.GlorotUniform(seed=1)
        return models.of_layers(
            [
                layers.Dense(HIDDEN, kernel_initializer=initializer),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Dense(CLASSES, kernel_initializer=initializer),
            ],
            features=FEATURES,
        )

    return build


@pytest.fixture(scope="session")
def client_data():
    """The examples of five clients: 3, 9, 1, 4 and 20 of them."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(CLASSES, FEATURES))
    data = []
    for examples in (3, 9, 1, 4, 20):
        y = rng.integers(0, CLASSES, examples).astype(np.int32)
        x = centres[y] + 0.3 * rng.normal(size=(examples, FEATURES))
        data.append((x.astype(np.float32), y))
    return data


@pytest.fixture(scope="session")
def build_process(exact_encoder):
    """Builds a process of FAB-top-k at the normalised time, beta = 10."""
    from tff_gs import learning, sparsifiers

    def build(model, controller, *, batch_size=4, probe_examples=1, **options):
        if "client_optimizer" in options:
            builder, rate = learning.build_sparsified_fed_avg, {}
        else:
            builder, rate = learning.build_sparsified_fed_sgd, {"learning_rate": 0.5}
        arguments = {
            "controller": controller,
            "sparsifier": sparsifiers.FabTopK(),
            "uplink_encoder": exact_encoder,
            "downlink_encoder": exact_encoder,
            "probe_encoder": exact_encoder,
            "batch_size": batch_size,
            "probe_examples": probe_examples,
        }
        return builder(model, **{**arguments, **rate, **options})

    return build
