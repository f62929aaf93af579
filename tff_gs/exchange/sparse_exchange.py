"""The sparse exchange: steps 2 to 5 of a round, as one TFF process.

Han, Wang, Leung, ICDCS 2020, Algorithm 1. A round, and who does what:

    client  a_i <- a_i + its work                          `SparseExchange.upload`
    client  J_i <- top-k of a_i; send encode(a_i at J_i)   `SparseExchange.upload`
    server  collect the messages; check and decode them    `SparseExchange.read`
    server  J, b <- what the sparsifier selects of them    `SparseExchange.select`
    server  w <- w - eta b; send encode(b)                 `SparseExchange.select`
    client  w <- w - eta b; a_i <- 0 at J_i and J          `SparseExchange.receive`

Between SERVER and CLIENTS travel encoded index-value messages and scalars, never a
vector of D: clients keep a replica of the weights and apply the sparse update that the
server applies.

No client is believed on its word. How many entries count is what the server told, not
what a message says; a message under an id that is unknown or was accepted before, with
a weight or norm outside the bounds, or with entries that do not decode, is refused and
counts for nothing.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _checks, _seeds, _sums, sparse_vector
from tff_gs.encoders import codec, names
from tff_gs.exchange import (
    _stopwatch,
    client_state,
    client_work,
    messages,
    receipts,
    server_update,
    transformations,
)
from tff_gs.exchange.messages import read_answer
from tff_gs.sparsifiers import sparsifier as sparsifier_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class MessageBounds:
    """What a message may say at most; beyond it, it is refused.

    >>> MessageBounds(max_weight=1000)
    MessageBounds(max_weight=1000, max_norm=None)

    Attributes:
      max_weight: The largest weight C_i. Up to 2**24 a number of examples is exact in
        float32.
      max_norm: The largest l2 norm of the entries; None: any finite entries. A
        client's residual grows while it waits, so leave room for several rounds.
    """

    max_weight: float = 2.0**24
    max_norm: float | None = None

    def __post_init__(self) -> None:
        _checks.require_positive(self.max_weight, "max_weight")
        if self.max_norm is not None:
            _checks.require_positive(self.max_norm, "max_norm")


class Outcome(NamedTuple):
    """What the server knows after an exchange.

    Attributes:
      receipts: What was received, message by message.
      downlink_elements: int32 scalar, |J|.
      notes_elements: int32 scalar, how many notes went with it.
      shared_elements: int32 scalar, how many shared numbers went before it.
      downlink_bits: int64 scalar, the size of all that one client received, what it
        was told before its upload included.
      downlink_sizes: Where the bits of the update's message went.
      kappa: int32 scalar, see `tff_gs.sparsifiers.sparsifier.Selection`.
      probe_message: uint8 [bytes], how the update differs at k': the encoded
        `Selection.probe`.
      probe_elements: int32 scalar, the number of entries in it.
      probe_count: int32 scalar, |J'|.
      probe_notes_elements: int32 scalar, how many notes k' would have given.
      decode_seconds: float64 scalar, the server's time for decoding all messages.
      ordered_update: {(j, b_j) : j in J} by coordinate, as it is applied, in the order
        of `tff_gs.sparsifiers.sparsifier.Sparsifier.order`; `()` unless wanted.
    """

    receipts: receipts.Receipts
    downlink_elements: tf.Tensor
    notes_elements: tf.Tensor
    shared_elements: tf.Tensor
    downlink_bits: tf.Tensor
    downlink_sizes: codec.Sizes
    kappa: tf.Tensor
    probe_message: tf.Tensor
    probe_elements: tf.Tensor
    probe_count: tf.Tensor
    probe_notes_elements: tf.Tensor
    decode_seconds: tf.Tensor
    ordered_update: sparse_vector.SparseVector | tuple[()] = ()


class PendingUpload(NamedTuple):
    """What a client remembers of its upload until the answer comes.

    Attributes:
      residual: float32 [D], a_i as it was sent from.
      coordinates: int32 [n], those of the entries in the message, in its order.
      sent: bool scalar, False if the message holds no entries because the client's
        work was not finite.
      lost: float32 [n], what the value code changed: sent less received values.
      tag: int32 scalar, see `tff_gs.exchange.messages.tag`.
      transformation: See `ClientState`.
      encode_seconds: float64 scalar, the client's time for encoding.
      kept: See `tff_gs.exchange.client_work.Contribution`.
    """

    residual: tf.Tensor
    coordinates: tf.Tensor
    sent: tf.Tensor
    lost: tf.Tensor
    tag: tf.Tensor
    transformation: Any
    encode_seconds: tf.Tensor
    kept: Any


class Received(NamedTuple):
    """What a client has after the answer.

    Attributes:
      client: `ClientState`, with w(m) and the new residual.
      contributed: int32 scalar, |J and J_i|.
      update: {(j, b_j) : j in J}, by coordinate.
    """

    client: client_state.ClientState
    contributed: tf.Tensor
    update: sparse_vector.SparseVector


class Exchanged(NamedTuple):
    """The result of `SparseExchange.send`: all but what clients do with the answer.

    Attributes:
      replica: `Replica` at SERVER, the model after the round.
      answer: `DownlinkMessage` at SERVER.
      pending: `PendingUpload` at CLIENTS.
      outcome: `Outcome` at SERVER.
    """

    replica: Any
    answer: Any
    pending: Any
    outcome: Any


class ExchangeOutput(NamedTuple):
    """The result of `SparseExchange.next`.

    Attributes:
      replica: `Replica` at SERVER, the model after the round.
      clients: `ClientState` at CLIENTS, with the same model and the new residual.
      contributed: int32 scalar at CLIENTS, |J and J_i|.
      outcome: `Outcome` at SERVER.
    """

    replica: Any
    clients: Any
    contributed: Any
    outcome: Any


class _Read(NamedTuple):
    """What is known when some messages have been read."""

    accumulator: Any  # of the sparsifier
    accepted_id: tf.Tensor  # int64 scalar, of the last accepted message
    seconds: tf.Tensor  # float64 scalar, for decoding
    notes: tf.TensorArray  # int64 [5] for each message: see `_Note`


class _Note(NamedTuple):
    """What is noted of one message; scalars."""

    error: tf.Tensor
    elements: tf.Tensor
    index_bits: tf.Tensor
    value_bits: tf.Tensor
    overhead_bits: tf.Tensor


#: Any finite entries of clients with up to 2**24 examples.
DEFAULT_BOUNDS = MessageBounds()

_NOBODY = np.int64(2**32)


class SparseExchange:
    """The exchange: its steps as TensorFlow code, and as TFF computations.

    Attributes:
      dimension: D.
      sparsifier: What clients send and what the server selects.
      state_type: The TFF type of a `ClientState`.
      initialize_clients: `(replica@SERVER, seed@SERVER, client_ids@CLIENTS) ->
        ClientState@CLIENTS`: the one dense download.
      send: `(replica@SERVER, config@SERVER, roster@SERVER, seed@SERVER,
        clients@CLIENTS, inputs@CLIENTS) -> Exchanged`: the clients' work, the uplink,
        the selection. `config` is a `RoundConfig`, `roster` the ids of all clients
        that may take part, int32 [M], ascending. What is CLIENTS-placed comes last,
        because TFF's mergeable context counts the clients of the last argument.
      next: `send` and `receive`; arguments as of `send`, returns `ExchangeOutput`.
      uplink_encoder: How clients write their entries: without indices if the
        sparsifier's are implicit.
      downlink_encoder: How the server writes the update, likewise.
    """

    initialize_clients: tff.Computation
    send: tff.Computation
    next: tff.Computation

    def __init__(
        self,
        *,
        sparsifier: sparsifier_lib.Sparsifier,
        uplink_encoder: codec.Codec,
        downlink_encoder: codec.Codec,
        probe_encoder: codec.Codec,
        update: server_update.ServerUpdate,
        work: client_work.ClientWork | None = None,
        transformation: Sequence[transformations.ClientTransformation] = (),
        bounds: MessageBounds = DEFAULT_BOUNDS,
        keeps_order: bool = False,
    ) -> None:
        """Builds the exchange for vectors of `sparsifier.dimension` entries.

        Args:
          sparsifier: What clients send and what the server selects.
          uplink_encoder: How clients write their entries. What a lossy value code
            changes stays in the client's residual. If the sparsifier's indices are
            implicit, its index code is not used, nor is the next one's.
          downlink_encoder: How the server writes the update; server and clients both
            apply what can be read back from the message.
          probe_encoder: How the server writes what differs at k'; exact values.
          update: How the model changes.
          work: What clients add to their residuals; by default vectors that are given,
            see `tff_gs.exchange.client_work.Given`.
          transformation: What the vectors of the work go through before, in order.
          bounds: What a message may say at most.
          keeps_order: Whether `Outcome.ordered_update` is wanted.
        """
        if sparsifier.implicit_indices:
            uplink_encoder = uplink_encoder.without_indices()
            downlink_encoder = downlink_encoder.without_indices()
        self.dimension = sparsifier.dimension
        self.sparsifier = sparsifier
        self.uplink_encoder = uplink_encoder
        self.downlink_encoder = downlink_encoder
        self._probe_encoder = probe_encoder
        self._update = update
        self._work = work or client_work.GivenVector().bind(self.dimension)
        self._transformation = transformations.Chain(transformation)
        self._bounds = bounds
        self._keeps_order = keeps_order
        self.state_type = client_state.client_state_type(
            update.replica_type, self._transformation
        )
        _build_computations(self)

    def upload(
        self,
        client: client_state.ClientState,
        inputs: Any,
        config: messages.RoundConfig,
    ) -> tuple[messages.UplinkMessage, PendingUpload]:
        """Steps 1 and 2 at a client: its work, and its k largest entries as bytes.

        Work that is not finite is dropped before it enters the residual: the client
        then sends an empty message, which counts for nothing.
        """
        contribution = self._work(client, inputs)
        usable = _is_finite(contribution.vector) & _is_finite(contribution.weight)
        transformation, residual = tf.cond(
            usable,
            lambda: self._add(client, contribution.vector),
            lambda: (client.transformation, client.residual),
        )
        indices = self.sparsifier.sparsify(residual, config.decision.k, config.shared)
        coordinates = self.sparsifier.coordinates(indices, config.shared)
        entries = sparse_vector.SparseVector(
            indices, sparse_vector.take(residual, coordinates)
        )
        encoded, seconds = _stopwatch.timed(
            self.uplink_encoder.encode,
            entries,
            _seeds.derive(client.seed, _seeds.Purpose.UPLINK, client.rounds),
        )
        message = messages.UplinkMessage(
            client.client_id,
            tf.where(usable, contribution.weight, 0.0),
            encoded.message[: tf.where(usable, tf.size(encoded.message), 0)],
        )
        return message, PendingUpload(
            residual=residual,
            coordinates=coordinates,
            sent=usable,
            lost=entries.values - encoded.received,
            tag=messages.tag(message.entries),
            transformation=transformation,
            encode_seconds=seconds,
            kept=contribution.kept,
        )

    def no_messages(self) -> messages.CollectedMessages:
        """What `collect` begins with."""
        return messages.no_messages(messages.UplinkHeader(tf.int32, tf.float32))

    def collect(
        self, collected: messages.CollectedMessages, message: messages.UplinkMessage
    ) -> messages.CollectedMessages:
        """Takes one more message in; nothing is read yet."""
        return messages.collect(
            collected,
            messages.UplinkHeader(message.client_id, message.weight),
            message.entries,
            bits=messages.size_in_bits(message),
            max_bytes=self.uplink_encoder.max_bytes(),
        )

    def read(
        self,
        collected: messages.CollectedMessages,
        config: messages.RoundConfig,
        roster: tf.Tensor,
    ) -> tuple[Any, receipts.Receipts, tf.Tensor]:
        """Checks and decodes all messages, by client id.

        Args:
          collected: The messages.
          config: What the server told the clients.
          roster: int32 [M], see the class.

        Returns:
          The sparsifier's accumulator of the accepted uploads; the receipts; float64
          seconds for decoding.
        """
        reader = messages.Reader(collected)
        client_ids, weights = collected.header
        order = tf.argsort(client_ids, stable=True)
        unreadable = self._check_frames(collected, roster)

        def step(number: tf.Tensor, so_far: _Read) -> tuple[tf.Tensor, _Read]:
            place = order[number]
            client_id, weight = reader.header(place)
            message = messages.UplinkMessage(client_id, weight, reader.entries(place))
            return number + 1, self._read_one(
                number, so_far, message, unreadable[place], config
            )

        start = _Read(
            self.sparsifier.zero(),
            tf.constant(_NOBODY),
            tf.constant(0.0, tf.float64),
            tf.TensorArray(tf.int64, collected.count, element_shape=[5]),
        )
        _, done = tf.while_loop(
            lambda number, _: number < collected.count, step, (tf.constant(0), start)
        )
        note = _Note(*tf.unstack(done.notes.stack(), axis=1))
        error = tf.cast(note.error, tf.int32)
        weights = tf.cast(tf.gather(weights, order), tf.float64)
        written = receipts.Receipts(
            client_ids=tf.gather(client_ids, order),
            errors=error,
            weights=tf.where(tf.equal(error, names.ACCEPTED), weights, 0.0),
            elements=tf.cast(note.elements, tf.int32),
            bits=tf.gather(collected.bits, order),
            index_bits=note.index_bits,
            value_bits=note.value_bits,
            overhead_bits=note.overhead_bits,
        )
        return done.accumulator, written, done.seconds

    def select(
        self,
        collected: messages.CollectedMessages,
        replica: server_update.Replica,
        config: messages.RoundConfig,
        roster: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[messages.DownlinkMessage, server_update.Replica, Outcome]:
        """Steps 3 to 5 at the server: selection, the answer, the step of the model."""
        accumulator, received, seconds = self.read(collected, config, roster)
        total = _sums.running_sums(received.weights)[-1]
        aggregate = self.sparsifier.report(accumulator)
        selection = self.sparsifier.select(
            aggregate,
            # Without any weight there are no entries either.
            tf.where(total > 0.0, total, 1.0),
            config.decision.k,
            config.decision.k_probe,
            config.shared,
        )
        indices = selection.update.indices
        encoded = self.downlink_encoder.encode(selection.update, seed)
        applied = sparse_vector.SparseVector(
            self.sparsifier.coordinates(indices, config.shared), encoded.received
        )
        answer = messages.DownlinkMessage(
            rejected=receipts.rejected(received),
            contested=self._contested(collected, received),
            update=encoded.message,
            notes=selection.notes,
        )
        outcome = Outcome(
            receipts=received,
            downlink_elements=tf.size(indices),
            notes_elements=tf.size(selection.notes),
            shared_elements=tf.size(config.shared),
            downlink_bits=messages.size_in_bits((answer, config)),
            downlink_sizes=self.downlink_encoder.sizes(encoded.message),
            kappa=selection.kappa,
            probe_message=self._probe_encoder.encode(selection.probe, seed).message,
            probe_elements=tf.size(selection.probe.indices),
            probe_count=selection.probe_count,
            probe_notes_elements=tf.convert_to_tensor(selection.probe_notes_count),
            decode_seconds=seconds,
        )
        if self._keeps_order:
            order = self.sparsifier.order(aggregate, selection.update)
            outcome = outcome._replace(
                ordered_update=sparse_vector.SparseVector(
                    *(tf.gather(column, order) for column in applied)
                )
            )
        return answer, self._update.step(replica, applied), outcome

    def receive(
        self,
        client: client_state.ClientReplica,
        pending: PendingUpload,
        answer: messages.DownlinkMessage,
    ) -> Received:
        """Step 5 at a client: the same step of its replica, and error feedback."""
        indices, values = read_answer(
            self.downlink_encoder, answer.update, self.dimension
        )
        selected = sparse_vector.SparseVector(
            self.sparsifier.answer_coordinates(indices, pending.coordinates), values
        )
        replica = self._update.step(client.replica, selected)
        counted = pending.sent & _was_accepted(answer, client.client_id, pending.tag)
        forgotten = counted & self.sparsifier.forget(
            pending.coordinates, selected.indices, answer.notes, client.client_id
        )
        remembered = sparse_vector.take(pending.residual, pending.coordinates)
        residual = sparse_vector.put(
            pending.residual,
            pending.coordinates,
            tf.where(forgotten, pending.lost, remembered),
        )
        updated = client_state.ClientState(
            client_id=client.client_id,
            weights=replica.weights,
            optimizer=replica.optimizer,
            residual=residual,
            seed=client.seed,
            rounds=client.rounds + 1,
            transformation=self._transformation.receive(
                pending.transformation, tf.boolean_mask(pending.coordinates, forgotten)
            ),
        )
        contributed = tf.reduce_sum(tf.cast(forgotten, tf.int32))
        return Received(updated, contributed, selected)

    def initialize_client(
        self, client_id: tf.Tensor, replica: server_update.Replica, seed: tf.Tensor
    ) -> client_state.ClientState:
        """The state of a client that has just received the dense model."""
        return client_state.initial_client_state(
            client_id, replica, seed, self._transformation
        )

    def _add(
        self, client: client_state.ClientState, vector: tf.Tensor
    ) -> tuple[Any, tf.Tensor]:
        """The transformation's state and the residual with the client's work."""
        state, vector = self._transformation(client.transformation, vector)
        return state, client.residual + vector

    def _check_frames(
        self, collected: messages.CollectedMessages, roster: tf.Tensor
    ) -> tf.Tensor:
        """The number of the reason not to look at a message's entries, int32 [n]."""
        ids, weights = collected.header
        places = tf.minimum(tf.searchsorted(roster, ids), tf.size(roster) - 1)
        # Nobody is known if there is no roster.
        nearest = tf.gather(tf.concat([roster, [0]], axis=0), tf.maximum(places, 0))
        known = tf.equal(nearest, ids) & (tf.size(roster) > 0)
        valid = (weights >= 0.0) & (weights <= self._bounds.max_weight)
        empty = tf.equal(collected.lengths, 0) & tf.equal(weights, 0.0)
        error = tf.where(empty, receipts.NON_FINITE_WORK, names.ACCEPTED)
        # A comparison with NaN is false.
        error = tf.where(valid, error, names.INVALID_WEIGHT)
        return tf.where(known, error, names.UNKNOWN_CLIENT)

    def _read_one(
        self,
        number: tf.Tensor,
        so_far: _Read,
        message: messages.UplinkMessage,
        unreadable: tf.Tensor,
        config: messages.RoundConfig,
    ) -> _Read:
        """Reads the next message."""
        own_id = tf.cast(message.client_id, tf.int64)
        repeated = tf.equal(own_id, so_far.accepted_id)
        error = tf.where(
            tf.equal(unreadable, names.ACCEPTED) & repeated,
            names.REPEATED_CLIENT,
            unreadable,
        )
        (entries, error), seconds = _stopwatch.timed(
            self._decode, message.entries, error, config.decision.k
        )
        accepted = tf.equal(error, names.ACCEPTED)
        note = tf.cond(
            accepted,
            lambda: _Note(
                tf.constant(0, tf.int64),
                tf.size(entries.indices, tf.int64),
                *self.uplink_encoder.sizes(message.entries),
            ),
            lambda: _Note(tf.cast(error, tf.int64), *[tf.constant(0, tf.int64)] * 4),
        )
        # Entries that weigh nothing would take a place in the selection all the same.
        weighed = tf.where(message.weight > 0.0, tf.size(entries.indices), 0)
        upload = sparsifier_lib.Upload(
            message.client_id,
            sparse_vector.SparseVector(*(part[:weighed] for part in entries)),
            message.weight,
            config.decision.k,
            config.decision.k_probe,
        )
        return _Read(
            self.sparsifier.accumulate(so_far.accumulator, upload),
            tf.where(accepted, own_id, so_far.accepted_id),
            so_far.seconds + seconds,
            so_far.notes.write(number, tf.stack(note)),
        )

    def _decode(
        self, entries: tf.Tensor, error: tf.Tensor, k: tf.Tensor
    ) -> tuple[sparse_vector.SparseVector, tf.Tensor]:
        """The entries of a message that there is no reason against, and the reason."""

        def decode() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            decoded = self.uplink_encoder.decode(entries, self.sparsifier.max_sent(k))
            indices, values = decoded.vector
            if self._bounds.max_norm is None:
                return indices, values, decoded.error
            norm = tf.norm(tf.cast(values, tf.float64))
            fits = (norm <= self._bounds.max_norm) | (decoded.error > 0)
            count = tf.where(fits, tf.size(indices), 0)
            return (
                indices[:count],
                values[:count],
                tf.where(fits, decoded.error, names.NORM_TOO_LARGE),
            )

        indices, values, error = tf.cond(
            tf.equal(error, names.ACCEPTED),
            decode,
            lambda: (tf.zeros([0], tf.int32), tf.zeros([0], tf.float32), error),
        )
        return sparse_vector.SparseVector(indices, values), error

    def _contested(
        self, collected: messages.CollectedMessages, received: receipts.Receipts
    ) -> tf.Tensor:
        """See `DownlinkMessage`; the receipts are in the order of ids."""
        rows = tf.cast(tf.where(receipts.contested(received))[:, 0], tf.int32)
        client_ids = collected.header.client_id
        places = tf.gather(tf.argsort(client_ids, stable=True), rows)
        tags = messages.Reader(collected).tags(places)
        return tf.reshape(tf.stack([tf.gather(client_ids, places), tags], axis=1), [-1])


def _is_finite(tensor: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(tensor))


def _was_accepted(
    answer: messages.DownlinkMessage, client_id: tf.Tensor, tag: tf.Tensor
) -> tf.Tensor:
    """Whether the server has counted the message that a client has sent."""
    ids, tags = tf.unstack(tf.reshape(answer.contested, [-1, 2]), axis=1)
    another = tf.reduce_any(tf.equal(ids, client_id) & tf.not_equal(tags, tag))
    return ~another & tf.reduce_all(tf.not_equal(answer.rejected, client_id))


def _build_computations(exchange: SparseExchange) -> None:
    """Wires the steps into TFF computations, and sets these on the exchange."""
    state_type = exchange.state_type
    update, work = exchange._update, exchange._work
    replica_type = update.replica_type
    seed_type = tff.TensorType(np.int32, [2])
    method = exchange.sparsifier
    share = tff.tensorflow.computation(
        lambda seed: method.share(method.initialize(), seed), seed_type
    )
    config_type = messages.round_config_type(share.type_signature.result)
    upload = tff.tensorflow.computation(
        exchange.upload, (state_type, work.inputs_type, config_type)
    )
    zero = tff.tensorflow.computation(exchange.no_messages)
    collected_type = zero.type_signature.result
    collect = tff.tensorflow.computation(
        exchange.collect, (collected_type, messages.UPLINK_TYPE)
    )
    join = tff.tensorflow.computation(messages.join, (collected_type, collected_type))
    report = tff.tensorflow.computation(lambda collected: collected, collected_type)
    roster_type = tff.TensorType(np.int32, [None])
    select = tff.tensorflow.computation(
        exchange.select,
        (collected_type, replica_type, config_type, roster_type, seed_type),
    )
    arguments = (
        tff.FederatedType(replica_type, tff.SERVER),
        tff.FederatedType(config_type, tff.SERVER),
        tff.FederatedType(roster_type, tff.SERVER),
        tff.FederatedType(seed_type, tff.SERVER),
        tff.FederatedType(state_type, tff.CLIENTS),
        tff.FederatedType(work.inputs_type, tff.CLIENTS),
    )

    @tff.federated_computation(*arguments)
    def send(
        replica: tff.Value,
        config: tff.Value,
        roster: tff.Value,
        seed: tff.Value,
        clients: tff.Value,
        inputs: tff.Value,
    ) -> Exchanged:
        message, pending = tff.federated_map(
            upload, (clients, inputs, tff.federated_broadcast(config))
        )
        collected = tff.federated_aggregate(message, zero(), collect, join, report)
        answer, stepped, outcome = tff.federated_map(
            select, (collected, replica, config, roster, seed)
        )
        return Exchanged(stepped, answer, pending, outcome)

    exchanged_type = send.type_signature.result
    receive = tff.tensorflow.computation(
        exchange.receive,
        (
            client_state.client_replica_type(state_type),
            exchanged_type.pending.member,
            exchanged_type.answer.member,
        ),
    )

    @tff.federated_computation(*arguments)
    def next_fn(
        replica: tff.Value,
        config: tff.Value,
        roster: tff.Value,
        seed: tff.Value,
        clients: tff.Value,
        inputs: tff.Value,
    ) -> ExchangeOutput:
        exchanged = send(replica, config, roster, seed, clients, inputs)
        received = tff.federated_map(
            receive,
            (
                client_state.client_replicas(clients),
                exchanged.pending,
                tff.federated_broadcast(exchanged.answer),
            ),
        )
        return ExchangeOutput(
            exchanged.replica, received.client, received.contributed, exchanged.outcome
        )

    initialize_client = tff.tensorflow.computation(
        exchange.initialize_client, (np.int32, replica_type, seed_type)
    )

    @tff.federated_computation(
        tff.FederatedType(replica_type, tff.SERVER),
        tff.FederatedType(seed_type, tff.SERVER),
        tff.FederatedType(np.int32, tff.CLIENTS),
    )
    def initialize_clients(
        replica: tff.Value, seed: tff.Value, client_ids: tff.Value
    ) -> tff.Value:
        return tff.federated_map(
            initialize_client,
            (
                client_ids,
                tff.federated_broadcast(replica),
                tff.federated_broadcast(seed),
            ),
        )

    exchange.initialize_clients = initialize_clients
    exchange.send = send
    exchange.next = next_fn
