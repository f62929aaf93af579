"""What a client keeps from one round to the next."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import seeds


class ClientState(NamedTuple):
    """The state of one client of a sparse exchange.

    Attributes:
      client_id: int32 scalar.
      weights: float32 [D], the client's replica of the model, w(m-1).
      residual: float32 [D], a_i: what its gradients added and the server has not
        applied yet.
      seed: int32 [2], from which, with `rounds`, all its random draws follow.
      rounds: int32 scalar, in how many rounds the client has taken part.
    """

    client_id: tf.Tensor
    weights: tf.Tensor
    residual: tf.Tensor
    seed: tf.Tensor
    rounds: tf.Tensor


def client_state_type(dimension: int) -> tff.StructWithPythonType:
    """The TFF type of a `ClientState`."""
    return tff.to_type(
        ClientState(
            client_id=tff.TensorType(np.int32),
            weights=tff.TensorType(np.float32, [dimension]),
            residual=tff.TensorType(np.float32, [dimension]),
            seed=tff.TensorType(np.int32, [2]),
            rounds=tff.TensorType(np.int32),
        )
    )


def initial_client_state(
    client_id: tf.Tensor, weights: tf.Tensor, seed: tf.Tensor
) -> ClientState:
    """The state of a client that has just received the dense model.

    Args:
      client_id: int32 scalar.
      weights: float32 [D].
      seed: int32 [2], the seed of the run.
    """
    return ClientState(
        client_id=client_id,
        weights=weights,
        residual=tf.zeros_like(weights),
        seed=seeds.derive(seed, seeds.Purpose.CLIENT, client_id),
        rounds=tf.constant(0),
    )
