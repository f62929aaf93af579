"""What a client that stayed away receives before it takes part again.

The server keeps, for every coordinate, the round that changed it last. A client whose
model is of round r needs {(j, w_j) : last_changed_j > r}, and asks for it by
`tff.federated_select` with r as its key. Afterwards its replica is the server's, to the
bit.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _growing, _tensor_specs, sparse_vector
from tff_gs.encoders import _leading_code, codec, float_code, message_encoder
from tff_gs.encoders.registry import INDEX_CODES
from tff_gs.exchange import client_state, messages, server_update
from tff_gs.exchange.messages import read_answer

#: What a client sends to ask for its catch-up: the round of its model, an int32.
REQUEST_BITS = 32

_CHECKSUM_BYTES = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartialParticipation:
    """Any subset of the clients may take part in a round.

    >>> PartialParticipation()
    PartialParticipation(index_code='auto')

    Attributes:
      index_code: How the server writes which weights have changed, a name in
        `encoders.INDEX_CODES`; their values are always exact.
    """

    index_code: str = "auto"

    def __post_init__(self) -> None:
        names = [
            name
            for name, choice in INDEX_CODES.items()
            if any(code.writes_any for code in choice().alternatives)
        ]
        if self.index_code not in names:
            raise ValueError(
                "Expected the index code of the catch-up to be one of "
                f"{', '.join(names)}, found {self.index_code!r}."
            )


class CurrentModel(NamedTuple):
    """The model that clients are brought up to, and its history.

    Attributes:
      replica: The model of round m.
      last_changed: int32 [D], the round after which each weight has its bits; 0: it
        has them from the start.
      round: int32 scalar, m: rounds run so far.
    """

    replica: Any
    last_changed: Any
    round: Any


class CatchUpMessage(NamedTuple):
    """All that the server sends to one client before its work.

    Without an entry if the client's model is that of round m already.

    Attributes:
      round: int32 [1], m.
      weights: uint8 [bytes], the encoded weights that changed since the client's
        round, or all of them if that is smaller.
      optimizer: uint8 [bytes], the state of the server's optimizer and a checksum;
        without an entry if it has none.
    """

    round: tf.Tensor
    weights: tf.Tensor
    optimizer: tf.Tensor


class CatchUpReceipt(NamedTuple):
    """What one client received to catch up; int64 scalars.

    Of several clients, int64 [N].

    Attributes:
      rounds: How many rounds its model was behind.
      elements: Weights in the message.
      dense: 1 if these were all D weights, else 0.
      units: Numbers in it (see `tff_gs.costs.cost.Traffic`): two for each weight, or
        D if it holds them all, and those of the optimizer's state.
      bits: Its size.
    """

    rounds: tf.Tensor
    elements: tf.Tensor
    dense: tf.Tensor
    units: tf.Tensor
    bits: tf.Tensor


RECEIPT_TYPE = tff.to_type(CatchUpReceipt(*[np.int64] * len(CatchUpReceipt._fields)))


class CaughtUp(NamedTuple):
    """A client after its catch-up.

    Attributes:
      client: `ClientState`, with the server's model.
      round: int32 scalar, m: the round of that model.
      receipt: `CatchUpReceipt`.
    """

    client: Any
    round: Any
    receipt: Any


def no_receipts() -> CatchUpReceipt:
    """Receipts of no client."""
    return CatchUpReceipt(*(_growing.empty(tf.int64) for _ in CatchUpReceipt._fields))


class CatchUp:
    """The catch-up as TensorFlow code and as a TFF computation.

    Attributes:
      next: `(current@SERVER, clients@CLIENTS, rounds@CLIENTS) -> CaughtUp@CLIENTS`
        with a `CurrentModel`, `ClientState`s and the rounds of their models.
    """

    next: tff.Computation

    def __init__(
        self,
        update: server_update.ServerUpdate,
        *,
        tensor_sizes: Sequence[int],
        participation: PartialParticipation,
        state_type: tff.StructWithPythonType | None = None,
    ) -> None:
        """Builds the catch-up.

        Args:
          update: How the model changes: it says what a replica consists of.
          tensor_sizes: How many of the D weights each tensor of the model has, in
            order.
          participation: How messages are written.
          state_type: The TFF type of a `ClientState`; None: one whose work goes
            through no transformation.
        """
        self._dimension = update.dimension
        self._code = _encoder(participation, update.dimension, tensor_sizes)
        self._replica_type = update.replica_type
        self._optimizer_leaves = _tensor_specs.leaves(update.replica_type.optimizer)
        self._optimizer_numbers = sum(
            spec.shape.num_elements() for spec in self._optimizer_leaves
        )
        if state_type is None:
            state_type = client_state.client_state_type(update.replica_type)
        self.next = self._build_next(state_type)

    def initialize(self) -> tf.Tensor:
        """`CurrentModel.last_changed` of a model that never changed."""
        return tf.zeros([self._dimension], tf.int32)

    def advance(
        self,
        last_changed: tf.Tensor,
        before: tf.Tensor,
        after: tf.Tensor,
        number: tf.Tensor,
    ) -> tf.Tensor:
        """`CurrentModel.last_changed` after a round.

        Args:
          last_changed: int32 [D], before it.
          before: float32 [D], the weights before it.
          after: float32 [D], the weights after it.
          number: int32 scalar, the round's number, counted from 1.
        """
        changed = tf.not_equal(
            tf.bitcast(before, tf.int32), tf.bitcast(after, tf.int32)
        )
        return tf.where(changed, number, last_changed)

    def write(self, current: CurrentModel, client_round: tf.Tensor) -> CatchUpMessage:
        """What the server sends to a client whose model is of `client_round`."""
        behind = client_round < current.round
        # One that claims a later round is told this one, and nothing else.
        differs = tf.not_equal(client_round, current.round)
        nothing = functools.partial(tf.zeros, [0], tf.uint8)
        return CatchUpMessage(
            current.round[tf.newaxis][: tf.cast(differs, tf.int32)],
            tf.cond(
                behind, lambda: self._write_weights(current, client_round), nothing
            ),
            tf.cond(behind, lambda: _to_bytes(current.replica.optimizer), nothing),
        )

    def read(
        self,
        replica: server_update.Replica,
        client_round: tf.Tensor,
        message: CatchUpMessage,
    ) -> tuple[server_update.Replica, CatchUpReceipt]:
        """The server's model at a client, from the client's of `client_round`.

        Raises:
          tf.errors.InvalidArgumentError: When run, if the client's model is of a later
            round than the server's, or the message is damaged.
        """
        check = tf.debugging.assert_less_equal(
            client_round,
            _newest(message, client_round),
            "Expected clients whose model is of the server's round or an earlier one, "
            "found one of a later round.",
        )
        with tf.control_dependencies([check]):
            behind = tf.size(message.round) > 0
        weights, elements = tf.cond(
            behind,
            lambda: self._read_weights(replica, message),
            lambda: (replica.weights, tf.constant(0)),
        )
        optimizer = replica.optimizer
        if self._optimizer_leaves:
            optimizer = tf.cond(
                behind,
                lambda: _from_bytes(message.optimizer, replica.optimizer),
                lambda: replica.optimizer,
            )
        dense = tf.equal(elements, self._dimension)
        numbers = tf.constant(self._optimizer_numbers, tf.int64)
        receipt = CatchUpReceipt(
            # Nothing is in the message of a client that is not behind.
            rounds=tf.cast(tf.reduce_sum(message.round - client_round), tf.int64),
            elements=tf.cast(elements, tf.int64),
            dense=tf.cast(dense, tf.int64),
            units=tf.cast(tf.where(dense, self._dimension, 2 * elements), tf.int64)
            + tf.where(behind, numbers, 0),
            bits=messages.size_in_bits(message),
        )
        return server_update.Replica(weights, optimizer), receipt

    def limits(self, number: tf.Tensor) -> CatchUpReceipt:
        """The most that a client can have received in a round.

        Args:
          number: int32 scalar, the round's number.
        """
        optimizer_bits = sum(
            8 * spec.shape.num_elements() * spec.dtype.size
            for spec in self._optimizer_leaves
        )
        frame_bits = 32 + 8 * _CHECKSUM_BYTES
        weights_bits = 8 * tf.cast(self._code.max_bytes(), tf.int64)
        return CatchUpReceipt(
            rounds=tf.cast(number, tf.int64),
            elements=tf.constant(self._dimension, tf.int64),
            dense=tf.constant(1, tf.int64),
            units=tf.constant(2 * self._dimension + self._optimizer_numbers, tf.int64),
            bits=weights_bits + optimizer_bits + frame_bits,
        )

    def _write_weights(
        self, current: CurrentModel, client_round: tf.Tensor
    ) -> tf.Tensor:
        """The weights that changed since, or all if that is smaller."""
        weights = current.replica.weights
        seed = tf.constant([0, 0])
        changed = tf.where(current.last_changed > client_round)[:, 0]
        entries = sparse_vector.gather(weights, tf.cast(changed, tf.int32))
        message = self._code.encode(entries, seed).message
        bits = tf.cast(messages.size_in_bits(message), tf.float64)
        # Exact: that all indices are there takes no bits to say.
        dense_bits = self._code.estimate_bits(tf.constant(self._dimension))

        def all_weights() -> tf.Tensor:
            everything = sparse_vector.SparseVector(tf.range(self._dimension), weights)
            return self._code.encode(everything, seed).message

        return tf.cond(dense_bits < bits, all_weights, lambda: message)

    def _read_weights(
        self, replica: server_update.Replica, message: CatchUpMessage
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The weights of the server, and how many of them were in the message."""
        entries = read_answer(self._code, message.weights, self._dimension)
        weights = sparse_vector.put(replica.weights, entries.indices, entries.values)
        return weights, tf.size(entries.indices)

    def _apply(
        self,
        client: client_state.ClientState,
        client_round: tf.Tensor,
        messages: tf.data.Dataset,
    ) -> CaughtUp:
        """The client with the model of the one message."""
        message = messages.get_single_element()
        replica, receipt = self.read(client.replica, client_round, message)
        updated = client._replace(weights=replica.weights, optimizer=replica.optimizer)
        return CaughtUp(updated, _newest(message, client_round), receipt)

    def _build_next(self, state_type: tff.StructWithPythonType) -> tff.Computation:
        """See the class."""
        current_type = tff.to_type(
            CurrentModel(
                self._replica_type,
                tff.TensorType(np.int32, [self._dimension]),
                tff.TensorType(np.int32),
            )
        )
        select = tff.tensorflow.computation(self.write, (current_type, np.int32))
        as_key = tff.tensorflow.computation(lambda number: number[tf.newaxis], np.int32)
        apply = tff.tensorflow.computation(
            self._apply,
            (state_type, np.int32, tff.SequenceType(select.type_signature.result)),
        )

        @tff.federated_computation(
            tff.FederatedType(current_type, tff.SERVER),
            tff.FederatedType(state_type, tff.CLIENTS),
            tff.FederatedType(np.int32, tff.CLIENTS),
        )
        def next_fn(
            current: tff.Value, clients: tff.Value, rounds: tff.Value
        ) -> tff.Value:
            messages = tff.federated_select(
                tff.federated_map(as_key, rounds), current.round, current, select
            )
            return tff.federated_map(apply, (clients, rounds, messages))

        return next_fn


def _newest(message: CatchUpMessage, client_round: tf.Tensor) -> tf.Tensor:
    """The server's round: without an entry in the message, it is the client's."""
    return tf.concat([message.round, client_round[tf.newaxis]], axis=0)[0]


def _encoder(
    participation: PartialParticipation, dimension: int, tensor_sizes: Sequence[int]
) -> codec.Codec:
    """Writes any exact list, and all weights without a word on which they are."""
    named = INDEX_CODES.build(participation.index_code).alternatives
    codes = dict.fromkeys((*named, _leading_code.LeadingCode()))
    return message_encoder.MessageEncoder(
        [code.bind(dimension=dimension, tensor_sizes=tensor_sizes) for code in codes],
        float_code.Float32Code(),
        dimension=dimension,
    )


def _to_bytes(structure: Any) -> tf.Tensor:
    """All tensors in `structure` as they are, and a checksum; uint8 [bytes]."""
    leaves = tf.nest.flatten(structure)
    if not leaves:
        return tf.zeros([0], tf.uint8)
    body = tf.concat(
        [tf.reshape(tf.bitcast(leaf, tf.uint8), [-1]) for leaf in leaves], axis=0
    )
    return tf.concat([body, message_encoder.checksum(body)], axis=0)


def _from_bytes(message: tf.Tensor, like: Any) -> Any:
    """The structure, as `like`, that `_to_bytes` wrote."""
    body, written = message[:-_CHECKSUM_BYTES], message[-_CHECKSUM_BYTES:]
    check = tf.debugging.assert_equal(
        message_encoder.checksum(body),
        written,
        "The server's message was damaged.",
    )
    leaves, start = [], 0
    with tf.control_dependencies([check]):
        for leaf in tf.nest.flatten(like):
            end = start + leaf.shape.num_elements() * leaf.dtype.size
            shape = [*leaf.shape] + ([leaf.dtype.size] if leaf.dtype.size > 1 else [])
            part = tf.reshape(body[start:end], shape)
            leaves.append(tf.bitcast(part, leaf.dtype))
            start = end
    return tf.nest.pack_sequence_as(like, leaves)
