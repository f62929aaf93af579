"""The setting of the speed benchmarks: the paper's CNN, made-up data, a process."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import cnn
from tff_gs import learning, sparsifiers
from tff_gs.controllers import controller as controller_lib
from tff_gs.encoders import encoder
from tff_gs.learning import objective as objective_lib
from tff_gs.runtime import resident

BATCH_SIZE = 32
FAB_TOP_K = sparsifiers.FabTopK()
_EXAMPLES = 150


@dataclasses.dataclass(frozen=True)
class Setting:
    """N clients that train one model.

    Attributes:
      objective: The model.
      data: One (features, labels) pair a client.
      encoder: The code of all messages, INDEX+VALUE; exact.
    """

    objective: objective_lib.Objective
    model: Any
    data: list[tuple[np.ndarray, np.ndarray]]
    encoder: str


def paper_setting(
    clients: int, side: int = 28, encoder: str = "int32+float32"
) -> Setting:
    """The paper's CNN on `clients` clients with random images of `side` pixels."""
    rng = np.random.default_rng(0)
    model = cnn.paper_cnn((side, side, 1), 62, 0)
    data = [
        (
            rng.random((_EXAMPLES, side, side, 1), dtype=np.float32),
            rng.integers(0, 62, _EXAMPLES).astype(np.int32),
        )
        for _ in range(clients)
    ]
    return Setting(objective_lib.build_objective(model), model, data, encoder)


def gradient_floor(setting: Setting) -> Callable[[], Any]:
    """A loop over all clients' minibatch gradients, and nothing else."""
    objective = setting.objective
    features = tf.constant(np.stack([x[:BATCH_SIZE] for x, _ in setting.data]))
    labels = tf.constant(np.stack([y[:BATCH_SIZE] for _, y in setting.data]))
    weights, non_trainable = objective.initial_weights()

    @tf.function
    def loop(features: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        total = 0.0
        for client in tf.range(tf.shape(features)[0]):
            batch = (features[client], labels[client])
            loss, gradient = objective.loss_and_gradient(weights, non_trainable, batch)
            total += loss + gradient[0]
        return total

    return lambda: loop(features, labels).numpy()


class Rounds:
    """A running process: every call is one more round."""

    def __init__(
        self,
        setting: Setting,
        controller: controller_lib.Controller,
        runtime: resident.ResidentContext,
        sparsifier: sparsifiers.Sparsifier = FAB_TOP_K,
    ):
        code = encoder.Encoder(*setting.encoder.split("+"))
        process = learning.build_sparsified_fed_sgd(
            setting.model,
            controller=controller,
            sparsifier=sparsifier,
            uplink_encoder=code,
            downlink_encoder=code,
            probe_encoder=code,
            batch_size=BATCH_SIZE,
        )
        self._process = process
        self._data = runtime.place(
            setting.data, process.next.type_signature.parameter.data
        )
        self._state = process.initialize()
        self._state, self._clients, _ = process.initialize_clients(
            self._state, list(range(len(setting.data)))
        )

    def __call__(self) -> Any:
        """Runs a round; returns its metrics."""
        output = self._process.next(self._state, self._clients, self._data)
        self._state, self._clients = output.state, output.clients
        return output.metrics
