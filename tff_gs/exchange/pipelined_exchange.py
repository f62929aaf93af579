"""The exchange of pipelined consensus: values of this round, ballots for the next.

See `tff_gs.sparsifiers.pipelined_consensus`. A round, and who does what:

    server  tell k, r and J, which the last ballots gave   `tell_elected`
    client  a_i <- a_i + its work                          `SparseExchange.contribute`
    client  send encode(a_i at J), without indices, and
            a ballot: the first r ranks of what is left    `send_both`
    server  b <- mean of all at J; w <- w - eta b; send b  `SparseExchange.select`
    server  the order of all nominees, for the next round  `PipelinedConsensus.rank`
    client  w <- w - eta b; a_i <- 0 at J                  `SparseExchange.receive`
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import _growing, sparse_vector
from tff_gs.exchange import (
    client_state,
    consensus_exchange,
    messages,
    server_update,
    sparse_exchange,
)
from tff_gs.exchange.messages import read_answer
from tff_gs.sparsifiers import fab_consensus, pipelined_consensus


class Announced(NamedTuple):
    """What the server tells all clients before a round.

    Attributes:
      config: `tff_gs.exchange.messages.RoundConfig`, with r.
      announcement: uint8 [bytes], the message that tells J.
    """

    config: Any
    announcement: Any


class Both(NamedTuple):
    """All that a client sends.

    Attributes:
      values: `tff_gs.exchange.messages.UplinkMessage`, its values at J.
      ballot: `UplinkMessage`, its ballot for the next round.
    """

    values: Any
    ballot: Any


class PipelinedExchange(consensus_exchange.ConsensusExchange):
    """`ConsensusExchange` in one trip; the sparsifier is a `PipelinedConsensus`.

    What a client contributes to a round are all coordinates of J.
    """

    sparsifier: pipelined_consensus.PipelinedConsensus

    def tell_elected(
        self, config: messages.RoundConfig, clients: tf.Tensor
    ) -> Announced:
        """What the server tells N clients (int32 scalar) before the round."""
        told = self.tell(config._replace(shared=config.shared.asked), clients)
        return Announced(told, self._announce(config.shared.elected))

    def send_both(
        self, client: client_state.ClientState, inputs: Any, announced: Announced
    ) -> tuple[Both, sparse_exchange.PendingUpload]:
        """A client's work, its values at J, and its ballot for the next round."""
        work = self.contribute(client, inputs)
        decision = announced.config.decision
        (ranks,) = tf.unstack(announced.config.shared, num=1)
        coordinates, _ = read_answer(
            self._announcement_encoder, announced.announcement, self.dimension
        )
        elected = fab_consensus.ElectedSet(coordinates, _growing.empty(tf.int32))
        values, pending = self.write(
            client, work, messages.RoundConfig(decision, elected)
        )
        left = sparse_vector.put(work.residual, coordinates, pending.lost)
        ballot, _ = self._vote(client, work._replace(residual=left), ranks)
        return Both(values, ballot), pending

    def select_and_rank(
        self,
        collected: Both,
        replica: server_update.Replica,
        config: messages.RoundConfig,
        announced: Announced,
        roster: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[
        messages.DownlinkMessage, server_update.Replica, sparse_exchange.Outcome
    ]:
        """`select` at J, and the order of what was nominated for the next round."""
        following, told = config.shared, announced.config
        (ranks,) = tf.unstack(told.shared, num=1)
        answer, stepped, outcome = self.select(
            collected.values,
            replica,
            config._replace(shared=following.elected),
            roster,
            seed,
        )
        # The next k is not known yet: no rank is left out because of this one.
        everything = config.decision._replace(k=tf.constant(self.dimension))
        read = self._ballot_reader.read(collected.ballot, everything, ranks, roster)
        election = consensus_exchange.Election(
            elected=following.elected,
            ranks=ranks,
            ballots=read.receipts,
            kappa=following.kappa,
            is_short=tf.size(following.elected.coordinates) < config.decision.k,
            announced_bits=messages.size_in_bits(announced.announcement),
            decode_seconds=read.seconds,
            ranking=self.sparsifier.rank(read.accumulator, ranks),
        )
        return answer, stepped, self._with_election(outcome, answer, told, election)

    @override
    def receive(
        self,
        client: client_state.ClientReplica,
        pending: sparse_exchange.PendingUpload,
        answer: messages.DownlinkMessage,
    ) -> sparse_exchange.ReceiveOutput:
        return sparse_exchange.SparseExchange.receive(self, client, pending, answer)

    @override
    def _build_send(self, arguments: tuple[tff.FederatedType, ...]) -> tff.Computation:
        """See `SparseExchange`."""
        replica_type, config_type = (part.member for part in arguments[:2])
        tell = tff.tensorflow.computation(self.tell_elected, (config_type, np.int32))
        announced_type = tell.type_signature.result
        send_both = tff.tensorflow.computation(
            self.send_both,
            (self.state_type, self._work.inputs_type, announced_type),
        )
        collect_values = self._build_collect(self.uplink_encoder)
        collect_ballots = self._build_collect(self._ballot_encoder)
        collected_type = collect_values.type_signature.result.member
        select = tff.tensorflow.computation(
            self.select_and_rank,
            (
                Both(collected_type, collected_type),
                replica_type,
                config_type,
                announced_type,
                sparse_exchange.ROSTER_TYPE,
                sparse_exchange.SEED_TYPE,
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
        ) -> sparse_exchange.SendOutput:
            number = tff.federated_sum(tff.federated_value(1, tff.CLIENTS))
            announced = tff.federated_map(tell, (config, number))
            both, pending = tff.federated_map(
                send_both, (clients, inputs, tff.federated_broadcast(announced))
            )
            collected = tff.federated_zip(
                Both(collect_values(both.values), collect_ballots(both.ballot))
            )
            answer, stepped, outcome = tff.federated_map(
                select, (collected, replica, config, announced, roster, seed)
            )
            return sparse_exchange.SendOutput(stepped, answer, pending, outcome)

        return send
