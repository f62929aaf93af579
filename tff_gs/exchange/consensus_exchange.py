"""The exchange of a method whose clients elect the coordinates before values travel.

See `tff_gs.sparsifiers.fab_consensus`. A round, and who does what:

    server  tell k and r, how many ranks to nominate       `tell`
    client  a_i <- a_i + its work                          `SparseExchange.contribute`
    client  send a ballot: the first r ranks of a_i        `nominate`
    server  J <- the first k in the ballots' order; send J `elect`
    client  send encode(a_i at J), without indices         `send_values`
    server  b <- mean of all at J; w <- w - eta b; send b  `select`
    client  w <- w - eta b; a_i <- 0 at J                  `receive`

A ballot goes through the same checks as any message. One that is refused counts for
nothing in the election; the same client's values may still be accepted.
"""

from collections.abc import Callable
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
from tff_gs.sparsifiers.sparsifier import Legs


class _Sender(NamedTuple):
    """What a client's message is written with; see `ClientState`."""

    client_id: tf.Tensor
    seed: tf.Tensor
    rounds: tf.Tensor


class Voter(NamedTuple):
    """A client between its ballot and its values.

    Attributes:
      sender: Who it is.
      work: `tff_gs.exchange.sparse_exchange.WorkResult`.
      nominees: int32 [r], the coordinates that it nominated.
      tag: int32 scalar, of its ballot, see `tff_gs.exchange.messages.tag`.
      decision: k and k' of the round.
    """

    sender: Any
    work: Any
    nominees: Any
    tag: Any
    decision: Any


class ElectedUplink(NamedTuple):
    """What the server has when all values have come.

    Attributes:
      collected: `tff_gs.exchange.messages.CollectedMessages`, the values at J.
      told: `tff_gs.exchange.messages.RoundConfig`, what clients were told, with r.
      election: `tff_gs.exchange.election.Election`.
    """

    collected: Any
    told: Any
    election: Any


class ConsensusExchange(election_lib.ElectingExchange):
    """`SparseExchange` with an election before values travel."""

    legs = Legs.BALLOTS_THEN_VALUES

    def nominate(
        self,
        client: client_state.ClientState,
        inputs: Any,
        config: messages.RoundConfig,
    ) -> tuple[messages.UplinkMessage, Voter]:
        """A client's work, and its ballot."""
        work = self.contribute(client, inputs)
        message, nominees = self._vote(client, work, config.shared[0])
        sender = _Sender(client.client_id, client.seed, client.rounds)
        return message, Voter(
            sender, work, nominees, messages.tag(message.encoded), config.decision
        )

    def elect(
        self,
        collected: messages.CollectedMessages,
        config: messages.RoundConfig,
        roster: tf.Tensor,
    ) -> tuple[tf.Tensor, election_lib.Election]:
        """The message, uint8 [bytes], that tells all clients J, and the election."""
        decision, (ranks,) = config.decision, tf.unstack(config.shared, num=1)
        read = self._ballot_reader.read(collected, decision, ranks, roster)
        elected, kappa = self.sparsifier.elect(read.accumulator, decision.k, ranks)
        announcement = self._election_messages.write_announcement(elected)
        return announcement, election_lib.Election(
            elected=elected,
            ranks=ranks,
            ballots=read.receipts,
            kappa=kappa,
            is_short=tf.size(elected.coordinates) < decision.k,
            announced_bits=messages.size_in_bits(announcement),
            decode_seconds=read.seconds,
        )

    def send_values(
        self, voter: Voter, announcement: Any
    ) -> tuple[Any, sparse_exchange.PendingUpload]:
        """A client's values at J, an `UplinkMessage`; of J it was told by a message."""
        elected = self._election_messages.read_announcement(announcement)
        message, pending = self.write(
            voter.sender,
            voter.work,
            messages.RoundConfig(voter.decision, elected),
        )
        return message, pending._replace(nominated=voter.nominees)

    @override
    def select(
        self,
        collected: ElectedUplink,
        replica: server_update.Replica,
        config: messages.RoundConfig,
        roster: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[
        messages.DownlinkMessage, server_update.Replica, sparse_exchange.Outcome
    ]:
        """As of `SparseExchange`, at the elected coordinates."""
        values, told, election = collected
        answer, stepped, outcome = super().select(
            values, replica, config._replace(shared=election.elected), roster, seed
        )
        return answer, stepped, self._with_election(outcome, answer, told, election)

    @override
    def receive(
        self,
        client: client_state.ClientReplica,
        pending: sparse_exchange.PendingUpload,
        answer: messages.DownlinkMessage,
    ) -> sparse_exchange.ReceiveOutput:
        """As of `SparseExchange`; what a client contributed are its nominees in J."""
        received = super().receive(client, pending, answer)
        elected = sparse_vector.among(
            pending.nominated, received.update.indices, self.dimension
        )
        counted = elected & (received.contributed > 0)
        return received._replace(contributed=tf.reduce_sum(tf.cast(counted, tf.int32)))

    @override
    def _build_uplink(
        self, arguments: tuple[tff.FederatedType, ...]
    ) -> tff.Computation:
        """See `SparseExchange`."""
        hold_election = self._build_election(arguments)
        _, announcement_type, _, voter_type = (
            part.member for part in hold_election.type_signature.result
        )
        gather = self._build_gather()
        send_values = tff.tensorflow.computation(
            self.send_values, (voter_type, announcement_type)
        )

        @tff.federated_computation(*hold_election.type_signature.parameter)
        def uplink(
            config: tff.Value, roster: tff.Value, clients: tff.Value, inputs: tff.Value
        ) -> tuple[tff.Value, tff.Value]:
            told, announcement, election, voters = hold_election(
                config, roster, clients, inputs
            )
            message, pending = tff.federated_map(
                send_values, (voters, tff.federated_broadcast(announcement))
            )
            sent = ElectedUplink(gather(message, election), told, election)
            return tff.federated_zip(sent), pending

        return uplink

    def _build_gather(self) -> Callable[[tff.Value, tff.Value], tff.Value]:
        """From what `send_values` gives, and the election, to what `select` reads."""
        collect = self._build_collect(self.uplink_encoder)
        return lambda message, election: collect(message)

    def _build_election(
        self, arguments: tuple[tff.FederatedType, ...]
    ) -> tff.Computation:
        """The first leg.

        `(config@SERVER, roster@SERVER, clients@CLIENTS, inputs@CLIENTS) ->
        (RoundConfig@SERVER, announcement@SERVER, Election@SERVER, Voter@CLIENTS)`.
        """
        _, config, roster, _, clients, inputs = arguments
        tell = tff.tensorflow.computation(self.tell, (config.member, np.int32))
        nominate = tff.tensorflow.computation(
            self.nominate, (clients.member, inputs.member, config.member)
        )
        collect = self._build_collect(self._election_messages.ballot_encoder)
        elect = tff.tensorflow.computation(
            self.elect,
            (collect.type_signature.result.member, config.member, roster.member),
        )

        @tff.federated_computation(config, roster, clients, inputs)
        def hold_election(
            config: tff.Value, roster: tff.Value, clients: tff.Value, inputs: tff.Value
        ) -> tuple[tff.Value, ...]:
            number = election_lib.count_clients()
            told = tff.federated_map(tell, (config, number))
            ballots, voters = tff.federated_map(
                nominate, (clients, inputs, tff.federated_broadcast(told))
            )
            announcement, election = tff.federated_map(
                elect, (collect(ballots), told, roster)
            )
            return told, announcement, election, voters

        return hold_election
