"""The exchange of pipelined consensus: values of this round, ballots for the next.

See `tff_gs.sparsifiers.pipelined_consensus`. A round, and who does what:

    server  tell k, r and J, which the last ballots gave   `tell_elected`
    client  a_i <- a_i + its work                          `SparseExchange.contribute`
    client  send encode(a_i at J), without indices, and
            a ballot: the first r ranks of what is left    `send_both`
    server  b <- mean of all at J; w <- w - eta b; send b  `select`
    server  the order of all nominees, for the next round  `PipelinedConsensus.rank`
    client  w <- w - eta b; a_i <- 0 at J                  `SparseExchange.receive`
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import sparse_vector
from tff_gs.exchange import (
    client_state,
    messages,
    server_update,
    sparse_exchange,
)
from tff_gs.exchange import election as election_lib
from tff_gs.sparsifiers import pipelined_consensus
from tff_gs.sparsifiers.sparsifier import Legs


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


class PipelinedUplink(NamedTuple):
    """What the server has when all messages have come.

    Attributes:
      values: `tff_gs.exchange.messages.CollectedMessages`, the values at J.
      ballots: `CollectedMessages`, the ballots for the next round.
      announced: `Announced`.
    """

    values: Any
    ballots: Any
    announced: Any


class PipelinedExchange(election_lib.ElectingExchange):
    """An exchange with elections in one trip; the sparsifier is a `PipelinedConsensus`.

    What a client contributes to a round are all coordinates of J.
    """

    sparsifier: pipelined_consensus.PipelinedConsensus
    legs = Legs.VALUES_WITH_BALLOTS

    def tell_elected(
        self, config: messages.RoundConfig, clients: tf.Tensor
    ) -> Announced:
        """What the server tells N clients (int32 scalar) before the round."""
        told = self.tell(config._replace(shared=config.shared.asked), clients)
        return Announced(
            told, self._election_messages.write_announcement(config.shared.elected)
        )

    def send_both(
        self, client: client_state.ClientState, inputs: Any, announced: Announced
    ) -> tuple[Both, sparse_exchange.PendingUpload]:
        """A client's work, its values at J, and its ballot for the next round."""
        work = self.contribute(client, inputs)
        told, announcement = announced
        elected = self._election_messages.read_announcement(announcement)
        values, pending = self.write(client, work, told._replace(shared=elected))
        left = sparse_vector.put(work.residual, elected.coordinates, pending.lost)
        ballot, _ = self._vote(client, work._replace(residual=left), told.shared[0])
        return Both(values, ballot), pending

    @override
    def select(
        self,
        collected: PipelinedUplink,
        replica: server_update.Replica,
        config: messages.RoundConfig,
        roster: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[
        messages.DownlinkMessage, server_update.Replica, sparse_exchange.Outcome
    ]:
        """As of `SparseExchange`, and the order of what was nominated for later."""
        values, ballots, (told, announcement) = collected
        following, (ranks,) = config.shared, tf.unstack(told.shared, num=1)
        answer, stepped, outcome = super().select(
            values, replica, config._replace(shared=following.elected), roster, seed
        )
        # The next k is not known yet: no rank is left out because of this one.
        everything = config.decision._replace(k=tf.constant(self.dimension))
        read = self._ballot_reader.read(ballots, everything, ranks, roster)
        election = election_lib.Election(
            elected=following.elected,
            ranks=ranks,
            ballots=read.receipts,
            kappa=following.kappa,
            is_short=tf.size(following.elected.coordinates) < config.decision.k,
            announced_bits=messages.size_in_bits(announcement),
            decode_seconds=read.seconds,
            ranking=self.sparsifier.rank(read.accumulator, ranks),
        )
        return answer, stepped, self._with_election(outcome, answer, told, election)

    @override
    def _build_uplink(
        self, arguments: tuple[tff.FederatedType, ...]
    ) -> tff.Computation:
        """See `SparseExchange`."""
        _, config_type, roster_type, _, clients_type, inputs_type = arguments
        tell = tff.tensorflow.computation(
            self.tell_elected, (config_type.member, np.int32)
        )
        send_both = tff.tensorflow.computation(
            self.send_both,
            (clients_type.member, inputs_type.member, tell.type_signature.result),
        )
        collect_values = self._build_collect(self.uplink_encoder)
        collect_ballots = self._build_collect(self._election_messages.ballot_encoder)

        @tff.federated_computation(config_type, roster_type, clients_type, inputs_type)
        def uplink(
            config: tff.Value, roster: tff.Value, clients: tff.Value, inputs: tff.Value
        ) -> tuple[tff.Value, tff.Value]:
            del roster
            announced = tff.federated_map(tell, (config, election_lib.count_clients()))
            both, pending = tff.federated_map(
                send_both, (clients, inputs, tff.federated_broadcast(announced))
            )
            sent = PipelinedUplink(
                collect_values(both.values), collect_ballots(both.ballot), announced
            )
            return tff.federated_zip(sent), pending

        return uplink
