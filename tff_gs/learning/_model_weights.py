"""A model's weights into a server state, and out of it."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _client_values
from tff_gs.learning import objective as objective_lib
from tff_gs.learning.training_round import ServerState


def get(
    objective: objective_lib.Objective, state: ServerState
) -> tff.learning.models.ModelWeights:
    """See `SparsifiedProcess.get_model_weights`."""
    return tff.learning.models.ModelWeights(
        tf.nest.map_structure(
            lambda tensor: tensor.numpy(), objective.unflatten(state.weights)
        ),
        state.non_trainable,
    )


def put(
    objective: objective_lib.Objective, state: ServerState, weights: Any
) -> ServerState:
    """See `SparsifiedProcess.set_model_weights`."""
    weights_type = objective.weights_type
    leaves = _client_values.flatten(weights, weights_type, "the model's weights")
    given = _client_values.pack(leaves, weights_type)
    vector = objective.flatten(given.trainable).numpy()
    changed = _differ(state.weights, vector)
    others_changed = any(
        np.any(_differ(old, new))
        for old, new in zip(
            tf.nest.flatten(state.non_trainable),
            tf.nest.flatten(given.non_trainable),
            strict=True,
        )
    )
    if not others_changed and not np.any(changed):
        return state
    updated = state._replace(weights=vector, non_trainable=given.non_trainable)
    if not np.size(state.client_ids):
        return updated
    catches_up = not isinstance(state.last_changed, tuple)
    if catches_up:
        # A client whose model is of this round is behind from now on, as all others.
        following = np.int32(state.round + 1)
        updated = updated._replace(
            round=following,
            last_changed=np.where(changed, following, state.last_changed),
        )
    if others_changed or not catches_up:
        # What clients have cannot be mended, so the server forgets that they have it.
        updated = updated._replace(client_ids=np.zeros(0, np.int32))
    return updated


def _differ(first: Any, second: Any) -> np.ndarray:
    """Where the bits of two arrays differ: a NaN is itself, 0 and -0 are two."""
    first, second = (np.asarray(array) for array in (first, second))
    if first.dtype.kind not in "fc":
        return first != second
    as_bytes = f"V{first.dtype.itemsize}"
    return np.ascontiguousarray(first).view(as_bytes) != (
        np.ascontiguousarray(second).view(as_bytes)
    )
