"""The sparse exchange: steps 2 to 5 of a round, as one TFF process.

Han, Wang, Leung, ICDCS 2020, Algorithm 1. Between SERVER and CLIENTS travel encoded
index-value messages and scalars, never a vector of D: clients keep a replica of the
weights and apply the sparse update that the server applies.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import growing, seeds, sparse_vector
from tff_gs.controllers import controller
from tff_gs.encoders import encoder
from tff_gs.exchange import (
    client_state,
    client_work,
    message_size,
    receipts,
    server_update,
    stopwatch,
)
from tff_gs.exchange.answer import read_answer
from tff_gs.sparsifiers import sparsifier as sparsifier_lib


class UplinkMessage(NamedTuple):
    """All that a client sends in a round.

    Attributes:
      client_id: int32 scalar.
      weight: float32 scalar, C_i.
      decision: The k and k' that the client was told. They travel back because the
        operators of a TFF aggregation see nothing but accumulator and message.
      entries: uint8 [bytes], the encoded index-value list.
    """

    client_id: tf.Tensor
    weight: tf.Tensor
    decision: controller.Decision
    entries: tf.Tensor


class DownlinkMessage(NamedTuple):
    """All that the server answers.

    Attributes:
      rejected: int32 [r], ids of the clients whose message was refused.
      update: uint8 [bytes], the encoded {(j, b_j) : j in J}.
      notes: int32 [n], see `tff_gs.sparsifiers.sparsifier.Selection`.
    """

    rejected: tf.Tensor
    update: tf.Tensor
    notes: tf.Tensor


class Outcome(NamedTuple):
    """What the server knows after an exchange.

    Attributes:
      receipts: What was received, by client.
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
    """

    receipts: receipts.Receipts
    downlink_elements: tf.Tensor
    notes_elements: tf.Tensor
    shared_elements: tf.Tensor
    downlink_bits: tf.Tensor
    downlink_sizes: encoder.Sizes
    kappa: tf.Tensor
    probe_message: tf.Tensor
    probe_elements: tf.Tensor
    probe_count: tf.Tensor
    probe_notes_elements: tf.Tensor
    decode_seconds: tf.Tensor


class Told(NamedTuple):
    """What the server tells all clients before a round.

    Attributes:
      decision: k and k'.
      shared: int32 [s], see `tff_gs.sparsifiers.sparsifier.Sparsifier.share`.
    """

    decision: Any
    shared: Any


class Sent(NamedTuple):
    """What a client remembers of its upload until the answer comes.

    Attributes:
      residual: float32 [D], a_i as it was sent from.
      coordinates: int32 [n], those of the entries in the message, in its order.
      lost: float32 [n], what the value code changed: sent less received values.
      encode_seconds: float64 scalar, the client's time for encoding.
      kept: See `tff_gs.exchange.client_work.Contribution`.
    """

    residual: tf.Tensor
    coordinates: tf.Tensor
    lost: tf.Tensor
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
      sent: `Sent` at CLIENTS.
      outcome: `Outcome` at SERVER.
    """

    replica: Any
    answer: Any
    sent: Any
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


class _Totals(NamedTuple):
    accumulator: Any
    weight: tf.Tensor
    decode_seconds: tf.Tensor
    receipts: receipts.Receipts


@dataclasses.dataclass(frozen=True)
class SparseExchange:
    """The exchange as TFF computations.

    Attributes:
      dimension: D.
      sparsifier: What clients send and what the server selects.
      initialize_clients: `(replica@SERVER, seed@SERVER, client_ids@CLIENTS) ->
        ClientState@CLIENTS`: the one dense download.
      send: `(replica@SERVER, told@SERVER, seed@SERVER, clients@CLIENTS,
        inputs@CLIENTS) -> Exchanged`: the clients' work, the uplink, the selection.
        What is CLIENTS-placed comes last, because TFF's mergeable context counts the
        clients of the last argument.
      receive: What a client does with the answer, as TensorFlow code, so that what
        follows at the client can be part of the same computation:
        `(Waiting, Sent, DownlinkMessage) -> Received`.
      next: `send` and `receive`; arguments as of `send`, returns `ExchangeOutput`.
      uplink_encoder: How clients write their entries: without indices where the
        sparsifier's are implicit.
      downlink_encoder: How the server writes the update, likewise.
    """

    dimension: int
    sparsifier: sparsifier_lib.Sparsifier
    initialize_clients: tff.Computation
    send: tff.Computation
    receive: Callable[[client_state.Waiting, Sent, DownlinkMessage], Received]
    next: tff.Computation
    uplink_encoder: encoder.Encoder
    downlink_encoder: encoder.Encoder


def build_sparse_exchange(
    *,
    sparsifier: sparsifier_lib.Sparsifier,
    uplink_encoder: encoder.Encoder,
    downlink_encoder: encoder.Encoder,
    probe_encoder: encoder.Encoder,
    update: server_update.ServerUpdate,
    work: client_work.ClientWork | None = None,
) -> SparseExchange:
    """Builds the exchange for vectors of `sparsifier.dimension` entries.

    Args:
      sparsifier: What clients send and what the server selects.
      uplink_encoder: How clients write their entries. What a lossy value code
        changes stays in the client's residual. Where the sparsifier's indices are
        implicit, its index code is not used, nor is the next one's.
      downlink_encoder: How the server writes the update; server and clients both
        apply what can be read back from the message.
      probe_encoder: How the server writes what differs at k'; exact values.
      update: How the model changes.
      work: What clients add to their residuals; by default vectors that are given,
        see `tff_gs.exchange.client_work.Given`.
    """
    if sparsifier.implicit_indices:
        uplink_encoder = uplink_encoder.without_indices()
        downlink_encoder = downlink_encoder.without_indices()
    dimension = sparsifier.dimension
    if work is None:
        work = client_work.GivenVector(dimension)
    replica_type = update.replica_type
    state_type = client_state.client_state_type(replica_type)
    seed_type = tff.TensorType(np.int32, [2])
    decision_type = tff.to_type(
        controller.Decision(tff.TensorType(np.int32), tff.TensorType(np.int32))
    )

    @tff.tensorflow.computation(seed_type)
    def share(seed: tf.Tensor) -> tf.Tensor:
        return sparsifier.share(sparsifier.initialize(), seed)

    told_type = tff.to_type(Told(decision_type, share.type_signature.result))

    @tff.tensorflow.computation(state_type, work.inputs_type, told_type)
    def upload(
        client: client_state.ClientState, inputs: Any, told: Told
    ) -> tuple[UplinkMessage, Sent]:
        decision, shared = told
        contribution = work(client, inputs)
        residual = client.residual + contribution.vector
        indices = sparsifier.sparsify(residual, decision.k, shared)
        coordinates = sparsifier.coordinates(indices, shared)
        entries = sparse_vector.SparseVector(
            indices, sparse_vector.take(residual, coordinates)
        )
        encoded, seconds = stopwatch.timed(
            uplink_encoder.encode,
            entries,
            seeds.derive(client.seed, seeds.Purpose.UPLINK, client.rounds),
        )
        message = UplinkMessage(
            client.client_id, contribution.weight, decision, encoded.message
        )
        lost = entries.values - encoded.received
        return message, Sent(residual, coordinates, lost, seconds, contribution.kept)

    message_type, _ = upload.type_signature.result

    @tff.tensorflow.computation
    def zero() -> _Totals:
        nought = tf.constant(0.0, tf.float64)
        return _Totals(sparsifier.zero(), nought, nought, receipts.no_receipts())

    totals_type = zero.type_signature.result

    @tff.tensorflow.computation(totals_type, message_type)
    def accumulate(totals: _Totals, message: UplinkMessage) -> _Totals:
        (entries, error), seconds = stopwatch.timed(
            uplink_encoder.decode,
            message.entries,
            sparsifier.max_sent(message.decision.k),
        )
        accepted = tf.cast(tf.equal(error, 0), tf.float64)
        return _Totals(
            sparsifier.accumulate(
                totals.accumulator,
                sparsifier_lib.Upload(
                    message.client_id,
                    entries,
                    message.weight,
                    message.decision.k,
                    message.decision.k_probe,
                ),
            ),
            totals.weight + accepted * tf.cast(message.weight, tf.float64),
            totals.decode_seconds + seconds,
            growing.concat(
                totals.receipts,
                receipts.receipt(
                    message.client_id,
                    error=error,
                    elements=tf.size(entries.indices),
                    bits=message_size.size_in_bits(message),
                    sizes=uplink_encoder.sizes(message.entries),
                ),
            ),
        )

    @tff.tensorflow.computation(totals_type, totals_type)
    def merge(first: _Totals, second: _Totals) -> _Totals:
        return _Totals(
            sparsifier.merge(first.accumulator, second.accumulator),
            first.weight + second.weight,
            first.decode_seconds + second.decode_seconds,
            growing.concat(first.receipts, second.receipts),
        )

    @tff.tensorflow.computation(totals_type)
    def report(totals: _Totals) -> _Totals:
        return _Totals(
            sparsifier.report(totals.accumulator),
            totals.weight,
            totals.decode_seconds,
            receipts.sort(totals.receipts),
        )

    @tff.tensorflow.computation(
        report.type_signature.result, replica_type, told_type, seed_type
    )
    def select(
        totals: _Totals,
        replica: server_update.Replica,
        told: Told,
        seed: tf.Tensor,
    ) -> tuple[DownlinkMessage, server_update.Replica, Outcome]:
        decision, shared = told
        selection = sparsifier.select(
            totals.accumulator, totals.weight, decision.k, decision.k_probe, shared
        )
        indices = selection.update.indices
        encoded = downlink_encoder.encode(selection.update, seed)
        received = sparse_vector.SparseVector(
            sparsifier.coordinates(indices, shared), encoded.received
        )
        rejected = tf.boolean_mask(
            totals.receipts.client_ids, totals.receipts.errors > 0
        )
        message = DownlinkMessage(rejected, encoded.message, selection.notes)
        outcome = Outcome(
            receipts=totals.receipts,
            downlink_elements=tf.size(indices),
            notes_elements=tf.size(selection.notes),
            shared_elements=tf.size(shared),
            downlink_bits=message_size.size_in_bits((message, told)),
            downlink_sizes=downlink_encoder.sizes(encoded.message),
            kappa=selection.kappa,
            probe_message=probe_encoder.encode(selection.probe, seed).message,
            probe_elements=tf.size(selection.probe.indices),
            probe_count=selection.probe_count,
            probe_notes_elements=tf.convert_to_tensor(selection.probe_notes_count),
            decode_seconds=totals.decode_seconds,
        )
        return message, update.step(replica, received), outcome

    def receive(
        client: client_state.Waiting, sent: Sent, answer: DownlinkMessage
    ) -> Received:
        indices, values = read_answer(downlink_encoder, answer.update, dimension)
        selected = sparse_vector.SparseVector(
            sparsifier.answer_coordinates(indices, sent.coordinates), values
        )
        replica = update.step(client.replica, selected)
        accepted = tf.reduce_all(tf.not_equal(answer.rejected, client.client_id))
        forgotten = accepted & sparsifier.forget(
            sent.coordinates, selected.indices, answer.notes, client.client_id
        )
        remembered = sparse_vector.take(sent.residual, sent.coordinates)
        residual = sparse_vector.put(
            sent.residual, sent.coordinates, tf.where(forgotten, sent.lost, remembered)
        )
        updated = client_state.ClientState(
            client_id=client.client_id,
            weights=replica.weights,
            optimizer=replica.optimizer,
            residual=residual,
            seed=client.seed,
            rounds=client.rounds + 1,
        )
        contributed = tf.reduce_sum(tf.cast(forgotten, tf.int32))
        return Received(updated, contributed, selected)

    arguments = (
        tff.FederatedType(replica_type, tff.SERVER),
        tff.FederatedType(told_type, tff.SERVER),
        tff.FederatedType(seed_type, tff.SERVER),
        tff.FederatedType(state_type, tff.CLIENTS),
        tff.FederatedType(work.inputs_type, tff.CLIENTS),
    )

    @tff.federated_computation(*arguments)
    def send(
        replica: tff.Value,
        told: tff.Value,
        seed: tff.Value,
        clients: tff.Value,
        inputs: tff.Value,
    ) -> Exchanged:
        uploads = tff.federated_map(
            upload, (clients, inputs, tff.federated_broadcast(told))
        )
        totals = tff.federated_aggregate(uploads[0], zero(), accumulate, merge, report)
        selected = tff.federated_map(select, (totals, replica, told, seed))
        return Exchanged(
            replica=selected[1],
            answer=selected[0],
            sent=uploads[1],
            outcome=selected[2],
        )

    exchanged_type = send.type_signature.result
    receive_one = tff.tensorflow.computation(
        receive,
        (
            client_state.waiting_type(replica_type),
            exchanged_type.sent.member,
            exchanged_type.answer.member,
        ),
    )

    @tff.federated_computation(*arguments)
    def next_fn(
        replica: tff.Value,
        told: tff.Value,
        seed: tff.Value,
        clients: tff.Value,
        inputs: tff.Value,
    ) -> ExchangeOutput:
        exchanged = send(replica, told, seed, clients, inputs)
        received = tff.federated_map(
            receive_one,
            (
                client_state.waiting(clients),
                exchanged.sent,
                tff.federated_broadcast(exchanged.answer),
            ),
        )
        return ExchangeOutput(
            replica=exchanged.replica,
            clients=received.client,
            contributed=received.contributed,
            outcome=exchanged.outcome,
        )

    initialize_client = tff.tensorflow.computation(
        client_state.initial_client_state, (np.int32, replica_type, seed_type)
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

    return SparseExchange(
        dimension=dimension,
        sparsifier=sparsifier,
        initialize_clients=initialize_clients,
        send=send,
        receive=receive,
        next=next_fn,
        uplink_encoder=uplink_encoder,
        downlink_encoder=downlink_encoder,
    )
