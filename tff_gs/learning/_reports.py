"""What clients report after an exchange, and what the server makes of it.

Han, Wang, Leung, ICDCS 2020, Section IV-E. Every client evaluates the loss of one
random example of its minibatch at w(m-1), at w(m) and at w'(m), the weights that
round m would have given with k'; the server averages with weights C_i / C.

The server believes the losses that it can average, and nothing else: weights are those
of the accepted uploads, counts are held to what can be.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from tff_gs import _growing, _sums
from tff_gs.exchange import catch_up, messages, receipts

#: The most minibatch gradients of a client and round that are believed.
MAX_LOCAL_STEPS = 2**20


class ClientReport(NamedTuple):
    """What one client reports.

    Attributes:
      client_id: int32 scalar.
      contributed: int32 scalar, |J and J_i|.
      training_loss: float32 scalar, see `local_work.TrainingRecord`.
      losses: float32 [3], its probe examples' mean loss at w(m-1), w(m) and w'(m);
        [0] if nothing is probed.
      energies: float32 [2], the sum of the squares of a_i, and of those that it sent;
        [0] if no rule for k needs them.
      model_metrics: What the model's own metrics came to in the client's training,
        not finalized, see `Objective.training_pass`; `()` if it has none.
    """

    client_id: tf.Tensor
    contributed: tf.Tensor
    training_loss: tf.Tensor
    losses: tf.Tensor
    energies: tf.Tensor
    model_metrics: Any = ()


class ClientMeasurements(NamedTuple):
    """A report, and what is measured beside it: no part of the report's size.

    Of several clients, with columns [n, ...] in place of each tensor.

    Attributes:
      report: `ClientReport`.
      local_steps: int32 scalar, see `local_work.TrainingRecord`.
      catch_up: `tff_gs.exchange.catch_up.CatchUpReceipt`; `()` if all clients take
        part in every round.
      encode_seconds: float64 scalar, the client's time for encoding its upload.
    """

    report: ClientReport
    local_steps: tf.Tensor
    catch_up: Any
    encode_seconds: tf.Tensor


class CollectedReports(NamedTuple):
    """Reports as they came: the accumulator of the aggregation.

    Attributes:
      rows: `ClientMeasurements` of n clients.
      bits: int64 scalar, the size of all reports.
    """

    rows: ClientMeasurements
    bits: tf.Tensor


class RoundReport(NamedTuple):
    """What the server knows from all reports; a client a row, by client id.

    Attributes:
      participants: The receipts of the round's clients, one of each.
      contributed: int32 [n], |J and J_i|.
      training_loss: float64 scalar, weighted by C_i / C; NaN if nobody has one.
      losses: float64 [3], likewise; [0] if nothing is probed.
      energies: float64 [2], likewise; [0] if no rule for k needs them.
      local_steps: int32 [n], see `local_work.TrainingRecord`.
      catch_up: `tff_gs.exchange.catch_up.CatchUpReceipt` of int64 [n], or `()`.
      bits: int64 scalar, the size of all reports.
      encode_seconds: float64 scalar, all clients' time for encoding their uploads.
      model_metrics: The sums of `ClientReport.model_metrics`, or `()`.
    """

    participants: receipts.Receipts
    contributed: tf.Tensor
    training_loss: tf.Tensor
    losses: tf.Tensor
    energies: tf.Tensor
    local_steps: tf.Tensor
    catch_up: Any
    bits: tf.Tensor
    encode_seconds: tf.Tensor
    model_metrics: Any = ()


def no_reports(specs: ClientMeasurements) -> CollectedReports:
    """The accumulator before any report, whose `tf.TensorSpec`s are `specs`."""
    return CollectedReports(
        tf.nest.map_structure(_growing.no_rows, specs), tf.constant(0, tf.int64)
    )


def collect(
    collected: CollectedReports, measured: ClientMeasurements
) -> CollectedReports:
    """The accumulator with one more report."""
    one = tf.nest.map_structure(lambda x: x[tf.newaxis], measured)
    return join(
        collected, CollectedReports(one, messages.size_in_bits(measured.report))
    )


def join(first: CollectedReports, second: CollectedReports) -> CollectedReports:
    """The reports of both."""
    rows = tf.nest.map_structure(
        lambda *columns: tf.concat(columns, axis=0), first.rows, second.rows
    )
    return CollectedReports(rows, first.bits + second.bits)


def summarise(
    collected: CollectedReports,
    received: receipts.Receipts,
    *,
    selected: tf.Tensor,
    limits: catch_up.CatchUpReceipt | None,
) -> RoundReport:
    """What the reports come to.

    Args:
      collected: All reports.
      received: The receipts of the round's uploads.
      selected: int32 scalar, |J|.
      limits: The most that a client can have received to catch up; int64 scalars.
    """
    participants = receipts.of_participants(received)
    rows, has_report = _of_clients(participants.client_ids, collected.rows)
    report = rows.report
    weights = tf.where(has_report, participants.weights, 0.0)
    caught_up: Any = ()
    if limits is not None:
        caught_up = catch_up.CatchUpReceipt(
            *(
                tf.clip_by_value(column, tf.constant(0, tf.int64), limit)
                for column, limit in zip(rows.catch_up, limits, strict=True)
            )
        )
    most = tf.minimum(participants.elements, selected)
    return RoundReport(
        participants=participants,
        contributed=tf.clip_by_value(report.contributed, 0, most),
        training_loss=_means(report.training_loss[:, tf.newaxis], weights)[0],
        losses=_means(report.losses, weights),
        energies=_means(report.energies, weights),
        local_steps=tf.clip_by_value(rows.local_steps, 0, MAX_LOCAL_STEPS),
        catch_up=caught_up,
        bits=collected.bits,
        encode_seconds=tf.reduce_sum(collected.rows.encode_seconds),
        model_metrics=_sums_of(report.model_metrics, participants.accepted),
    )


def _of_clients(
    client_ids: tf.Tensor, measured: ClientMeasurements
) -> tuple[ClientMeasurements, tf.Tensor]:
    """The rows of some clients, and who of them has one, bool [n].

    The first row under each id counts; a client without one has zeros.

    Args:
      client_ids: int32 [n], ascending.
      measured: Rows in any order.
    """
    order = tf.argsort(measured.report.client_id, stable=True)
    ids = tf.gather(measured.report.client_id, order)
    places = tf.searchsorted(ids, client_ids)
    has_row = tf.equal(tf.gather(tf.concat([ids, [0]], axis=0), places), client_ids) & (
        places < tf.size(ids)
    )
    nobody = tf.size(ids)
    rows = tf.gather(tf.concat([order, [nobody]], axis=0), places)
    rows = tf.where(has_row, rows, nobody)

    def column(values: tf.Tensor) -> tf.Tensor:
        nought = tf.zeros([1, *values.shape[1:]], values.dtype)
        return tf.gather(tf.concat([values, nought], axis=0), rows)

    return tf.nest.map_structure(column, measured), has_row


def _sums_of(metrics: Any, accepted: tf.Tensor) -> Any:
    """The sums over the clients that are heard and whose numbers are finite.

    Args:
      metrics: A structure of columns [n, ...] of numbers, or none.
      accepted: bool [n], whose upload was accepted.
    """
    counts = accepted
    for column in tf.nest.flatten(metrics):
        if column.dtype.is_floating:
            others = list(range(1, column.shape.rank))
            counts &= tf.reduce_all(tf.math.is_finite(column), axis=others)

    def total(column: tf.Tensor) -> tf.Tensor:
        counted = tf.reshape(counts, [-1, *[1] * (column.shape.rank - 1)])
        column = tf.where(counted, column, tf.zeros_like(column))
        return _sums.running_sums(column)[-1]

    return tf.nest.map_structure(total, metrics)


def _means(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weighted means, float64 [c], of the columns of float32 [n, c].

    A row with a value that is not finite counts for nothing. The sums run by client
    id, so they are the same on any tree of aggregators.
    """
    values = tf.cast(values, tf.float64)
    is_finite = tf.reduce_all(tf.math.is_finite(values), axis=1)
    values = tf.where(is_finite[:, tf.newaxis], values, 0.0)
    weights = tf.where(is_finite, weights, 0.0)[:, tf.newaxis]
    sums, total = (
        _sums.running_sums(column)[-1] for column in (weights * values, weights)
    )
    nan = tf.constant(float("nan"), tf.float64)
    return tf.where(total > 0.0, sums / tf.where(total > 0.0, total, 1.0), nan)
