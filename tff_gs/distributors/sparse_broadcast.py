"""A distributor that broadcasts a sparse, encoded change of the model."""

import collections
from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _flat_structure, _seeds, _tensor_specs, sparse_vector
from tff_gs.distributors import count_rule
from tff_gs.encoders import encoder
from tff_gs.exchange import messages
from tff_gs.sparsifiers import top_k


class SparseBroadcastState(NamedTuple):
    """What the server keeps.

    Attributes:
      replica: float32 [D], what clients that heard every message have.
      round: int32 scalar, counted from 0.
      rule: The state of the rule for k.
    """

    replica: tf.Tensor
    round: tf.Tensor
    rule: Any


class Broadcast(NamedTuple):
    """What travels to the clients.

    Attributes:
      cached: float32 [D], the replica before this round's message; it travels in
        simulation only.
      message: uint8 [bytes].
      whole: What is not sparsified.
    """

    cached: tf.Tensor
    message: tf.Tensor
    whole: Any


class SparseBroadcast:
    """What server and clients compute; TensorFlow code, which also runs eagerly."""

    def __init__(
        self,
        value_type: tff.Type,
        *,
        k: count_rule.KOption,
        downlink_encoder: encoder.Encoder,
        seed: int,
    ) -> None:
        """Makes the steps; arguments as of `build_sparse_broadcast_process`."""
        self._parts = _Parts(value_type)
        self._flat = _flat_structure.FlatStructure.of_type(self._parts.sparse_type)
        self._dimension = self._flat.dimension
        self._rule = count_rule.build_rule(k, self._dimension, seed=seed)
        self._code = downlink_encoder.bind(
            dimension=self._dimension, tensor_sizes=self._flat.tensor_sizes
        )
        self._seed = seed

    def initial_state(self) -> SparseBroadcastState:
        """The state before the first round."""
        return SparseBroadcastState(
            replica=tf.zeros([self._dimension], tf.float32),
            round=tf.constant(0),
            rule=self._rule.initialize(),
        )

    def write(
        self, state: SparseBroadcastState, value: Any
    ) -> tuple[SparseBroadcastState, Broadcast, Any]:
        """At the server: the next state, what travels, and the measurements."""
        sparse, whole = self._parts.split(value)
        weights = _require_finite(self._flat.flatten(sparse))
        is_first = tf.equal(state.round, 0)
        cached = tf.where(is_first, weights, state.replica)
        change = weights - cached
        count = tf.where(is_first, 0, self._rule.choose(state.rule, change))
        entries = sparse_vector.gather(change, top_k.top_k_indices(change, count))
        run_seed = _seeds.of_run(self._seed)
        encoded = self._code.encode(
            entries, _seeds.derive(run_seed, _seeds.Purpose.DOWNLINK, state.round)
        )
        replica = _apply(cached, entries._replace(values=encoded.received))
        updated = SparseBroadcastState(
            replica=replica,
            round=state.round + 1,
            rule=self._rule.update(state.rule, run_seed, state.round),
        )
        measurements = collections.OrderedDict(
            k=count,
            **self._sizes(encoded.message, count, is_first),
            change_norm=tf.norm(change),
            pending_norm=tf.norm(weights - replica),
        )
        return updated, Broadcast(cached, encoded.message, whole), measurements

    def read(self, received: Broadcast) -> Any:
        """At a client: the value that the server has from now on, too."""
        change = messages.read_answer(self._code, received.message, self._dimension)
        weights = _apply(received.cached, change)
        return self._parts.join(self._flat.unflatten(weights), received.whole)

    def _sizes(
        self, message: tf.Tensor, count: tf.Tensor, is_first: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """The measurements of size; the first message is not sent."""
        first = tf.cast(is_first, tf.int64)
        dense_bits = 32 * self._dimension
        whole_bits = _size_in_bits(self._parts.whole_type)
        message_bits = (1 - first) * messages.size_in_bits(message)
        index_bits = self._code.sizes(message).index_bits
        return collections.OrderedDict(
            downlink_bits=message_bits + first * dense_bits + whole_bits,
            message_bits=message_bits,
            dense_bits=first * dense_bits,
            whole_bits=tf.constant(whole_bits, tf.int64),
            cached_bits=(1 - first) * dense_bits,
            bits_per_index=tf.math.divide_no_nan(
                tf.cast(index_bits, tf.float32), tf.cast(count, tf.float32)
            ),
        )


def build_sparse_broadcast_process(
    value_type: tff.Type,
    *,
    k: count_rule.KOption,
    downlink_encoder: encoder.Encoder = encoder.EXACT,
    seed: int = 0,
) -> tff.learning.templates.DistributionProcess:
    """Builds a process that sends the k largest entries of the model's change.

    In each round, the server compares the weights w with the replica v that clients
    are known to have, encodes the k entries of w - v of largest magnitude, and adds to
    v what can be read back from that message; clients do the same and train from v.
    What the message lacks, left out or rounded away, stays in w - v and grows into
    the next selection: error feedback for the downlink.

    **What is simulated.** TFF's clients keep nothing between rounds, so this
    process also broadcasts v itself, in place of the copy that a client of a real
    deployment would have kept. Clients apply the encoded message to it, to the bit as
    the server did. The measured `downlink_bits` take it as kept: they are those of a
    client that heard every message so far, dense first. A client that missed some
    has to be brought up to date first, by those messages or by v (`cached_bits`);
    if cohorts are sampled, `downlink_bits` are a lower bound. The first
    round sends the model dense, and says so in its measurements.

    Of a `tff.learning.models.ModelWeights`, the trainable weights are sparsified, and
    the others are sent whole in every round. Arithmetic is float32; a trainable weight
    of another float is cast to it and back.

    The `state` is a `SparseBroadcastState`. The `measurements` are

    * `k`: int32, entries in the message; 0 in the first round;
    * `downlink_bits`: int64, for one client: the sum of the next three;
    * `message_bits`: int64, the encoded change; 0 in the first round;
    * `dense_bits`: int64, the dense model; 0 except in the first round;
    * `whole_bits`: int64, the weights that are not trainable;
    * `cached_bits`: int64, the replica that clients are taken to have kept; 0 in the
      first round;
    * `bits_per_index`: float32, index bits of the message per entry in it;
    * `change_norm`, `pending_norm`: float32, the l2 norm of w - v before and after.

    Sparse broadcast of changes with error feedback at the server: Tang et al.,
    "DoubleSqueeze: parallel stochastic gradient descent with double-pass
    error-compensated compression", ICML 2019.

    Args:
      value_type: The type of the model weights, a `ModelWeights` or any structure of
        floats; of a learning process
        `process.get_model_weights.type_signature.result`, of a model
        `tff.learning.models.weights_type_from_model(model)`.
      k: A count (int), a fraction of D (float), or a rule: a `CountRule` such as
        `EnergyShare(share=0.9)`, or a controller that needs no feedback, such as a
        schedule.
      downlink_encoder: How the server writes the change.
      seed: Of value codes that round stochastically.

    Returns:
      A `tff.learning.templates.DistributionProcess`. A round fails if a trainable
      weight is not finite: such a change has no message.

    Raises:
      TypeError: If the sparsified part is not a structure of floats with entries.
      ValueError: If k is out of its range for D, or its rule needs probes.
    """
    steps = SparseBroadcast(
        value_type, k=k, downlink_encoder=downlink_encoder, seed=seed
    )
    initial_state = tff.tensorflow.computation(steps.initial_state)
    state_type = initial_state.type_signature.result
    write = tff.tensorflow.computation(steps.write, (state_type, value_type))
    read = tff.tensorflow.computation(steps.read, write.type_signature.result[1])

    @tff.federated_computation
    def initialize_fn() -> tff.Value:
        return tff.federated_eval(initial_state, tff.SERVER)

    @tff.federated_computation(
        tff.FederatedType(state_type, tff.SERVER),
        tff.FederatedType(value_type, tff.SERVER),
    )
    def next_fn(
        state: tff.Value, value: tff.Value
    ) -> tff.templates.MeasuredProcessOutput:
        updated, broadcast, measurements = tff.federated_map(write, (state, value))
        result = tff.federated_map(read, tff.federated_broadcast(broadcast))
        return tff.templates.MeasuredProcessOutput(updated, result, measurements)

    return tff.learning.templates.DistributionProcess(initialize_fn, next_fn)


class _Parts:
    """Which part of a value is sparsified, and which is sent whole.

    Attributes:
      sparse_type: The type of the first.
      whole_type: The type of the second; an empty structure where there is none.
    """

    def __init__(self, value_type: tff.Type) -> None:
        self._is_model = (
            isinstance(value_type, tff.StructWithPythonType)
            and value_type.python_container is tff.learning.models.ModelWeights
        )
        self.sparse_type, self.whole_type = (
            (value_type.trainable, value_type.non_trainable)
            if self._is_model
            else (value_type, tff.StructWithPythonType([], tuple))
        )

    def split(self, value: Any) -> tuple[Any, Any]:
        return (value.trainable, value.non_trainable) if self._is_model else (value, ())

    def join(self, sparse: Any, whole: Any) -> Any:
        if not self._is_model:
            return sparse
        return tff.learning.models.ModelWeights(sparse, whole)


def _require_finite(weights: tf.Tensor) -> tf.Tensor:
    finite = tf.math.is_finite(weights)
    count = tf.reduce_sum(1 - tf.cast(finite, tf.int32))
    check = tf.debugging.Assert(
        tf.reduce_all(finite),
        ["Expected finite trainable weights to send, found", count, "that are not."],
    )
    with tf.control_dependencies([check]):
        return tf.identity(weights)


def _apply(weights: tf.Tensor, change: sparse_vector.SparseVector) -> tf.Tensor:
    """The weights with the change: the same operation at server and clients."""
    return tf.tensor_scatter_nd_add(
        weights, change.indices[:, tf.newaxis], change.values
    )


def _size_in_bits(value_type: tff.Type) -> int:
    leaves = _tensor_specs.leaves(value_type)
    return sum(8 * spec.shape.num_elements() * spec.dtype.size for spec in leaves)
