"""The interface of a rule for k."""

import abc
from typing import Any, NamedTuple

import tensorflow as tf


class Decision(NamedTuple):
    """What a round is run with.

    Attributes:
      k: int32 scalar, k_m: how many entries travel.
      k_probe: int32 scalar, k'_m < k_m, or 0 where nothing is probed.
    """

    k: tf.Tensor
    k_probe: tf.Tensor


class Feedback(NamedTuple):
    """What the round showed; float64 scalars.

    Attributes:
      round_time: theta(k_m), the time that the round took.
      probe_time: theta(k'_m), the time that it would have taken with k'_m; NaN
        where nothing was probed.
      loss_before: L0, the probe examples' mean loss at w(m-1); NaN likewise.
      loss_after: L1, their loss at w(m); NaN likewise.
      loss_probe: L1', their loss at w'(m); NaN likewise.
      training_loss: Mean minibatch loss of the round at w(m-1).
    """

    round_time: tf.Tensor
    probe_time: tf.Tensor
    loss_before: tf.Tensor
    loss_after: tf.Tensor
    loss_probe: tf.Tensor
    training_loss: tf.Tensor


class Controller(abc.ABC):
    """Chooses k, round after round; all state and arithmetic in TensorFlow.

    The state is a structure of tensors (a NamedTuple of fixed types), so that it
    can live in a TFF server state and be saved with it. One instance serves one
    model dimension D.
    """

    @property
    @abc.abstractmethod
    def probes(self) -> bool:
        """Whether rounds have to measure the probe losses (static)."""

    @abc.abstractmethod
    def initialize(self) -> Any:
        """The state before the first round."""

    @abc.abstractmethod
    def decide(self, state: Any) -> Decision:
        """The k and k' of the coming round: 1 <= k <= D, 0 <= k' < k (0: no probe)."""

    @abc.abstractmethod
    def update(self, state: Any, feedback: Feedback, seed: tf.Tensor) -> Any:
        """The state after a round.

        Args:
          state: The state that `decide` was called with.
          feedback: What the round showed.
          seed: int32 [2], for stateless random numbers; new for every round.
        """

    @abc.abstractmethod
    def sign(self, state: Any) -> tf.Tensor:
        """The derivative's sign that the last update estimated, int32: -1, 0, 1.

        0 also where no sign was defined, or where the rule uses none.
        """
