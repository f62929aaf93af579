"""The exchange of a method whose clients elect the coordinates before values travel.

See `tff_gs.sparsifiers.fab_consensus`. A round, and who does what:

    server  tell k and r, how many ranks to nominate       `tell`
    client  a_i <- a_i + its work                          `SparseExchange.contribute`
    client  send a ballot: the first r ranks of a_i        `nominate`
    server  J <- the first k in the ballots' order; send J `elect`
    client  send encode(a_i at J), without indices         `send_values`
    server  b <- mean of all at J; w <- w - eta b; send b  `SparseExchange.select`
    client  w <- w - eta b; a_i <- 0 at J                  `SparseExchange.receive`

A ballot goes through the same checks as any message. One that is refused counts for
nothing in the election; the same client's values may still be accepted.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import _growing, sparse_vector
from tff_gs.encoders import _bit_packing, message_encoder
from tff_gs.exchange import (
    client_state,
    messages,
    reading,
    server_update,
    sparse_exchange,
)
from tff_gs.exchange.messages import read_answer
from tff_gs.sparsifiers import fab_consensus


class Election(NamedTuple):
    """What the server knows after an election.

    Attributes:
      elected: `tff_gs.sparsifiers.fab_consensus.ElectedSet`, J in its order.
      ranks: int32 scalar, r, how many ranks clients were asked for.
      ballots: The receipts of the ballots.
      kappa: int32 scalar, the number of ranks that are selected whole.
      is_short: bool scalar, whether the ballots held fewer than k coordinates.
      announced_bits: int64 scalar, the size of the message that told each client J.
      decode_seconds: float64 scalar, the server's time for decoding the ballots.
      ranking: `tff_gs.sparsifiers.pipelined_consensus.Ranking`, for the next round;
        `()` if the ballots were for this one.
    """

    elected: Any
    ranks: Any
    ballots: Any
    kappa: Any
    is_short: Any
    announced_bits: Any
    decode_seconds: Any
    ranking: Any = ()


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
      decision: k and k' of the round.
    """

    sender: Any
    work: Any
    nominees: Any
    decision: Any


class ConsensusExchange(sparse_exchange.SparseExchange):
    """`SparseExchange` with an election before values travel.

    Its arguments and attributes are the same; the sparsifier is a `FabConsensus`. J is
    written with the index code of the downlink encoder, once for all clients.
    """

    sparsifier: fab_consensus.FabConsensus
    elects = True

    def __init__(
        self,
        *,
        sparsifier: fab_consensus.FabConsensus,
        downlink_encoder: message_encoder.MessageEncoder,
        bounds: reading.MessageBounds = reading.DEFAULT_BOUNDS,
        **parts: Any,
    ) -> None:
        """Builds the exchange; arguments as of `SparseExchange`."""
        self._check_method(sparsifier)
        dimension = sparsifier.dimension
        self._announcement_encoder = downlink_encoder.without_values()
        self._ballot_encoder = message_encoder.MessageEncoder.of_ballots(dimension)
        self._ballot_reader = reading.MessageReader(
            # A norm is that of the values; those of a ballot only rank them.
            self._ballot_encoder,
            sparsifier.election,
            reading.MessageBounds(max_weight=bounds.max_weight),
        )
        super().__init__(
            sparsifier=sparsifier,
            downlink_encoder=downlink_encoder,
            bounds=bounds,
            **parts,
        )

    def tell(
        self, config: messages.RoundConfig, clients: tf.Tensor
    ) -> messages.RoundConfig:
        """What the server tells N clients (int32 scalar) before the round."""
        ranks = self.sparsifier.ranks(config.shared, config.decision.k, clients)
        return config._replace(shared=ranks)

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
        return message, Voter(sender, work, nominees, config.decision)

    def _vote(
        self,
        client: client_state.ClientState,
        work: sparse_exchange.WorkResult,
        ranks: tf.Tensor,
    ) -> tuple[messages.UplinkMessage, tf.Tensor]:
        """A ballot of `ranks` (int32 scalar, r) ranks, and its coordinates."""
        nominees = self.sparsifier.nominees(work.residual, ranks)
        magnitudes = tf.abs(sparse_vector.take(work.residual, nominees))
        ballot = self._ballot_encoder.encode(
            sparse_vector.SparseVector(nominees, magnitudes), client.seed
        ).message
        length = tf.where(work.usable, tf.size(ballot), 0)
        message = messages.UplinkMessage(client.client_id, work.weight, ballot[:length])
        return message, nominees

    def _announce(self, elected: fab_consensus.ElectedSet) -> tf.Tensor:
        """The message, uint8 [bytes], that tells J."""
        zeros = tf.zeros_like(elected.coordinates, tf.float32)
        return self._announcement_encoder.encode(
            sparse_vector.SparseVector(elected.coordinates, zeros),
            tf.zeros([2], tf.int32),
        ).message

    def elect(
        self,
        collected: messages.CollectedMessages,
        config: messages.RoundConfig,
        roster: tf.Tensor,
    ) -> tuple[tf.Tensor, Election]:
        """The message, uint8 [bytes], that tells all clients J, and the election."""
        decision, (ranks,) = config.decision, tf.unstack(config.shared, num=1)
        read = self._ballot_reader.read(collected, decision, ranks, roster)
        elected, kappa = self.sparsifier.elect(read.accumulator, decision.k, ranks)
        announcement = self._announce(elected)
        return announcement, Election(
            elected=elected,
            ranks=ranks,
            ballots=read.receipts,
            kappa=kappa,
            is_short=tf.size(elected.coordinates) < decision.k,
            announced_bits=messages.size_in_bits(announcement),
            decode_seconds=read.seconds,
        )

    def send_values(
        self, voter: Voter, announcement: tf.Tensor
    ) -> tuple[messages.UplinkMessage, sparse_exchange.PendingUpload]:
        """A client's values at J."""
        coordinates, _ = read_answer(
            self._announcement_encoder, announcement, self.dimension
        )
        elected = fab_consensus.ElectedSet(coordinates, _growing.empty(tf.int32))
        message, pending = self.write(
            voter.sender,
            voter.work,
            messages.RoundConfig(voter.decision, elected),
        )
        return message, pending._replace(nominated=voter.nominees)

    def select_elected(
        self,
        collected: messages.CollectedMessages,
        replica: server_update.Replica,
        config: messages.RoundConfig,
        election: Election,
        roster: tf.Tensor,
        seed: tf.Tensor,
    ) -> tuple[
        messages.DownlinkMessage, server_update.Replica, sparse_exchange.Outcome
    ]:
        """`select` at the elected coordinates."""
        answer, stepped, outcome = self.select(
            collected, replica, config._replace(shared=election.elected), roster, seed
        )
        return answer, stepped, self._with_election(outcome, answer, config, election)

    def _with_election(
        self,
        outcome: sparse_exchange.Outcome,
        answer: messages.DownlinkMessage,
        told: messages.RoundConfig,
        election: Election,
    ) -> sparse_exchange.Outcome:
        """The outcome with what the election took, and what was told before it."""
        return outcome._replace(
            shared_elements=tf.size(told.shared),
            downlink_bits=messages.size_in_bits((answer, told))
            + election.announced_bits,
            kappa=election.kappa,
            decode_seconds=outcome.decode_seconds + election.decode_seconds,
            election=election,
        )

    @override
    def receive(
        self,
        client: client_state.ClientReplica,
        pending: sparse_exchange.PendingUpload,
        answer: messages.DownlinkMessage,
    ) -> sparse_exchange.ReceiveOutput:
        """As of `SparseExchange`; what a client contributed are its nominees in J."""
        received = super().receive(client, pending, answer)
        elected = sparse_vector.put(
            tf.zeros([self.dimension], tf.bool),
            received.update.indices,
            tf.ones_like(received.update.indices, tf.bool),
        )
        counted = tf.gather(elected, pending.nominated) & (received.contributed > 0)
        return received._replace(contributed=tf.reduce_sum(tf.cast(counted, tf.int32)))

    @override
    def write_probe(
        self,
        probe: sparse_vector.SparseVector,
        config: messages.RoundConfig,
        seed: tf.Tensor,
    ) -> tf.Tensor:
        """A bit for each coordinate of J, 1 if k' leaves it out; and a checksum."""
        del seed
        left_out = sparse_vector.put(
            tf.zeros([self.dimension], tf.bool),
            probe.indices,
            tf.ones_like(probe.indices, tf.bool),
        )
        mask = _bit_packing.pack_bits(tf.gather(left_out, config.shared.coordinates))
        written = tf.concat([mask, message_encoder.checksum(mask)], axis=0)
        return written[: tf.where(config.decision.k_probe > 0, tf.size(written), 0)]

    @override
    def probe_units(
        self, probe: sparse_vector.SparseVector, config: messages.RoundConfig
    ) -> tf.Tensor:
        """A number is 32 bits."""
        del probe
        bits = tf.size(config.shared.coordinates)
        probed = tf.cast(config.decision.k_probe > 0, tf.float64)
        return probed * tf.cast(bits, tf.float64) / 32.0

    @override
    def read_probe(
        self, message: tf.Tensor, pending: sparse_exchange.PendingUpload
    ) -> sparse_vector.SparseVector:
        mask, written = message[:-4], message[-4:]
        right = tf.reduce_all(tf.equal(message_encoder.checksum(mask), written))
        check = tf.debugging.Assert(
            right | tf.equal(tf.size(message), 0), ["The server's message was damaged."]
        )
        with tf.control_dependencies([check]):
            bits = _bit_packing.unpack_bits(mask)[: tf.size(pending.coordinates)]
        left_out = tf.boolean_mask(pending.coordinates[: tf.size(bits)], bits > 0)
        return sparse_vector.SparseVector(left_out, tf.zeros_like(left_out, tf.float32))

    @override
    def _build_send(self, arguments: tuple[tff.FederatedType, ...]) -> tff.Computation:
        """See `SparseExchange`."""
        hold_election = self._build_election(arguments)
        told_type, announcement_type, election_type, voter_type = (
            part.member for part in hold_election.type_signature.result
        )
        collect = self._build_collect(self.uplink_encoder)
        send_values = tff.tensorflow.computation(
            self.send_values, (voter_type, announcement_type)
        )
        select = tff.tensorflow.computation(
            self.select_elected,
            (
                collect.type_signature.result.member,
                arguments[0].member,
                told_type,
                election_type,
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
            told, announcement, election, voters = hold_election(
                config, roster, clients, inputs
            )
            message, pending = tff.federated_map(
                send_values, (voters, tff.federated_broadcast(announcement))
            )
            answer, stepped, outcome = tff.federated_map(
                select, (collect(message), replica, told, election, roster, seed)
            )
            return sparse_exchange.SendOutput(stepped, answer, pending, outcome)

        return send

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
        collect = self._build_collect(self._ballot_encoder)
        elect = tff.tensorflow.computation(
            self.elect,
            (collect.type_signature.result.member, config.member, roster.member),
        )

        @tff.federated_computation(config, roster, clients, inputs)
        def hold_election(
            config: tff.Value, roster: tff.Value, clients: tff.Value, inputs: tff.Value
        ) -> tuple[tff.Value, ...]:
            # Nobody needs to say that it takes part: the server's own ones are summed.
            number = tff.federated_sum(tff.federated_value(1, tff.CLIENTS))
            told = tff.federated_map(tell, (config, number))
            ballots, voters = tff.federated_map(
                nominate, (clients, inputs, tff.federated_broadcast(told))
            )
            announcement, election = tff.federated_map(
                elect, (collect(ballots), told, roster)
            )
            return told, announcement, election, voters

        return hold_election
