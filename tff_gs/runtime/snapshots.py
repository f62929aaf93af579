"""All clients' states of one moment, as arrays of a structure that never changes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff


class Snapshot(NamedTuple):
    """The states themselves.

    Attributes:
      known: bool [N], of which clients there is a state.
      states: A client's state with arrays [N, ...] in place of its own; zeros if
        there is none.
    """

    known: np.ndarray
    states: Any


def zeros(state_type: tff.Type, clients: int) -> Any:
    """A client's state with arrays [N, ...] of zeros, which take no memory.

    Args:
      state_type: The type of one client's state.
      clients: N.
    """
    return tff.types.type_to_py_container(_zeros(state_type, clients), state_type)


def collect(state_type: tff.Type, clients: int, states: Mapping[int, Any]) -> Snapshot:
    """The snapshot of the states of some clients.

    Args:
      state_type: The type of one client's state.
      clients: N.
      states: By client id, each below N.
    """
    # Zeros that nobody writes to take no memory.
    arrays = tf.nest.map_structure(
        lambda like: np.zeros(like.shape, like.dtype), zeros(state_type, clients)
    )
    known = np.zeros(clients, bool)
    for client, state in states.items():
        known[client] = True
        for array, leaf in zip(
            tf.nest.flatten(arrays), tf.nest.flatten(state), strict=True
        ):
            array[client] = leaf
    return Snapshot(known, arrays)


def take_apart(snapshot: Snapshot) -> dict[int, Any]:
    """The states by client id, as views."""
    return {
        client: tf.nest.map_structure(lambda array, c=client: array[c], snapshot.states)
        for client in map(int, np.flatnonzero(snapshot.known))
    }


def _zeros(type_signature: tff.Type, clients: int) -> Any:
    if isinstance(type_signature, tff.StructType):
        return tff.structure.Struct(
            (name, _zeros(element, clients))
            for name, element in tff.structure.iter_elements(type_signature)
        )
    shape = (clients, *type_signature.shape)
    return np.broadcast_to(np.zeros((), type_signature.dtype), shape)
