"""The sparse exchange: steps 2 to 5 of a round, as one TFF process.

Han, Wang, Leung, ICDCS 2020, Algorithm 1. A round, and who does what:

    client  a_i <- a_i + its work                          `SparseExchange.upload`
    client  J_i <- top-k of a_i; send encode(a_i at J_i)   `SparseExchange.upload`
    server  collect the messages; check and decode them    `MessageReader.read`
    server  J, b <- what the sparsifier selects of them    `SparseExchange.select`
    server  w <- w - eta b; send encode(b)                 `SparseExchange.select`
    client  w <- w - eta b; a_i <- 0 at J_i and J          `SparseExchange.receive`

Between SERVER and CLIENTS travel encoded index-value messages and scalars, never a
vector of D: clients keep a replica of the weights and apply the sparse update that the
server applies.

No client is believed on its word: see `tff_gs.exchange.reading`.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _collecting, _seeds, _sums, sparse_vector
from tff_gs.encoders import codec
from tff_gs.exchange import (
    _stopwatch,
    client_state,
    client_work,
    messages,
    reading,
    receipts,
    server_update,
    transformations,
)
from tff_gs.exchange.messages import read_answer
from tff_gs.sparsifiers import sparsifier as sparsifier_lib


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
      probe_units: float64 scalar, how many numbers that is.
      probe_elements: int32 scalar, the number of entries in it.
      probe_count: int32 scalar, |J'|.
      probe_notes_elements: int32 scalar, how many notes k' would have given.
      decode_seconds: float64 scalar, the server's time for decoding all messages.
      ordered_update: {(j, b_j) : j in J} by coordinate, as it is applied, in the order
        of `tff_gs.sparsifiers.sparsifier.Sparsifier.order`; `()` unless wanted.
      election: `tff_gs.exchange.election.Election`, how J was found before
        values travelled; `()` if it was not.
      sum_measurements: What the aggregation of the values measured; `()` if the server
        reads them itself.
    """

    receipts: receipts.Receipts
    downlink_elements: tf.Tensor
    notes_elements: tf.Tensor
    shared_elements: tf.Tensor
    downlink_bits: tf.Tensor
    downlink_sizes: codec.Sizes
    kappa: tf.Tensor
    probe_message: tf.Tensor
    probe_units: tf.Tensor
    probe_elements: tf.Tensor
    probe_count: tf.Tensor
    probe_notes_elements: tf.Tensor
    decode_seconds: tf.Tensor
    ordered_update: sparse_vector.SparseVector | tuple[()] = ()
    election: Any = ()
    sum_measurements: Any = ()


class WorkResult(NamedTuple):
    """A client after its work.

    Attributes:
      residual: float32 [D], a_i with the round's work in it.
      weight: float32 scalar, C_i; 0 if the work was not finite.
      usable: bool scalar, False if the work was not finite, so it was dropped.
      transformation: See `ClientState`.
      kept: See `tff_gs.exchange.client_work.Contribution`.
    """

    residual: tf.Tensor
    weight: tf.Tensor
    usable: tf.Tensor
    transformation: Any
    kept: Any


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
      nominated: int32 [r], the coordinates that it nominated before; `()` if there
        was no election.
    """

    residual: tf.Tensor
    coordinates: tf.Tensor
    sent: tf.Tensor
    lost: tf.Tensor
    tag: tf.Tensor
    transformation: Any
    encode_seconds: tf.Tensor
    kept: Any
    nominated: Any = ()


class ReceiveOutput(NamedTuple):
    """What a client has after the answer.

    Attributes:
      client: `ClientState`, with w(m) and the new residual.
      contributed: int32 scalar, |J and J_i|.
      update: {(j, b_j) : j in J}, by coordinate.
    """

    client: client_state.ClientState
    contributed: tf.Tensor
    update: sparse_vector.SparseVector


class SendOutput(NamedTuple):
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


SEED_TYPE = tff.TensorType(np.int32, [2])
ROSTER_TYPE = tff.TensorType(np.int32, [None])


class SparseExchange:
    """The exchange: its steps as TensorFlow code, and as TFF computations.

    Attributes:
      legs: What clients send in a round; that of its sparsifier.
      dimension: D.
      sparsifier: What clients send and what the server selects.
      state_type: The TFF type of a `ClientState`.
      initialize_clients: `(replica@SERVER, seed@SERVER, client_ids@CLIENTS) ->
        ClientState@CLIENTS`: the one dense download.
      send: `(replica@SERVER, config@SERVER, roster@SERVER, seed@SERVER,
        clients@CLIENTS, inputs@CLIENTS) -> SendOutput`: the clients' work, the uplink,
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

    legs: ClassVar[sparsifier_lib.Legs] = sparsifier_lib.Legs.ENTRIES

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
        bounds: reading.MessageBounds = reading.DEFAULT_BOUNDS,
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

        Raises:
          ValueError: If the sparsifier needs another exchange.
        """
        self._check_method(sparsifier)
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
        self._reader = reading.MessageReader(uplink_encoder, sparsifier, bounds)
        self._keeps_order = keeps_order
        self.state_type = client_state.client_state_type(
            update.replica_type, self._transformation
        )
        self._build_computations()

    @classmethod
    def _check_method(cls, sparsifier: sparsifier_lib.Sparsifier) -> None:
        """Raises ValueError unless clients send what this exchange is for."""
        if cls.legs is not sparsifier.legs:
            raise ValueError(
                f"Expected {sparsifier.legs.value} for {type(sparsifier).__name__}, "
                f"found {cls.__name__}."
            )

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
        return self.write(client, self.contribute(client, inputs), config)

    def contribute(self, client: client_state.ClientState, inputs: Any) -> WorkResult:
        """Step 1 at a client: its work, added to its residual."""
        contribution = self._work(client, inputs)
        usable = _is_finite(contribution.vector) & _is_finite(contribution.weight)
        transformation, residual = tf.cond(
            usable,
            lambda: self._add(client, contribution.vector),
            lambda: (client.transformation, client.residual),
        )
        return WorkResult(
            residual,
            tf.where(usable, contribution.weight, 0.0),
            usable,
            transformation,
            contribution.kept,
        )

    def write(
        self,
        client: client_state.ClientState | client_state.ClientReplica,
        work: WorkResult,
        config: messages.RoundConfig,
    ) -> tuple[messages.UplinkMessage, PendingUpload]:
        """Step 2 at a client: what it sends, as bytes."""
        indices = self.sparsifier.sparsify(
            work.residual,
            config.decision.k,
            config.shared,
            _seeds.derive(client.seed, _seeds.Purpose.SPARSIFIER, client.rounds),
        )
        coordinates = self.sparsifier.coordinates(indices, config.shared)
        entries = sparse_vector.SparseVector(
            indices, sparse_vector.take(work.residual, coordinates)
        )
        encoded, seconds = _stopwatch.timed(
            self.uplink_encoder.encode,
            entries,
            _seeds.derive(client.seed, _seeds.Purpose.UPLINK, client.rounds),
        )
        length = tf.where(work.usable, tf.size(encoded.message), 0)
        message = messages.UplinkMessage(
            client.client_id, work.weight, encoded.message[:length]
        )
        return message, PendingUpload(
            residual=work.residual,
            coordinates=coordinates,
            sent=work.usable,
            lost=entries.values - encoded.received,
            tag=messages.tag(message.encoded),
            transformation=work.transformation,
            encode_seconds=seconds,
            kept=work.kept,
        )

    def no_messages(self) -> messages.CollectedMessages:
        """What `collect` begins with."""
        return messages.no_messages(messages.UplinkHeader(tf.int32, tf.float32))

    def collect(
        self, collected: messages.CollectedMessages, message: messages.UplinkMessage
    ) -> messages.CollectedMessages:
        """Takes one more message in; nothing is read yet."""
        return self._collect(collected, message, self.uplink_encoder)

    def _collect(
        self,
        collected: messages.CollectedMessages,
        message: messages.UplinkMessage,
        code: codec.Codec,
    ) -> messages.CollectedMessages:
        """Takes one more message in whose entries are written by `code`."""
        return messages.collect(
            collected,
            messages.UplinkHeader(message.client_id, message.weight),
            message.encoded,
            bits=messages.size_in_bits(message),
            max_bytes=code.max_bytes(),
        )

    def select(
        self,
        collected: Any,
        replica: server_update.Replica,
        config: messages.RoundConfig,
        roster: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[messages.DownlinkMessage, server_update.Replica, Outcome]:
        """Steps 3 to 5 at the server: selection, the answer, the step of the model.

        Args:
          collected: `tff_gs.exchange.messages.CollectedMessages`; more than these in
            exchanges whose clients send more.
          replica: The model.
          config: What the round was begun with.
          roster: int32 [M], see the class.
          seed: int32 [2], for encoding the answer.
        """
        accumulator, received, seconds = self._read(collected, config, roster)
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
        encoded = self.downlink_encoder.encode(selection.update, seed)
        applied = sparse_vector.SparseVector(
            self.sparsifier.coordinates(selection.update.indices, config.shared),
            encoded.received,
        )
        answer = messages.DownlinkMessage(
            *self._refused(collected, received),
            update=encoded.message,
            notes=selection.notes,
        )
        outcome = self._outcome(received, selection, answer, config, seed)._replace(
            decode_seconds=seconds
        )
        if self._keeps_order:
            order = self.sparsifier.order(aggregate, selection.update, config.shared)
            outcome = outcome._replace(
                ordered_update=sparse_vector.SparseVector(
                    *(tf.gather(column, order) for column in applied)
                )
            )
        return answer, self._update.step(replica, applied), outcome

    def _read(
        self, collected: Any, config: messages.RoundConfig, roster: tf.Tensor
    ) -> reading.ReadMessages:
        """What the clients' messages come to."""
        limit = self.sparsifier.max_sent(config.decision.k)
        return self._reader.read(collected, config.decision, limit, roster)

    def _refused(
        self, collected: Any, received: receipts.Receipts
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """`rejected` and `contested` of the answer."""
        return receipts.rejected(received), reading.contested(collected, received)

    def _outcome(
        self,
        received: receipts.Receipts,
        selection: sparsifier_lib.Selection,
        answer: messages.DownlinkMessage,
        config: messages.RoundConfig,
        seed: tf.Tensor,
    ) -> Outcome:
        """What the server knows, except how long decoding took."""
        return Outcome(
            receipts=received,
            downlink_elements=tf.size(selection.update.indices),
            notes_elements=tf.size(selection.notes),
            shared_elements=_count(config.shared),
            downlink_bits=messages.size_in_bits((answer, config)),
            downlink_sizes=self.downlink_encoder.sizes(answer.update),
            kappa=selection.kappa,
            probe_message=self.write_probe(selection.probe, config, seed),
            probe_units=self.probe_units(selection.probe, config),
            probe_elements=tf.size(selection.probe.indices),
            probe_count=selection.probe_count,
            probe_notes_elements=tf.convert_to_tensor(selection.probe_notes_count),
            decode_seconds=tf.constant(0.0, tf.float64),
        )

    def receive(
        self,
        client: client_state.ClientReplica,
        pending: PendingUpload,
        answer: messages.DownlinkMessage,
    ) -> ReceiveOutput:
        """Step 5 at a client: the same step of its replica, and error feedback."""
        indices, values = read_answer(
            self.downlink_encoder, answer.update, self.dimension
        )
        selected = sparse_vector.SparseVector(
            self.sparsifier.answer_coordinates(indices, pending.coordinates), values
        )
        replica = self._update.step(client.replica, selected)
        counted = pending.sent & messages.was_accepted(
            answer, client.client_id, pending.tag
        )
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
        return ReceiveOutput(updated, contributed, selected)

    def write_probe(
        self,
        probe: sparse_vector.SparseVector,
        config: messages.RoundConfig,
        seed: tf.Tensor,
    ) -> tf.Tensor:
        """The message, uint8 [bytes], that tells clients `Selection.probe`."""
        del config
        return self._probe_encoder.encode(probe, seed).message

    def probe_units(
        self, probe: sparse_vector.SparseVector, config: messages.RoundConfig
    ) -> tf.Tensor:
        """How many numbers that message is, float64 scalar: index-value pairs."""
        del config
        return 2.0 * tf.cast(tf.size(probe.indices), tf.float64)

    def read_probe(
        self, message: tf.Tensor, pending: PendingUpload
    ) -> sparse_vector.SparseVector:
        """`Selection.probe` at a client, from the message that tells it."""
        del pending
        return read_answer(self._probe_encoder, message, self.dimension)

    def initialize_client(
        self, client_id: tf.Tensor, replica: server_update.Replica, seed: tf.Tensor
    ) -> client_state.ClientState:
        """The state of a client that has just received the dense model."""
        return client_state.initial_client_state(
            client_id, replica, seed, self._transformation
        )

    def _build_computations(self) -> None:
        """Wires the steps into TFF computations, and sets these."""
        arguments = self._arguments()
        self.initialize_clients = self._build_initialize_clients()
        self.send = self._build_send(arguments)
        self.next = self._build_next(arguments)

    @property
    def _config_type(self) -> tff.StructWithPythonType:
        """The TFF type of what the server tells clients before the round."""
        method = self.sparsifier
        share = tff.tensorflow.computation(
            lambda seed, k: method.share(method.initialize(), seed, k),
            (SEED_TYPE, np.int32),
        )
        return messages.round_config_type(share.type_signature.result)

    def _arguments(self) -> tuple[tff.FederatedType, ...]:
        """The types of what `send` and `next` take."""
        return (
            tff.FederatedType(self._update.replica_type, tff.SERVER),
            tff.FederatedType(self._config_type, tff.SERVER),
            tff.FederatedType(ROSTER_TYPE, tff.SERVER),
            tff.FederatedType(SEED_TYPE, tff.SERVER),
            tff.FederatedType(self.state_type, tff.CLIENTS),
            tff.FederatedType(self._work.inputs_type, tff.CLIENTS),
        )

    def _build_collect(self, code: codec.Codec) -> tff.Computation:
        """From the clients' messages, written by `code`, to all at the server."""
        return _collecting.build_collect(
            messages.UPLINK_TYPE,
            zero=self.no_messages,
            add=lambda collected, message: self._collect(collected, message, code),
            join=messages.join,
        )

    def _build_uplink(
        self, arguments: tuple[tff.FederatedType, ...]
    ) -> tff.Computation:
        """All that clients do before the server selects.

        `(config@SERVER, roster@SERVER, clients@CLIENTS, inputs@CLIENTS) ->
        (uplink@SERVER, PendingUpload@CLIENTS)`, with what `select` takes first.
        """
        _, config_type, roster_type, _, clients_type, inputs_type = arguments
        collect = self._build_collect(self.uplink_encoder)
        upload = tff.tensorflow.computation(
            self.upload, (clients_type.member, inputs_type.member, config_type.member)
        )

        @tff.federated_computation(config_type, roster_type, clients_type, inputs_type)
        def uplink(
            config: tff.Value, roster: tff.Value, clients: tff.Value, inputs: tff.Value
        ) -> tuple[tff.Value, tff.Value]:
            del roster
            message, pending = tff.federated_map(
                upload, (clients, inputs, tff.federated_broadcast(config))
            )
            return collect(message), pending

        return uplink

    def _build_send(self, arguments: tuple[tff.FederatedType, ...]) -> tff.Computation:
        """See the class."""
        uplink = self._build_uplink(arguments)
        replica_type, config_type, roster_type, seed_type = arguments[:4]
        select = tff.tensorflow.computation(
            self.select,
            tuple(
                part.member
                for part in (
                    uplink.type_signature.result[0],
                    replica_type,
                    config_type,
                    roster_type,
                    seed_type,
                )
            ),
        )

        @tff.federated_computation(*arguments)
        def send(
            replica: tff.Value,
            config: tff.Value,
            roster: tff.Value,
            seed: tff.Value,
            clients: tff.Value,
            inputs: tff.Value,
        ) -> SendOutput:
            sent, pending = uplink(config, roster, clients, inputs)
            answer, stepped, outcome = tff.federated_map(
                select, (sent, replica, config, roster, seed)
            )
            return SendOutput(stepped, answer, pending, outcome)

        return send

    def _build_next(self, arguments: tuple[tff.FederatedType, ...]) -> tff.Computation:
        """See the class."""
        send = self.send
        exchanged_type = send.type_signature.result
        receive = tff.tensorflow.computation(
            self.receive,
            (
                client_state.client_replica_type(self.state_type),
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
                exchanged.replica,
                received.client,
                received.contributed,
                exchanged.outcome,
            )

        return next_fn

    def _build_initialize_clients(self) -> tff.Computation:
        """See the class."""
        replica_type = self._update.replica_type
        initialize_client = tff.tensorflow.computation(
            self.initialize_client, (np.int32, replica_type, SEED_TYPE)
        )

        @tff.federated_computation(
            tff.FederatedType(replica_type, tff.SERVER),
            tff.FederatedType(SEED_TYPE, tff.SERVER),
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

        return initialize_clients

    def _add(
        self, client: client_state.ClientState, vector: tf.Tensor
    ) -> tuple[Any, tf.Tensor]:
        """The transformation's state and the residual with the client's work."""
        state, vector = self._transformation(client.transformation, vector)
        return state, client.residual + vector


def _count(shared: Any) -> tf.Tensor:
    """How many numbers were told before, int32 scalar."""
    return tf.add_n([tf.size(part) for part in tf.nest.flatten(shared)])


def _is_finite(tensor: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(tensor))
