"""The probe: what the clients report after an exchange, in one aggregation.

Han, Wang, Leung, ICDCS 2020, Section IV-E. Every client evaluates the loss of one
random example of its minibatch at w(m-1), at w(m) and at w'(m), the weights that
round m would have given with k'; the server averages with weights C_i / C.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import growing
from tff_gs.encoders import encoder
from tff_gs.exchange import (
    catch_up,
    client_state,
    message_size,
    server_update,
    sparse_exchange,
)
from tff_gs.exchange.answer import read_answer
from tff_gs.learning import objective as objective_lib


class Closing(NamedTuple):
    """What a client has when the answer comes.

    Attributes:
      client: `tff_gs.exchange.client_state.Waiting`.
      sent: `tff_gs.exchange.sparse_exchange.Sent`, with `local_work.Kept`.
      non_trainable: The model's weights that training leaves alone.
      catch_up: `tff_gs.exchange.catch_up.CatchUpReceipt`; `()` where all clients take
        part in every round.
    """

    client: Any
    sent: Any
    non_trainable: Any
    catch_up: Any = ()


class Closed(NamedTuple):
    """The result of closing a round.

    Attributes:
      clients: `ClientState` at CLIENTS, after the round.
      report: `Report` at SERVER.
    """

    clients: Any
    report: Any


class ClientReport(NamedTuple):
    """What one client reports.

    Attributes:
      client_id: int32 scalar.
      contributed: int32 scalar, |J and J_i|.
      weight: float32 scalar, C_i.
      training_loss: float32 scalar, see `local_work.Kept`.
      losses: float32 [3], its probe examples' mean loss at w(m-1), w(m) and w'(m), as
        at inference; [0] where nothing is probed.
    """

    client_id: tf.Tensor
    contributed: tf.Tensor
    weight: tf.Tensor
    training_loss: tf.Tensor
    losses: tf.Tensor


class Report(NamedTuple):
    """What the server knows from all reports.

    Attributes:
      client_ids: int32 [N], ascending.
      contributed: int32 [N], |J and J_i| in the order of `client_ids`.
      training_loss: float64 scalar, weighted by C_i / C.
      losses: float64 [3], likewise; [0] where nothing is probed.
      bits: int64 scalar, the size of all reports.
      encode_seconds: float64 scalar, all clients' time for encoding their uploads;
        measured, not part of the reports' size.
      catch_up: `tff_gs.exchange.catch_up.CatchUpReceipt` of int64 [N], in the order
        of `client_ids`, or `()`; likewise.
      local_steps: int32 [N], see `local_work.Kept`, in that order; likewise.
    """

    client_ids: tf.Tensor
    contributed: tf.Tensor
    training_loss: tf.Tensor
    losses: tf.Tensor
    bits: tf.Tensor
    encode_seconds: tf.Tensor
    catch_up: Any
    local_steps: tf.Tensor


class _OfClients(NamedTuple):
    client_ids: tf.Tensor
    contributed: tf.Tensor
    local_steps: tf.Tensor


class _Sums(NamedTuple):
    of_clients: _OfClients
    weight: tf.Tensor
    training_loss: tf.Tensor
    losses: tf.Tensor
    bits: tf.Tensor
    encode_seconds: tf.Tensor
    catch_up: Any


class _Measured(NamedTuple):
    report: ClientReport
    encode_seconds: tf.Tensor
    catch_up: Any
    local_steps: tf.Tensor


def build_probe(
    objective: objective_lib.Objective,
    exchange: sparse_exchange.SparseExchange,
    *,
    probes: bool,
    probe_encoder: encoder.Encoder,
    update: server_update.ServerUpdate,
    catches_up: bool = False,
) -> tff.Computation:
    """Builds the computation that closes a round.

    Args:
      objective: The model.
      exchange: Whose answer the clients receive.
      probes: Whether the probe losses are wanted; without, the computation only
        collects the training loss and the contributed counts.
      probe_encoder: The encoder that wrote `Outcome.probe_message`.
      update: How the model changes.
      catches_up: Whether clients have receipts of their catch-up.

    Returns:
      `(answer@SERVER, probe_message@SERVER, closing@CLIENTS) -> Closed` with the
      server's `DownlinkMessage`, the probe's message (uint8 [bytes]) and `Closing`.
    """
    exchanged_type = exchange.send.type_signature.result
    answer_type = exchanged_type.answer.member
    message_type = tff.TensorType(np.uint8, [None])
    closing_type = tff.to_type(
        Closing(
            client=client_state.waiting_type(update.replica_type),
            sent=exchanged_type.sent.member,
            non_trainable=objective.non_trainable_type,
            catch_up=catch_up.RECEIPT_TYPE if catches_up else (),
        )
    )

    def losses(
        closing: Closing, received: sparse_exchange.Received, message: tf.Tensor
    ) -> tf.Tensor:
        before, after = closing.client.replica, received.client.replica
        probed = update.probe_weights(
            before,
            after,
            received.update,
            read_answer(probe_encoder, message, objective.dimension),
        )
        return objective.probe_losses(
            (before.weights, after.weights, probed),
            closing.non_trainable,
            closing.sent.kept.probe_examples,
        )

    @tff.tensorflow.computation(closing_type, answer_type, message_type)
    def close(
        closing: Closing,
        answer: sparse_exchange.DownlinkMessage,
        message: tf.Tensor,
    ) -> tuple[client_state.ClientState, _Measured]:
        received = exchange.receive(closing.client, closing.sent, answer)
        kept = closing.sent.kept
        report = ClientReport(
            closing.client.client_id,
            received.contributed,
            kept.weight,
            kept.training_loss,
            losses(closing, received, message) if probes else tf.zeros([0], tf.float32),
        )
        return received.client, _Measured(
            report, closing.sent.encode_seconds, closing.catch_up, kept.local_steps
        )

    @tff.tensorflow.computation
    def zero() -> _Sums:
        none = _OfClients(*[growing.empty(tf.int32) for _ in _OfClients._fields])
        nought = tf.constant(0.0, tf.float64)
        losses = tf.zeros([3 if probes else 0], tf.float64)
        return _Sums(
            none,
            nought,
            nought,
            losses,
            tf.constant(0, tf.int64),
            nought,
            catch_up.no_receipts() if catches_up else (),
        )

    sums_type = zero.type_signature.result

    @tff.tensorflow.computation(sums_type, close.type_signature.result[1])
    def accumulate(sums: _Sums, measured: _Measured) -> _Sums:
        report = measured.report
        weight = tf.cast(report.weight, tf.float64)
        return _Sums(
            growing.concat(
                sums.of_clients,
                _OfClients(
                    [report.client_id], [report.contributed], [measured.local_steps]
                ),
            ),
            sums.weight + weight,
            sums.training_loss + weight * tf.cast(report.training_loss, tf.float64),
            sums.losses + weight * tf.cast(report.losses, tf.float64),
            sums.bits + message_size.size_in_bits(report),
            sums.encode_seconds + measured.encode_seconds,
            growing.concat(
                sums.catch_up,
                tf.nest.map_structure(lambda x: x[tf.newaxis], measured.catch_up),
            ),
        )

    @tff.tensorflow.computation(sums_type, sums_type)
    def merge(first: _Sums, second: _Sums) -> _Sums:
        return _Sums(
            growing.concat(first.of_clients, second.of_clients),
            first.weight + second.weight,
            first.training_loss + second.training_loss,
            first.losses + second.losses,
            first.bits + second.bits,
            first.encode_seconds + second.encode_seconds,
            growing.concat(first.catch_up, second.catch_up),
        )

    @tff.tensorflow.computation(sums_type)
    def report(sums: _Sums) -> Report:
        order = tf.argsort(sums.of_clients.client_ids, stable=True)
        in_order = tf.nest.map_structure(
            lambda column: tf.gather(column, order), sums.of_clients
        )
        return Report(
            **in_order._asdict(),
            training_loss=sums.training_loss / sums.weight,
            losses=sums.losses / sums.weight,
            bits=sums.bits,
            encode_seconds=sums.encode_seconds,
            catch_up=tf.nest.map_structure(
                lambda column: tf.gather(column, order), sums.catch_up
            ),
        )

    @tff.federated_computation(
        tff.FederatedType(answer_type, tff.SERVER),
        tff.FederatedType(message_type, tff.SERVER),
        tff.FederatedType(closing_type, tff.CLIENTS),
    )
    def close_round(
        answer: tff.Value, message: tff.Value, closing: tff.Value
    ) -> Closed:
        closed = tff.federated_map(
            close,
            (
                closing,
                tff.federated_broadcast(answer),
                tff.federated_broadcast(message),
            ),
        )
        return Closed(
            closed[0],
            tff.federated_aggregate(closed[1], zero(), accumulate, merge, report),
        )

    return close_round
