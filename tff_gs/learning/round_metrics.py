"""What a round showed: to the rule for k, and to the user."""

import bisect
import collections
import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tff_gs.controllers import _losses
from tff_gs.controllers import controller as controller_lib
from tff_gs.costs import cost as cost_lib
from tff_gs.encoders import codec, index_code, names
from tff_gs.exchange import catch_up, messages, sparse_exchange
from tff_gs.exchange import receipts as receipts_lib
from tff_gs.learning import _reports
from tff_gs.sparsifiers import sparsifier as sparsifier_lib

#: A note is an int32.
_NOTE_BITS = 32


@dataclasses.dataclass(frozen=True)
class RoundMetrics:
    """Reads the outcome of an exchange and the clients' reports; TensorFlow code.

    Attributes:
      method: What clients sent and what the server selected.
      cost: How long a round takes.
      uplink_encoder: Estimates the uplink's size at k'.
      downlink_encoder: Estimates the downlink's.
      needs: What the rule for k needs, see `tff_gs.controllers.controller.Feedback`.
      padded_to: How many values a client sends at every k; None: as many as k asks for.
    """

    method: sparsifier_lib.Sparsifier
    cost: cost_lib.Cost
    uplink_encoder: codec.Codec
    downlink_encoder: codec.Codec
    needs: frozenset[str] = frozenset()
    padded_to: int | None = None

    def feedback(
        self,
        decision: controller_lib.Decision,
        outcome: sparse_exchange.Outcome,
        report: _reports.RoundReport,
    ) -> controller_lib.Feedback:
        """What the rule for k learns, except for the number of the round.

        Args:
          decision: k and k'.
          outcome: What the server knows after the exchange.
          report: What the clients reported.
        """
        shown = self._shown(decision, outcome, report)
        round_time = self.cost.round_time(shown.traffic)
        unknown = tf.constant(np.nan, tf.float64)
        probe_time, before, after, probed_loss = [unknown] * 4
        if report.losses.shape[0]:
            probed = shown.traffic.probed
            answered = outcome.probe_count, outcome.probe_notes_elements
            at_k_probe = self._time_at(decision.k_probe, answered, shown)
            probe_time = tf.where(probed, at_k_probe, unknown)
            before, after, probed_loss = tf.unstack(
                tf.where(probed, report.losses, unknown)
            )
        feedback = controller_lib.Feedback(
            round_time,
            probe_time,
            before,
            after,
            probed_loss,
            report.training_loss,
            update=outcome.ordered_update,
        )
        if "time_elasticity" in self.needs:
            feedback = feedback._replace(
                time_elasticity=self._elasticity(round_time, shown)
            )
        if report.energies.shape[0]:
            whole, sent = tf.unstack(report.energies)
            feedback = feedback._replace(
                residual_norm=tf.sqrt(tf.maximum(whole, 0.0)),
                # No client is believed to have sent more than it had.
                energy_share=tf.clip_by_value(
                    tf.math.divide_no_nan(sent, whole), 0.0, 1.0
                ),
            )
        return feedback

    def _shown(
        self,
        decision: controller_lib.Decision,
        outcome: sparse_exchange.Outcome,
        report: _reports.RoundReport,
    ) -> "_Shown":
        """What the round showed of its price."""
        units = self.method.units
        participants = report.participants
        shared_units, notes = (
            tf.cast(count, tf.float64)
            for count in (outcome.shared_elements, outcome.notes_elements)
        )
        election = _elected(outcome, participants)
        traffic = cost_lib.Traffic(
            client_ids=participants.client_ids,
            uplink_units=units(participants.elements) + election.uplink_units,
            uplink_bits=tf.cast(participants.bits, tf.float64) + election.uplink_bits,
            downlink_units=units(outcome.downlink_elements)
            + notes
            + shared_units
            + election.downlink_units,
            downlink_bits=tf.cast(outcome.downlink_bits, tf.float64),
            probe_downlink_units=outcome.probe_units,
            probe_downlink_bits=tf.cast(
                messages.size_in_bits(outcome.probe_message), tf.float64
            ),
            probed=decision.k_probe > 0,
            local_steps=tf.cast(report.local_steps, tf.float64),
            trips=self.method.trips,
            **_catch_up_traffic(report),
        )
        return _Shown(decision.k, traffic, participants.elements, outcome, election)

    def _time_at(
        self,
        smaller_k: tf.Tensor,
        answered: tuple[tf.Tensor, tf.Tensor],
        shown: "_Shown",
    ) -> tf.Tensor:
        """What theta would have been at a smaller k; float64 scalar.

        The bits are those that were measured at k and the encoders' estimate of the
        difference, bounded as `_bounded` says.

        Args:
          smaller_k: int32 scalar.
          answered: int32 scalars, how many entries and notes the server would send.
          shown: What the round showed at k.
        """
        units = self.method.units
        k, traffic, elements, outcome, election = shown
        # Ballots have as many ranks as k needs: they grow with it.
        fewer = 1.0 - tf.cast(smaller_k, tf.float64) / tf.cast(k, tf.float64)
        uplink_count = tf.minimum(elements, self._max_sent(smaller_k))
        selected, notes = answered
        fewer_notes = tf.cast(notes - outcome.notes_elements, tf.float64)
        smaller = {
            "uplink_units": units(uplink_count) + (1.0 - fewer) * election.uplink_units,
            "uplink_bits": traffic.uplink_bits
            + _estimate_bits(self.uplink_encoder, uplink_count)
            - _estimate_bits(self.uplink_encoder, elements)
            - fewer * election.uplink_bits,
            "downlink_units": units(selected)
            + tf.cast(notes, tf.float64)
            + tf.cast(outcome.shared_elements, tf.float64)
            + (1.0 - fewer) * election.downlink_units,
            "downlink_bits": traffic.downlink_bits
            + self.downlink_encoder.estimate_bits(selected)
            - self.downlink_encoder.estimate_bits(outcome.downlink_elements)
            + _NOTE_BITS * fewer_notes
            - fewer * election.downlink_bits,
        }
        return self.cost.estimated_round_time(
            traffic, **_bounded(smaller, traffic, smaller_k, k)
        )

    def _elasticity(self, round_time: tf.Tensor, shown: "_Shown") -> tf.Tensor:
        """See `Feedback.time_elasticity`.

        theta is taken to be affine between k and seven eighths of it, and what the
        server sends to shrink as what clients send.
        """
        k = shown.k
        smaller_k = k - tf.maximum(k // 8, 1)
        sent, fewer, *counts = (
            tf.cast(count, tf.int64)
            for count in (
                self.method.max_sent(k),
                self.method.max_sent(smaller_k),
                shown.outcome.downlink_elements,
                shown.outcome.notes_elements,
            )
        )
        selected, notes = (tf.cast(count * fewer // sent, tf.int32) for count in counts)
        time = self._time_at(smaller_k, (selected, notes), shown)
        return _losses.time_elasticity(round_time, time, k, smaller_k)

    def _max_sent(self, k: tf.Tensor) -> tf.Tensor:
        """The most entries, or values, of a client's message at k; int32 scalars."""
        if self.padded_to is None:
            return self.method.max_sent(k)
        return tf.constant(self.padded_to)

    def balanced_k(self, *, clients: int, local_steps: int) -> int:
        """The least k at which communication takes as long as all else of a round.

        That is theta(k) >= 2 theta(0), for messages of the expected size and an answer
        of as many entries as a client sends; D if there is none. Computed when it is
        called, without a probe.

        Args:
          clients: How many take part, with ids below it.
          local_steps: tau.
        """
        method = self.method

        def time(k: int) -> float:
            count = method.max_sent(tf.constant(k))
            sent = self._max_sent(tf.constant(k))
            ones = tf.ones([clients], tf.float64)
            election = self._expected_election(k, clients)
            traffic = cost_lib.Traffic(
                client_ids=tf.range(clients),
                uplink_units=ones * (method.units(sent) + election.uplink_units),
                uplink_bits=ones
                * (self.uplink_encoder.estimate_bits(sent) + election.uplink_bits),
                downlink_units=method.units(count) + election.downlink_units,
                downlink_bits=self.downlink_encoder.estimate_bits(count)
                + election.downlink_bits,
                probe_downlink_units=tf.constant(0.0, tf.float64),
                probe_downlink_bits=tf.constant(0.0, tf.float64),
                probed=tf.constant(False),
                local_steps=ones * local_steps,
                trips=method.trips,
            )
            return float(self.cost.round_time(traffic))

        with tf.init_scope():
            goal = 2.0 * time(0)
            return 1 + bisect.bisect_left(range(1, method.dimension), goal, key=time)

    def _expected_election(self, k: int, clients: int) -> "_ElectionTraffic":
        """The least that an election at k takes; a number is 32 bits."""
        if not self.method.elects:
            return _NO_ELECTION
        ballot, announced = 2.0 * min(k // clients + 1, k), float(k)
        return _ElectionTraffic(ballot, 32.0 * ballot, announced, 32.0 * announced)

    def metrics(
        self,
        decision: controller_lib.Decision,
        outcome: sparse_exchange.Outcome,
        report: _reports.RoundReport,
        feedback: controller_lib.Feedback,
    ) -> dict[str, tf.Tensor]:
        """The metrics that `SparsifiedProcess` lists, except for the server's state."""
        receipts = outcome.receipts
        ballots = outcome.election.ballots if outcome.election else None
        refused = _count_refusals(receipts, ballots)
        contributed = _or_nought(report.contributed)
        return collections.OrderedDict(
            k=decision.k,
            k_probe=decision.k_probe,
            round_time=feedback.round_time,
            probe_time=feedback.probe_time,
            **self._size_metrics(outcome, ballots),
            report_bits=report.bits,
            kappa=outcome.kappa,
            **_election_metrics(outcome),
            contributed_min=tf.reduce_min(contributed),
            contributed_median=_median(contributed),
            contributed_max=tf.reduce_max(contributed),
            overlap=_overlap(report.contributed, outcome.downlink_elements),
            local_steps=tf.reduce_max(_or_nought(report.local_steps)),
            training_loss=report.training_loss,
            loss_before=feedback.loss_before,
            loss_after=feedback.loss_after,
            loss_probe=feedback.loss_probe,
            **_catch_up_metrics(report),
            clients=tf.size(receipts.client_ids),
            non_finite=refused[receipts_lib.NON_FINITE_WORK],
            refused=refused[: receipts_lib.NON_FINITE_WORK],
            client_ids=report.participants.client_ids,
            refusals=_first_refusal(report.participants, ballots),
            contributed=report.contributed,
        )

    def _size_metrics(
        self, outcome: sparse_exchange.Outcome, ballots: receipts_lib.Receipts | None
    ) -> dict[str, tf.Tensor]:
        """How many entries and bits travelled, in the order of the columns."""
        receipts, elements = outcome.receipts, outcome.receipts.elements
        dimension = self.method.dimension
        bits, sent = tf.reduce_sum(receipts.bits), receipts.bits
        if ballots:
            bits += tf.reduce_sum(ballots.bits)
            sent += _of_clients(receipts.client_ids, ballots, ballots.bits)
        return collections.OrderedDict(
            uplink_elements=tf.reduce_sum(elements),
            uplink_bits=bits,
            uplink_bits_max=tf.reduce_max(sent),
            downlink_elements=outcome.downlink_elements,
            downlink_bits=outcome.downlink_bits,
            uplink_estimate_error=self._estimate_error(receipts),
            **_bits_per_entry("uplink", elements, receipts, dimension),
            **_bits_per_entry(
                "downlink",
                outcome.downlink_elements[tf.newaxis],
                outcome.downlink_sizes,
                dimension,
            ),
            probe_downlink_elements=outcome.probe_elements,
            probe_downlink_bits=messages.size_in_bits(outcome.probe_message),
        )

    def _estimate_error(self, receipts: receipts_lib.Receipts) -> tf.Tensor:
        """By which share the estimate of the messages' sizes is off."""
        accepted = tf.cast(tf.equal(receipts.errors, 0), tf.float64)
        estimated = tf.reduce_sum(
            accepted * _estimate_bits(self.uplink_encoder, receipts.elements)
        )
        measured = tf.cast(
            tf.reduce_sum(
                receipts.index_bits + receipts.value_bits + receipts.overhead_bits
            ),
            tf.float64,
        )
        return estimated / tf.maximum(measured, 1.0) - 1.0


def _count_refusals(
    receipts: receipts_lib.Receipts, ballots: receipts_lib.Receipts | None
) -> tf.Tensor:
    """How many messages and ballots were refused by reason, and whose work was lost."""
    errors = [receipts.errors] + ([_refusals(ballots)] if ballots else [])
    return tf.math.bincount(
        tf.concat(errors, axis=0),
        minlength=receipts_lib.NON_FINITE_WORK + 1,
        maxlength=receipts_lib.NON_FINITE_WORK + 1,
    )


def _overlap(contributed: tf.Tensor, selected: tf.Tensor) -> tf.Tensor:
    """How many clients sent a selected coordinate, on average; float64 scalar."""
    return tf.cast(tf.reduce_sum(contributed), tf.float64) / tf.cast(
        tf.maximum(selected, 1), tf.float64
    )


class _ElectionTraffic(NamedTuple):
    """What an election adds to a round's traffic; float64."""

    uplink_units: tf.Tensor | float  # [n], of each participant
    uplink_bits: tf.Tensor | float  # [n]
    downlink_units: tf.Tensor | float  # to every client
    downlink_bits: tf.Tensor | float


_NO_ELECTION = _ElectionTraffic(0.0, 0.0, 0.0, 0.0)


def _elected(
    outcome: sparse_exchange.Outcome, participants: receipts_lib.Receipts
) -> _ElectionTraffic:
    """What the round's election added: pairs in ballots, and J once."""
    election = outcome.election
    if not election:
        return _NO_ELECTION
    ballots = election.ballots
    elements, bits = (
        tf.cast(_of_clients(participants.client_ids, ballots, column), tf.float64)
        for column in (tf.cast(ballots.elements, tf.int64), ballots.bits)
    )
    announced = tf.cast(tf.size(election.elected.coordinates), tf.float64)
    announced_bits = tf.cast(election.announced_bits, tf.float64)
    return _ElectionTraffic(2.0 * elements, bits, announced, announced_bits)


def _of_clients(
    client_ids: tf.Tensor, receipts: receipts_lib.Receipts, column: tf.Tensor
) -> tf.Tensor:
    """The sums of a column (int64 [m]) of `receipts` for clients (int32 [n])."""
    # Receipts are in the order of ids, so each client's are a run.
    sums = tf.pad(tf.cumsum(column), [[1, 0]])
    first, last = (
        tf.searchsorted(receipts.client_ids, client_ids, side=side)
        for side in ("left", "right")
    )
    return tf.gather(sums, last) - tf.gather(sums, first)


def _refusals(ballots: receipts_lib.Receipts) -> tf.Tensor:
    """The reasons, int32, against ballots; work is counted with the values."""
    errors = ballots.errors
    counted = (errors > 0) & tf.not_equal(errors, receipts_lib.NON_FINITE_WORK)
    return tf.boolean_mask(errors, counted)


def _first_refusal(
    participants: receipts_lib.Receipts, ballots: receipts_lib.Receipts | None
) -> tf.Tensor:
    """Why a client's ballot or values did not count, int32 [n]."""
    if ballots is None:
        return participants.errors
    unique = receipts_lib.of_participants(ballots)
    of_ballot = _of_clients(
        participants.client_ids, unique, tf.cast(unique.errors, tf.int64)
    )
    of_ballot = tf.cast(of_ballot, tf.int32)
    return tf.where(of_ballot > 0, of_ballot, participants.errors)


def _election_metrics(outcome: sparse_exchange.Outcome) -> dict[str, tf.Tensor]:
    election = outcome.election
    if not election:
        return {}
    return {
        "ballot_ranks": election.ranks,
        "ballot_bits": tf.reduce_sum(election.ballots.bits),
        "announcement_bits": election.announced_bits,
        "short_union": tf.cast(election.is_short, tf.int32),
    }


class _Shown(NamedTuple):
    """What a round showed of its price."""

    k: tf.Tensor  # int32 scalar
    traffic: cost_lib.Traffic
    elements: tf.Tensor  # int32 [n], what each participant sent
    outcome: sparse_exchange.Outcome
    election: _ElectionTraffic


def _bounded(
    smaller: dict[str, tf.Tensor],
    traffic: cost_lib.Traffic,
    smaller_k: tf.Tensor,
    k: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """The traffic at k', within what a smaller k can make of that at k.

    A message is never taken to be longer at k' than it was at k, nor to shrink by more
    than k did: what is there for every entry and once a message lies between. Else a
    round whose messages happened to be shorter than the encoders expect, or a union
    of uploads that happened to be disjoint, would price an entry above all of theta(k).
    """
    smaller_k, k = (tf.cast(number, tf.float64) for number in (smaller_k, k))
    bounded = {}
    for name, estimate in smaller.items():
        measured = getattr(traffic, name)
        # In this order exact if the measured number is a multiple of k.
        least = measured * smaller_k / k
        bounded[name] = tf.minimum(tf.maximum(estimate, least), measured)
    return bounded


def _catch_up_traffic(report: _reports.RoundReport) -> dict[str, tf.Tensor]:
    """What brought each client up to date, for `Traffic`."""
    if not report.catch_up:
        return {}
    return {
        "catch_up_units": tf.cast(report.catch_up.units, tf.float64),
        "catch_up_bits": tf.cast(report.catch_up.bits, tf.float64),
    }


def _catch_up_metrics(report: _reports.RoundReport) -> dict[str, tf.Tensor]:
    if not report.catch_up:
        return {}
    rounds, elements, dense, _, bits = map(_or_nought, report.catch_up)
    return {
        "catch_up_rounds": tf.reduce_sum(rounds),
        "catch_up_rounds_max": tf.reduce_max(rounds),
        "catch_up_elements": tf.reduce_sum(elements),
        "catch_up_bits": tf.reduce_sum(bits),
        "catch_up_bits_max": tf.reduce_max(bits),
        "catch_up_dense": tf.cast(tf.reduce_sum(dense), tf.int32),
        # Every client asks with the round of its model.
        "catch_up_request_bits": tf.size(report.catch_up.bits, tf.int64)
        * catch_up.REQUEST_BITS,
    }


def _or_nought(of_clients: tf.Tensor) -> tf.Tensor:
    """The same numbers ([n]); a 0 if the server knows none of the round's clients."""
    missing = tf.maximum(1 - tf.size(of_clients), 0)
    return tf.pad(of_clients, [[0, missing]])


def _estimate_bits(code: codec.Codec, counts: tf.Tensor) -> tf.Tensor:
    """Expected sizes, float64 [n] bits, of messages of `counts` (int32 [n]) entries."""
    return tf.map_fn(code.estimate_bits, counts, fn_output_signature=tf.float64)


def _median(values: tf.Tensor) -> tf.Tensor:
    """The median, float64 scalar, of int32 [n]."""
    ordered = tf.cast(tf.sort(values), tf.float64)
    count = tf.size(values)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2.0


def _bits_per_entry(
    direction: str,
    elements: tf.Tensor,
    sizes: receipts_lib.Receipts | codec.Sizes,
    dimension: int,
) -> dict[str, tf.Tensor]:
    """How the bits of messages of `elements` (int32 [n]) entries divide among them."""
    count = tf.cast(tf.maximum(tf.reduce_sum(elements), 1), tf.float64)
    bound = tf.map_fn(
        lambda n: index_code.entropy_bits(n, dimension),
        elements,
        fn_output_signature=tf.float64,
    )
    return {
        f"{direction}_bits_per_{name}": tf.cast(tf.reduce_sum(bits), tf.float64) / count
        for name, bits in (("index", sizes.index_bits), ("value", sizes.value_bits))
    } | {f"{direction}_entropy_per_index": tf.reduce_sum(bound) / count}


def describe_refusals(metrics: Mapping[str, Any]) -> list[str]:
    """A sentence for each client whose message or work did not count in a round.

    >>> describe_refusals({"client_ids": [4, 7], "refusals": [0, 1]})
    ['The message of client 7 was refused (wrong_length); it counts for nothing in this
    round.']

    Args:
      metrics: Those of `SparsifiedProcess.next`.
    """
    sentences = []
    for client, error in zip(metrics["client_ids"], metrics["refusals"], strict=True):
        if error == receipts_lib.NON_FINITE_WORK:
            sentences.append(
                f"The work of client {client} was not finite; it counts for nothing "
                "in this round."
            )
        elif error != names.ACCEPTED:
            sentences.append(
                f"The message of client {client} was refused "
                f"({names.REFUSALS[error]}); it counts for nothing in this round."
            )
    return sentences
