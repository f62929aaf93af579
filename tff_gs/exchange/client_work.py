"""What a client adds to its residual in a round."""

import abc
from typing import Any, NamedTuple, Self

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import configuration
from tff_gs.exchange import client_state


class Contribution(NamedTuple):
    """The result of a client's work in a round.

    Attributes:
      vector: float32 [D], what is added to the residual: a gradient, or w less the
        weights after local updates.
      weight: float32 scalar, the client's weight (C_i, its number of examples).
      kept: What the client needs again when the answer has come.
    """

    vector: tf.Tensor
    weight: tf.Tensor
    kept: Any


class ClientWork(configuration.Configuration, abc.ABC):
    """What clients do before an exchange; TensorFlow code.

    Attributes:
      inputs_type: The TFF type of what a client works on; known when bound.
    """

    @abc.abstractmethod
    def __call__(self, client: client_state.ClientState, inputs: Any) -> Contribution:
        """The contribution of one client."""


class Given(NamedTuple):
    """A contribution that was computed elsewhere.

    Attributes:
      vector: float32 [D].
      weight: float32 scalar.
    """

    vector: Any
    weight: Any


class GivenVector(ClientWork):
    """Takes the contribution as it is given, and keeps nothing."""

    def bind(self, dimension: int) -> Self:
        """Takes vectors of `dimension` (D) entries."""
        vector = tff.TensorType(np.float32, [dimension])
        return self._bound(
            inputs_type=tff.to_type(Given(vector, tff.TensorType(np.float32)))
        )

    @override
    def __call__(self, client: client_state.ClientState, inputs: Given) -> Contribution:
        del client
        return Contribution(inputs.vector, inputs.weight, kept=())
