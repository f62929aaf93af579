"""Consensus exchange whose server learns the sum of the values, and no client's.

J is public before values travel, so the sum is one of vectors of equal length, which
any aggregation of TFF can compute, a secure one too. The other legs are those of
`tff_gs.exchange.consensus_exchange`. A round from the election on:

    server  announce J, and whose ballots were refused     `elect`
    client  add C_i a_i at J, padded with zeros            `send_values`
    TFF     add up these vectors                           `value_sum`
    server  b <- the sum / sum of C_i; w <- w - eta b      `select`

What the server can check is a ballot. A client whose ballot was refused, or whose work
was not finite, adds zeros and keeps its residual; the weight on its ballot is not in
the sum of C_i either.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import _client_values, sparse_vector
from tff_gs.encoders import names
from tff_gs.exchange import (
    consensus_exchange,
    messages,
    reading,
    server_update,
    sparse_exchange,
)
from tff_gs.exchange import election as election_lib
from tff_gs.exchange import receipts as receipts_lib


class Announcement(NamedTuple):
    """What the server tells all clients after the election.

    Attributes:
      message: uint8 [bytes], J.
      rejected: int32 [r], see `tff_gs.exchange.messages.DownlinkMessage`, of ballots.
      contested: int32 [2 c], likewise.
    """

    message: Any
    rejected: Any
    contested: Any


class SummedValues(NamedTuple):
    """What the server knows of the clients' values.

    Attributes:
      total: float32 [length], the sum of C_i a_i at J, then zeros.
      measurements: What the aggregation measured.
      ballots: The receipts of the ballots.
    """

    total: Any
    measurements: Any
    ballots: Any


class SummedConsensusExchange(consensus_exchange.ConsensusExchange):
    """`ConsensusExchange` around an aggregation of TFF.

    The codes of the uplink are not used: the aggregation takes values as they are. What
    it changes of them, such as by clipping, is lost.

    Attributes:
      length: Of the vectors that are added up.
    """

    def __init__(
        self,
        *,
        value_sum: tff.aggregators.UnweightedAggregationFactory,
        largest_k: int,
        **parts: Any,
    ) -> None:
        """Builds the exchange.

        Args:
          value_sum: Adds up float32 [largest_k], without a state between rounds.
          largest_k: The largest k of any round.
          **parts: As of `ConsensusExchange`.

        Raises:
          TypeError: If `value_sum` is no such factory.
          ValueError: If it has a state.
        """
        self.length = largest_k
        self._value_sum = _create_value_sum(value_sum, largest_k)
        super().__init__(**parts)

    @override
    def elect(
        self,
        collected: messages.CollectedMessages,
        config: messages.RoundConfig,
        roster: tf.Tensor,
    ) -> tuple[Any, election_lib.Election]:
        """The `Announcement`, and the election."""
        message, election = super().elect(collected, config, roster)
        announcement = Announcement(
            message,
            receipts_lib.rejected(election.ballots),
            reading.contested(collected, election.ballots),
        )
        bits = messages.size_in_bits(announcement)
        return announcement, election._replace(announced_bits=bits)

    @override
    def send_values(
        self, voter: consensus_exchange.Voter, announcement: Any
    ) -> tuple[Any, sparse_exchange.PendingUpload]:
        """What a client adds to the sum, float32 [length], and what it remembers."""
        work = voter.work
        elected = self._election_messages.read_announcement(announcement.message)
        counts = work.usable & messages.was_accepted(
            announcement, voter.sender.client_id, voter.tag
        )
        entries = sparse_vector.take(work.residual, elected.coordinates)
        weighted = tf.where(counts, work.weight * entries, 0.0)
        missing = self.length - tf.size(weighted)
        padded = tf.ensure_shape(tf.pad(weighted, [[0, missing]]), [self.length])
        return padded, sparse_exchange.PendingUpload(
            residual=work.residual,
            coordinates=elected.coordinates,
            sent=counts,
            lost=tf.zeros_like(entries),
            tag=voter.tag,
            transformation=work.transformation,
            encode_seconds=tf.constant(0.0, tf.float64),
            kept=work.kept,
            nominated=voter.nominees,
        )

    @override
    def select(
        self,
        collected: consensus_exchange.ElectedUplink,
        replica: server_update.Replica,
        config: messages.RoundConfig,
        roster: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[
        messages.DownlinkMessage, server_update.Replica, sparse_exchange.Outcome
    ]:
        """As of `ConsensusExchange`; each refusal stands in `Outcome.receipts`."""
        answer, stepped, outcome = super().select(
            collected, replica, config, roster, seed
        )
        ballots = outcome.election.ballots
        unrefused = ballots._replace(errors=tf.zeros_like(ballots.errors))
        return (
            answer,
            stepped,
            outcome._replace(
                election=outcome.election._replace(ballots=unrefused),
                sum_measurements=collected.collected.measurements,
            ),
        )

    @override
    def _read(
        self, collected: SummedValues, config: messages.RoundConfig, roster: tf.Tensor
    ) -> reading.ReadMessages:
        """The sum at J, float64 [|J|], and a receipt for each ballot."""
        del roster
        count = tf.size(config.shared.coordinates)
        total = tf.cast(collected.total[:count], tf.float64)
        return reading.ReadMessages(
            total, self._receipts(collected.ballots), tf.constant(0.0, tf.float64)
        )

    @override
    def _refused(
        self, collected: SummedValues, received: receipts_lib.Receipts
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Nobody: clients know from the announcement."""
        del collected, received
        nobody = tf.zeros([0], tf.int32)
        return nobody, nobody

    def _receipts(self, ballots: receipts_lib.Receipts) -> receipts_lib.Receipts:
        """With each accepted ballot as many values came as the sum takes."""
        elements = self.length * tf.cast(
            tf.equal(ballots.errors, names.ACCEPTED), tf.int32
        )
        bits = 32 * tf.cast(elements, tf.int64)
        nought = tf.zeros_like(bits)
        return ballots._replace(
            elements=elements,
            bits=bits,
            index_bits=nought,
            value_bits=bits,
            overhead_bits=nought,
        )

    @override
    def _build_gather(self) -> Callable[[tff.Value, tff.Value], tff.Value]:
        """The sum, with the receipts of the ballots."""
        value_sum = self._value_sum

        def gather(values: tff.Value, election: tff.Value) -> tff.Value:
            output = value_sum.next(value_sum.initialize(), values)
            return tff.federated_zip(
                SummedValues(output.result, output.measurements, election.ballots)
            )

        return gather


def _create_value_sum(
    factory: tff.aggregators.UnweightedAggregationFactory, length: int
) -> tff.templates.AggregationProcess:
    """The sum of float32 [length].

    Raises:
      TypeError: If it is no unweighted factory, or results in something else.
      ValueError: If it has a state between rounds.
    """
    if not isinstance(factory, tff.aggregators.UnweightedAggregationFactory):
        raise TypeError(
            "Expected value_sum to be an unweighted aggregation factory, such as "
            f"tff.aggregators.SecureSumFactory(1.0, -1.0), found {factory!r}."
        )
    summed_type = tff.TensorType(np.float32, [length])
    process = factory.create(summed_type)
    state_type = process.initialize.type_signature.result.member
    if _client_values.leaf_types(state_type):
        raise ValueError(
            "Expected a value_sum without a state between rounds, such as "
            "tff.aggregators.SumFactory() or a SecureSumFactory whose thresholds are "
            f"numbers, found {factory!r} with the state {state_type}."
        )
    found = process.next.type_signature.result.result.member
    if found != summed_type:
        raise TypeError(
            f"Expected a value_sum that results in {summed_type}, found {found}."
        )
    return process
