"""What a client computes in a round: a minibatch gradient, or local updates.

Step 1 of Han, Wang, Leung, ICDCS 2020, Algorithm 1, is `MinibatchGradient`;
`LocalUpdates` takes tau steps of an optimizer first, as FedAvg does (McMahan et al.,
"Communication-efficient learning of deep networks from decentralized data", AISTATS
2017), and contributes how far they led.
"""

from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import checks, seeds
from tff_gs.exchange import client_state, client_work
from tff_gs.learning import minibatch
from tff_gs.learning import objective as objective_lib


class Inputs(NamedTuple):
    """What a client works on.

    Attributes:
      non_trainable: The model's weights that training leaves alone.
      data: A structure like the model's batch that holds all the client's examples,
        at least one.
    """

    non_trainable: Any
    data: Any


class Kept(NamedTuple):
    """What a client keeps of its work until the answer comes.

    Attributes:
      local_steps: int32 scalar, tau, minibatch gradients that it computed.
      training_loss: float32 scalar, the mean loss of its minibatches, each at the
        weights that it was used at.
      probe_examples: A batch of random examples of its first minibatch.
    """

    local_steps: tf.Tensor
    training_loss: tf.Tensor
    probe_examples: Any


class LocalWork(client_work.ClientWork):
    """What both kinds of work share: minibatches, weights, probe examples.

    Attributes:
      batch_size: Examples of a minibatch.
      probe_examples: Examples on which a client evaluates the probe losses.
    """

    def __init__(
        self,
        objective: objective_lib.Objective,
        *,
        batch_size: int,
        probe_examples: int = 1,
        client_weighting: tff.learning.ClientWeighting = (
            tff.learning.ClientWeighting.NUM_EXAMPLES
        ),
    ) -> None:
        """Builds the work.

        Args:
          objective: The model.
          batch_size: Examples of a minibatch; a client with fewer uses all it has.
          probe_examples: Random examples of its minibatch on which a client
            evaluates the probe losses.
          client_weighting: Whether clients weigh by their numbers of examples, as in
            the paper, or all alike.

        Raises:
          ValueError: If an argument is outside its range.
        """
        checks.require(batch_size >= 1, "a batch_size of at least 1", batch_size)
        checks.require(
            1 <= probe_examples <= batch_size,
            f"probe_examples between 1 and the batch size {batch_size}",
            probe_examples,
        )
        self._objective = objective
        self.batch_size = batch_size
        self.probe_examples = probe_examples
        self._client_weighting = client_weighting
        self.inputs_type = tff.to_type(
            Inputs(
                objective.non_trainable_type,
                tff.types.tensorflow_to_type(objective.input_spec),
            )
        )

    def _minibatch(
        self, client: client_state.ClientState, data: Any, step: tf.Tensor | int
    ) -> Any:
        """The minibatch of a local step (from 0) of this round."""
        chosen = minibatch.minibatch_indices(
            client.seed,
            client.rounds * self._local_steps(data) + step,
            minibatch.count_examples(data),
            self.batch_size,
        )
        return minibatch.gather_examples(data, chosen)

    def _local_steps(self, data: Any) -> tf.Tensor:
        """Minibatch gradients of a round, int32 scalar; the same in every round."""
        del data
        return tf.constant(1)

    def _contribution(
        self,
        client: client_state.ClientState,
        inputs: Inputs,
        vector: tf.Tensor,
        training_loss: tf.Tensor,
        first_batch: Any,
    ) -> client_work.Contribution:
        size = minibatch.count_examples(first_batch)
        draw = tf.random.stateless_uniform(
            size[tf.newaxis],
            seeds.derive(client.seed, seeds.Purpose.PROBE, client.rounds),
        )
        probed = tf.math.top_k(draw, tf.minimum(self.probe_examples, size)).indices
        return client_work.Contribution(
            vector,
            self._weight(inputs.data),
            Kept(
                self._local_steps(inputs.data),
                training_loss,
                minibatch.gather_examples(first_batch, probed),
            ),
        )

    def _weight(self, data: Any) -> tf.Tensor:
        if self._client_weighting is tff.learning.ClientWeighting.UNIFORM:
            return tf.constant(1.0)
        return tf.cast(minibatch.count_examples(data), tf.float32)


class MinibatchGradient(LocalWork):
    """One minibatch gradient at w(m-1)."""

    def __call__(
        self, client: client_state.ClientState, inputs: Inputs
    ) -> client_work.Contribution:
        """See base class."""
        batch = self._minibatch(client, inputs.data, 0)
        loss, gradient = self._objective.loss_and_gradient(
            client.weights, inputs.non_trainable, batch
        )
        return self._contribution(client, inputs, gradient, loss, batch)


class LocalUpdates(LocalWork):
    """W(m-1) less the weights after some steps of an optimizer from there."""

    def __init__(
        self,
        objective: objective_lib.Objective,
        *,
        optimizer: tff.learning.optimizers.Optimizer,
        steps: int | None = None,
        epochs: int | None = None,
        **options: Any,
    ) -> None:
        """Builds the work.

        Args:
          objective: The model.
          optimizer: Begins anew in every round; called with weights and gradients of
            float32 [D].
          steps: tau, local steps of a round, each on a minibatch of its own.
          epochs: Instead of `steps`: how often a client goes through its examples in a
            round, so that tau is epochs times examples over minibatch, rounded up. A
            round that ends within a minibatch borrows from the next pass.
          **options: As of the base class.

        Raises:
          ValueError: If an argument is outside its range, or not one of `steps` and
            `epochs` is given.
        """
        super().__init__(objective, **options)
        if (steps is None) == (epochs is None):
            raise ValueError(
                f"Expected either local steps or local epochs, found {steps} steps and "
                f"{epochs} epochs."
            )
        checks.require(steps is None or steps >= 1, "at least 1 local step", steps)
        checks.require(epochs is None or epochs >= 1, "at least 1 local epoch", epochs)
        self._steps = steps
        self._epochs = epochs
        self._optimizer = optimizer

    def _local_steps(self, data: Any) -> tf.Tensor:
        if self._epochs is None:
            return tf.constant(self._steps)
        examples = minibatch.count_examples(data)
        # Rounded up.
        return -(-self._epochs * examples // tf.minimum(self.batch_size, examples))

    def __call__(
        self, client: client_state.ClientState, inputs: Inputs
    ) -> client_work.Contribution:
        """See base class."""

        def step(
            number: tf.Tensor, state: Any, weights: tf.Tensor, losses: tf.Tensor
        ) -> tuple[tf.Tensor, Any, tf.Tensor, tf.Tensor]:
            loss, gradient = self._objective.loss_and_gradient(
                weights,
                inputs.non_trainable,
                self._minibatch(client, inputs.data, number),
            )
            state, weights = self._optimizer.next(state, weights, gradient)
            return number + 1, state, weights, losses + loss

        steps = self._local_steps(inputs.data)
        initial = self._optimizer.initialize(
            tf.TensorSpec([self._objective.dimension], tf.float32)
        )
        _, _, weights, losses = tf.while_loop(
            lambda number, *_: number < steps,
            step,
            (tf.constant(0), initial, client.weights, tf.constant(0.0)),
            parallel_iterations=1,
        )
        return self._contribution(
            client,
            inputs,
            client.weights - weights,
            losses / tf.cast(steps, tf.float32),
            self._minibatch(client, inputs.data, 0),
        )
