r"""Parts of one's own for launch.train: a rule for k with an option, and a task.

    python -m launch.train --plugins=examples.own_parts --task=line \
        --controller=halving --period=5 --target_mae=0.2

The names and options are flags then: `--help` shows them, ranges are checked, and
launch.compare and launch.regret know them too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from typing_extensions import override

from tasks import TASKS, ClientData, Defaults, Metric, Task, TaskData
from tff_gs import option
from tff_gs.controllers import CONTROLLERS, Controller, Decision, Feedback

if TYPE_CHECKING:
    import tensorflow as tf
    import tensorflow_federated as tff

SLOPES = np.linspace(-1.0, 1.0, 12, dtype=np.float32)


@CONTROLLERS.register("halving")
class Halving(Controller):
    """Half of the entries every few rounds."""

    period: int = option(default=10, help="rounds for which k stays", at_least=1)

    # Nothing of a round is measured for it: no probe.
    needs = frozenset()

    @override
    def initialize(self) -> tf.Tensor:
        """How many rounds there were."""
        import tensorflow as tf

        return tf.constant(0)

    @override
    def decide(self, state: tf.Tensor) -> Decision:
        import tensorflow as tf

        halvings = tf.minimum(state // self.period, 30)
        k = tf.maximum(self.dimension // tf.bitwise.left_shift(1, halvings), 1)
        return Decision(k, tf.constant(0))

    @override
    def update(
        self, state: tf.Tensor, feedback: Feedback, seed: tf.Tensor
    ) -> tf.Tensor:
        return state + 1


@TASKS.register("line")
class Line(Task):
    """Points near a line in 12 dimensions: regression."""

    clients: int = option(default=5, help="clients to make", at_least=1)
    noise: float = option(default=0.1, help="deviation from the line", at_least=0)

    # What evaluations report beside the loss: the mean of it over the test examples.
    metrics = (Metric("mae", lambda labels, outputs: abs(outputs - labels)),)
    defaults = Defaults(learning_rate=0.1, rounds=50, eval_every=5)
    loss_label = "mean squared error"

    @override
    def load(self, *, seed: int = 0) -> TaskData:
        rng = np.random.default_rng(seed)
        names = [f"client_{number}" for number in range(self.clients)]
        *clients, test = (self._draw(name, rng) for name in [*names, "test"])
        return TaskData(tuple(clients), test)

    def _draw(self, name: str, rng: np.random.Generator) -> ClientData:
        features = rng.normal(size=(64, len(SLOPES))).astype(np.float32)
        labels = features @ SLOPES + self.noise * rng.normal(size=64)
        return ClientData(name, features, labels.astype(np.float32))

    @override
    def build_model(self, seed: int) -> tff.learning.models.FunctionalModel:
        import tensorflow as tf
        import tensorflow_federated as tff

        slopes = np.random.default_rng(seed).normal(size=len(SLOPES))

        @tf.function
        def predict(weights, x, training):  # noqa: ANN001, ANN202
            del training  # The same in training and evaluation.
            return tf.linalg.matvec(x, weights[0][0])

        def loss(output, label, sample_weight=None):  # noqa: ANN001, ANN202
            del sample_weight  # Nobody weights examples.
            return tf.reduce_mean(tf.square(output - label))

        return tff.learning.models.FunctionalModel(
            initial_weights=((slopes.astype(np.float32),), ()),
            predict_on_batch_fn=predict,
            loss_fn=loss,
            input_spec=(
                tf.TensorSpec([None, len(SLOPES)], tf.float32),
                tf.TensorSpec([None], tf.float32),
            ),
        )
