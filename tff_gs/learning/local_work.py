"""What a client computes in a round: a minibatch gradient, or local updates.

Step 1 of Han, Wang, Leung, ICDCS 2020, Algorithm 1, is `MinibatchGradient`;
`LocalUpdates` takes tau steps of an optimizer first, as FedAvg does (McMahan et al.,
"Communication-efficient learning of deep networks from decentralized data", AISTATS
2017), and contributes how far they led.
"""

from typing import Any, NamedTuple, Self

import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import _checks, _seeds
from tff_gs.configuration import option
from tff_gs.exchange import client_state, client_work
from tff_gs.learning import objective as objective_lib


def _order(seed: tf.Tensor, number: tf.Tensor, examples: tf.Tensor) -> tf.Tensor:
    """The order of the examples in pass `number`, int32 [examples]."""
    draw = tf.random.stateless_uniform(
        [examples], _seeds.derive(seed, _seeds.Purpose.PASS, number)
    )
    return tf.argsort(draw, stable=True)


def minibatch_indices(
    seed: tf.Tensor, number: tf.Tensor, examples: tf.Tensor, batch_size: int
) -> tf.Tensor:
    """Which examples make up a client's minibatch.

    Every pass goes through all examples once, in an order of its own. A minibatch
    that reaches the end of a pass is completed from the start of the next one.

    Args:
      seed: int32 [2], the client's seed; it fixes all passes.
      number: int32 scalar, how many minibatches the client has drawn before.
      examples: int32 scalar, how many examples the client has.
      batch_size: The size wanted; a client with fewer examples uses them all.

    Returns:
      int32 [min(batch_size, examples)].
    """
    size = tf.minimum(batch_size, examples)
    start = tf.cast(number, tf.int64) * tf.cast(size, tf.int64)
    pass_number = tf.cast(start // tf.cast(examples, tf.int64), tf.int32)
    offset = tf.cast(start % tf.cast(examples, tf.int64), tf.int32)
    order = _order(seed, pass_number, examples)
    missing = offset + size - examples
    return tf.cond(
        missing > 0,
        lambda: tf.concat(
            [order[offset:], _order(seed, pass_number + 1, examples)[:missing]], axis=0
        ),
        lambda: order[offset : offset + size],
    )


def count_examples(data: Any) -> tf.Tensor:
    """The number of examples (int32 scalar) in a client's stacked data.

    It is an error of the computation if there is none, or another number of them in
    another part of the data.
    """
    counts = [tf.shape(part)[0] for part in tf.nest.flatten(data)]
    found = tf.strings.join([tf.strings.as_string(count) for count in counts], ", ")
    message = tf.strings.join(
        [
            "Expected the same number of examples, at least one, in all parts of a "
            "client's data, found ",
            found,
            ".",
        ]
    )
    usable = counts[0] > 0
    for count in counts[1:]:
        # In the graph of a TFF computation `==` compares Python's objects.
        usable = tf.logical_and(usable, tf.equal(count, counts[0]))
    with tf.control_dependencies([tf.debugging.Assert(usable, [message])]):
        return tf.identity(counts[0])


def gather_examples(data: Any, indices: tf.Tensor) -> Any:
    """The examples at `indices` (int32 [n]) of a client's stacked data."""
    return tf.nest.map_structure(lambda tensor: tf.gather(tensor, indices), data)


class Inputs(NamedTuple):
    """What a client works on.

    Attributes:
      non_trainable: The model's weights that training leaves alone.
      data: A structure like the model's batch that holds all the client's examples,
        at least one.
    """

    non_trainable: Any
    data: Any


class TrainingRecord(NamedTuple):
    """What a client keeps of its work until the answer comes.

    Attributes:
      local_steps: int32 scalar, tau, minibatch gradients that it computed.
      training_loss: float32 scalar, the mean loss of its minibatches, each at the
        weights that it was used at.
      probe_examples: A batch of random examples of its first minibatch.
      metrics: What the model's own metrics came to on its minibatches, not finalized;
        `()` if it has none.
    """

    local_steps: tf.Tensor
    training_loss: tf.Tensor
    probe_examples: Any
    metrics: Any


class LocalWork(client_work.ClientWork):
    """What both kinds of work share: minibatches, weights, probe examples."""

    batch_size: int = option(
        default=32,
        help="examples of a minibatch; a client with fewer uses all it has",
        at_least=1,
    )
    probe_examples: int = option(
        default=1,
        help="random examples of its minibatch on which a client evaluates the probe "
        "losses",
        at_least=1,
    )
    client_weighting: tff.learning.ClientWeighting = option(
        default=tff.learning.ClientWeighting.NUM_EXAMPLES,
        help="whether clients weigh by their numbers of examples, as in the paper, or "
        "all alike",
    )

    def __post_init__(self) -> None:
        """Checks that a minibatch holds the probe's examples."""
        super().__post_init__()
        _checks.require(
            self.probe_examples <= self.batch_size,
            f"probe_examples between 1 and the batch size {self.batch_size}",
            self.probe_examples,
        )

    def bind(self, objective: objective_lib.Objective) -> Self:
        """The work on a model."""
        inputs = Inputs(
            objective.non_trainable_type,
            tff.types.tensorflow_to_type(objective.input_spec),
        )
        return self._bound(_objective=objective, inputs_type=tff.to_type(inputs))

    @property
    def expected_steps(self) -> int:
        """Minibatch gradients of a round, as far as they are known without the data."""
        return 1

    def _minibatch(
        self, client: client_state.ClientState, data: Any, step: tf.Tensor | int
    ) -> Any:
        """The minibatch of a local step (from 0) of this round."""
        chosen = minibatch_indices(
            client.seed,
            client.rounds * self._local_steps(data) + step,
            count_examples(data),
            self.batch_size,
        )
        return gather_examples(data, chosen)

    def _local_steps(self, data: Any) -> tf.Tensor:
        """Minibatch gradients of a round, int32 scalar; the same in every round."""
        del data
        return tf.constant(self.expected_steps)

    def _contribution(
        self,
        client: client_state.ClientState,
        inputs: Inputs,
        vector: tf.Tensor,
        training_loss: tf.Tensor,
        metrics: Any,
        first_batch: Any,
    ) -> client_work.Contribution:
        size = count_examples(first_batch)
        draw = tf.random.stateless_uniform(
            size[tf.newaxis],
            _seeds.derive(client.seed, _seeds.Purpose.PROBE, client.rounds),
        )
        probed = tf.math.top_k(draw, tf.minimum(self.probe_examples, size)).indices
        return client_work.Contribution(
            vector,
            self._weight(inputs.data),
            TrainingRecord(
                self._local_steps(inputs.data),
                training_loss,
                gather_examples(first_batch, probed),
                metrics,
            ),
        )

    def _weight(self, data: Any) -> tf.Tensor:
        if self.client_weighting is tff.learning.ClientWeighting.UNIFORM:
            return tf.constant(1.0)
        return tf.cast(count_examples(data), tf.float32)


class MinibatchGradient(LocalWork):
    """One minibatch gradient at w(m-1)."""

    @override
    def __call__(
        self, client: client_state.ClientState, inputs: Inputs
    ) -> client_work.Contribution:
        batch = self._minibatch(client, inputs.data, 0)
        loss, gradient, metrics = self._objective.training_pass(
            client.weights, inputs.non_trainable, batch
        )
        return self._contribution(client, inputs, gradient, loss, metrics, batch)


class LocalUpdates(LocalWork):
    """W(m-1) less the weights after some steps of an optimizer from there."""

    optimizer: tff.learning.optimizers.Optimizer = option(
        help="takes the local steps, and begins again in every round; called with "
        "weights and gradients of float32 [D]"
    )
    steps: int | None = option(
        default=None, help="tau, local steps of a round, each on a minibatch of its own"
    )
    epochs: int | None = option(
        default=None,
        help="instead of steps: how often a client goes through its examples in a "
        "round, so tau is epochs times examples over minibatch, rounded up; a round "
        "that ends within a minibatch borrows from the next pass",
    )

    def __post_init__(self) -> None:
        """Checks that either steps or epochs are given."""
        super().__post_init__()
        steps, epochs = self.steps, self.epochs
        if (steps is None) == (epochs is None):
            raise ValueError(
                f"Expected either local steps or local epochs, found {steps} steps and "
                f"{epochs} epochs."
            )
        _checks.require(steps is None or steps >= 1, "at least 1 local step", steps)
        _checks.require(epochs is None or epochs >= 1, "at least 1 local epoch", epochs)

    @property
    @override
    def expected_steps(self) -> int:
        return self.steps or 1

    def _local_steps(self, data: Any) -> tf.Tensor:
        if self.epochs is None:
            return super()._local_steps(data)
        examples = count_examples(data)
        # Rounded up.
        return -(-self.epochs * examples // tf.minimum(self.batch_size, examples))

    @override
    def __call__(
        self, client: client_state.ClientState, inputs: Inputs
    ) -> client_work.Contribution:
        steps = self._local_steps(inputs.data)

        def step(number: tf.Tensor, training: _Training) -> tuple[tf.Tensor, _Training]:
            batch = self._minibatch(client, inputs.data, number)
            loss, gradient, metrics = self._objective.training_pass(
                training.weights, inputs.non_trainable, batch
            )
            optimizer, weights = self.optimizer.next(
                training.optimizer, training.weights, gradient
            )
            metrics = tf.nest.map_structure(tf.add, training.metrics, metrics)
            return number + 1, _Training(
                optimizer, weights, training.losses + loss, metrics
            )

        _, done = tf.while_loop(
            lambda number, _: number < steps,
            step,
            (tf.constant(0), self._begin(client.weights)),
            parallel_iterations=1,
        )
        return self._contribution(
            client,
            inputs,
            client.weights - done.weights,
            done.losses / tf.cast(steps, tf.float32),
            done.metrics,
            self._minibatch(client, inputs.data, 0),
        )

    def _begin(self, weights: tf.Tensor) -> "_Training":
        """What local steps begin with."""
        vector = tf.TensorSpec([self._objective.dimension], tf.float32)
        return _Training(
            self.optimizer.initialize(vector),
            weights,
            tf.constant(0.0),
            tf.nest.map_structure(
                lambda spec: tf.zeros(spec.shape, spec.dtype),
                self._objective.metrics_specs,
            ),
        )


class _Training(NamedTuple):
    """A client's training after some local steps.

    Attributes:
      optimizer: Its state.
      weights: float32 [D].
      losses: float32 scalar, the sum over the steps.
      metrics: The sum of the model's own metrics, not finalized.
    """

    optimizer: Any
    weights: tf.Tensor
    losses: tf.Tensor
    metrics: Any
