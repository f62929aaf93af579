"""What a client keeps from one round to the next."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import seeds
from tff_gs.exchange import server_update


class ClientState(NamedTuple):
    """The state of one client of a sparse exchange.

    Attributes:
      client_id: int32 scalar.
      weights: float32 [D], the client's replica of the model, w(m-1).
      optimizer: Its replica of the server's optimizer.
      residual: float32 [D], a_i: what its gradients added and the server has not
        applied yet.
      seed: int32 [2], from which, with `rounds`, all its random draws follow.
      rounds: int32 scalar, in how many rounds the client has taken part.
    """

    client_id: tf.Tensor
    weights: tf.Tensor
    optimizer: Any
    residual: tf.Tensor
    seed: tf.Tensor
    rounds: tf.Tensor

    @property
    def replica(self) -> server_update.Replica:
        """The model as the client has it."""
        return server_update.Replica(self.weights, self.optimizer)


class Waiting(NamedTuple):
    """A client between its upload and the answer: a `ClientState` but for its residual.

    The residual from before the round is not needed any more, and a vector of D that
    goes into a computation for nothing costs time and memory.

    Attributes: see `ClientState`.
    """

    client_id: Any
    weights: Any
    optimizer: Any
    seed: Any
    rounds: Any

    @property
    def replica(self) -> server_update.Replica:
        """The model as the client has it."""
        return server_update.Replica(self.weights, self.optimizer)


def waiting(clients: tff.Value) -> tff.Value:
    """What of `clients` (`ClientState` at CLIENTS) waits for the answer."""
    return tff.federated_zip(
        Waiting(*(getattr(clients, name) for name in Waiting._fields))
    )


def client_state_type(
    replica_type: tff.StructWithPythonType,
) -> tff.StructWithPythonType:
    """The TFF type of a `ClientState`, from that of a `Replica`."""
    return tff.to_type(
        ClientState(
            client_id=tff.TensorType(np.int32),
            weights=replica_type.weights,
            optimizer=replica_type.optimizer,
            residual=replica_type.weights,
            seed=tff.TensorType(np.int32, [2]),
            rounds=tff.TensorType(np.int32),
        )
    )


def waiting_type(replica_type: tff.StructWithPythonType) -> tff.StructWithPythonType:
    """The TFF type of a `Waiting`, from that of a `Replica`."""
    state = client_state_type(replica_type)
    return tff.to_type(Waiting(*(state[name] for name in Waiting._fields)))


def initial_client_state(
    client_id: tf.Tensor, replica: server_update.Replica, seed: tf.Tensor
) -> ClientState:
    """The state of a client that has just received the dense model.

    Args:
      client_id: int32 scalar.
      replica: The model.
      seed: int32 [2], the seed of the run.
    """
    return ClientState(
        client_id=client_id,
        weights=replica.weights,
        optimizer=replica.optimizer,
        residual=tf.zeros_like(replica.weights),
        seed=seeds.derive(seed, seeds.Purpose.CLIENT, client_id),
        rounds=tf.constant(0),
    )
