"""What a client keeps from one round to the next."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _seeds
from tff_gs.exchange import server_update, transformations


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
      transformation: The state of what its work goes through, see
        `tff_gs.exchange.transformations`.
    """

    client_id: tf.Tensor
    weights: tf.Tensor
    optimizer: Any
    residual: tf.Tensor
    seed: tf.Tensor
    rounds: tf.Tensor
    transformation: Any

    @property
    def replica(self) -> server_update.Replica:
        """The model as the client has it."""
        return server_update.Replica(self.weights, self.optimizer)


class ClientReplica(NamedTuple):
    """A client between its upload and the answer: what the upload did not take over.

    A `ClientState` without residual and transformation: those from before the round
    are not needed any more, and a vector of D that goes into a computation for nothing
    costs time and memory.

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


def client_replicas(clients: tff.Value) -> tff.Value:
    """The `ClientReplica`s of `clients` (`ClientState` at CLIENTS)."""
    return tff.federated_zip(
        ClientReplica(*(getattr(clients, name) for name in ClientReplica._fields))
    )


def client_state_type(
    replica_type: tff.StructWithPythonType,
    transformation: transformations.ClientTransformation = transformations.NONE,
) -> tff.StructWithPythonType:
    """The TFF type of a `ClientState`, from that of a `Replica`."""

    @tff.tensorflow.computation(np.int32, replica_type, tff.TensorType(np.int32, [2]))
    def initial(
        client_id: tf.Tensor, replica: server_update.Replica, seed: tf.Tensor
    ) -> ClientState:
        return initial_client_state(client_id, replica, seed, transformation)

    return initial.type_signature.result


def client_replica_type(state_type: tff.StructWithPythonType) -> tff.StructType:
    """The TFF type of a `ClientReplica`, from that of a `ClientState`."""
    return tff.to_type(
        ClientReplica(*(state_type[name] for name in ClientReplica._fields))
    )


def initial_client_state(
    client_id: tf.Tensor,
    replica: server_update.Replica,
    seed: tf.Tensor,
    transformation: transformations.ClientTransformation = transformations.NONE,
) -> ClientState:
    """The state of a client that has just received the dense model.

    Args:
      client_id: int32 scalar.
      replica: The model.
      seed: int32 [2], the seed of the run.
      transformation: What its work goes through.
    """
    return ClientState(
        client_id=client_id,
        weights=replica.weights,
        optimizer=replica.optimizer,
        residual=tf.zeros_like(replica.weights),
        seed=_seeds.derive(seed, _seeds.Purpose.CLIENT, client_id),
        rounds=tf.constant(0),
        transformation=transformation.initialize(replica.weights.shape[0]),
    )
