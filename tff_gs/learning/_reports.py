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
    """

    client_id: tf.Tensor
    contributed: tf.Tensor
    training_loss: tf.Tensor
    losses: tf.Tensor
    energies: tf.Tensor


class Measured(NamedTuple):
    """A report, and what is measured beside it: no part of the report's size.

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
      client_ids: int32 [n].
      contributed: int32 [n].
      training_loss: float32 [n].
      losses: float32 [3 n], or [0].
      energies: float32 [2 n], or [0].
      local_steps: int32 [n].
      catch_up: `CatchUpReceipt` of int64 [n], or `()`.
      bits: int64 scalar, the size of all reports.
      encode_seconds: float64 scalar, of all clients.
    """

    client_ids: tf.Tensor
    contributed: tf.Tensor
    training_loss: tf.Tensor
    losses: tf.Tensor
    energies: tf.Tensor
    local_steps: tf.Tensor
    catch_up: Any
    bits: tf.Tensor
    encode_seconds: tf.Tensor


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


def no_reports(*, catches_up: bool) -> CollectedReports:
    """The accumulator before any report."""
    return CollectedReports(
        client_ids=_growing.empty(tf.int32),
        contributed=_growing.empty(tf.int32),
        training_loss=_growing.empty(tf.float32),
        losses=_growing.empty(tf.float32),
        energies=_growing.empty(tf.float32),
        local_steps=_growing.empty(tf.int32),
        catch_up=catch_up.no_receipts() if catches_up else (),
        bits=tf.constant(0, tf.int64),
        encode_seconds=tf.constant(0.0, tf.float64),
    )


def collect(collected: CollectedReports, measured: Measured) -> CollectedReports:
    """The accumulator with one more report."""
    report = measured.report
    one = CollectedReports(
        client_ids=report.client_id[tf.newaxis],
        contributed=report.contributed[tf.newaxis],
        training_loss=report.training_loss[tf.newaxis],
        losses=report.losses,
        energies=report.energies,
        local_steps=measured.local_steps[tf.newaxis],
        catch_up=tf.nest.map_structure(lambda x: x[tf.newaxis], measured.catch_up),
        bits=messages.size_in_bits(report),
        encode_seconds=measured.encode_seconds,
    )
    return join(collected, one)


def join(first: CollectedReports, second: CollectedReports) -> CollectedReports:
    """The reports of both."""
    columns = CollectedReports._fields[:6]
    return first._replace(
        **{
            name: tf.concat([getattr(first, name), getattr(second, name)], axis=0)
            for name in columns
        },
        catch_up=_growing.concat(first.catch_up, second.catch_up),
        bits=first.bits + second.bits,
        encode_seconds=first.encode_seconds + second.encode_seconds,
    )


def summarise(
    collected: CollectedReports,
    received: receipts.Receipts,
    *,
    selected: tf.Tensor,
    probes: bool,
    energies: bool,
    limits: catch_up.CatchUpReceipt | None,
) -> RoundReport:
    """What the reports come to.

    Args:
      collected: All reports.
      received: The receipts of the round's uploads.
      selected: int32 scalar, |J|.
      probes: Whether losses were measured.
      energies: Whether energies were.
      limits: The most that a client can have received to catch up; int64 scalars.
    """
    participants = receipts.of_participants(received)
    order = tf.argsort(collected.client_ids, stable=True)
    ids = tf.gather(collected.client_ids, order)
    # The first report under each id; a client without one reports zeros.
    places = tf.searchsorted(ids, participants.client_ids)
    has_report = tf.equal(
        tf.gather(tf.concat([ids, [0]], axis=0), places), participants.client_ids
    ) & (places < tf.size(ids))
    rows = tf.gather(tf.concat([order, [tf.size(ids)]], axis=0), places)

    def column(values: tf.Tensor) -> tf.Tensor:
        nought = tf.zeros([1], values.dtype)
        found = tf.gather(tf.concat([values, nought], axis=0), rows)
        return tf.where(has_report, found, nought)

    weights = tf.where(has_report, participants.weights, 0.0)

    def means(values: tf.Tensor, width: int) -> tf.Tensor:
        table = tf.reshape(values, [-1, width])
        columns = [column(table[:, place]) for place in range(width)]
        return _means(tf.stack(columns, axis=1), weights)

    nothing = tf.zeros([0], tf.float64)
    caught_up: Any = ()
    if limits is not None:
        caught_up = catch_up.CatchUpReceipt(
            *(
                tf.clip_by_value(column(values), tf.constant(0, tf.int64), limit)
                for values, limit in zip(collected.catch_up, limits, strict=True)
            )
        )
    return RoundReport(
        participants=participants,
        contributed=tf.clip_by_value(
            column(collected.contributed),
            0,
            tf.minimum(participants.elements, selected),
        ),
        training_loss=_means(column(collected.training_loss)[:, tf.newaxis], weights)[
            0
        ],
        losses=means(collected.losses, 3) if probes else nothing,
        energies=means(collected.energies, 2) if energies else nothing,
        local_steps=tf.clip_by_value(column(collected.local_steps), 0, MAX_LOCAL_STEPS),
        catch_up=caught_up,
        bits=collected.bits,
        encode_seconds=collected.encode_seconds,
    )


def _means(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Weighted means, float64 [c], of the columns of float32 [n, c].

    A row with a value that is not finite counts for nothing. The sums run by client
    id, so that they are the same on any tree of aggregators.
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
