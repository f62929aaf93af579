"""What exchanges with an election have in common, and what an election sends.

See `tff_gs.sparsifiers.fab_consensus` and `tff_gs.sparsifiers.pipelined_consensus`.
"""

from typing import Any, NamedTuple

import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import _growing, sparse_vector
from tff_gs.encoders import _bit_packing, codec, message_encoder
from tff_gs.exchange import (
    client_state,
    messages,
    reading,
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


def count_clients() -> tff.Value:
    """N, how many take part, int32 at SERVER; for a federated computation.

    Nobody needs to say that it takes part: the server's own ones are summed.
    """
    return tff.federated_sum(tff.federated_value(1, tff.CLIENTS))


class ElectionMessages:
    """Ballots and announcements as bytes; TensorFlow code.

    Attributes:
      ballot_encoder: How ballots are written.
    """

    def __init__(
        self, method: fab_consensus.FabConsensus, announcement_code: codec.Codec
    ) -> None:
        """Writes the messages of a method.

        Args:
          method: Bound to D.
          announcement_code: How J is written, its values left out.
        """
        self._method = method
        self._announcement_encoder = announcement_code.without_values()
        self.ballot_encoder = message_encoder.MessageEncoder.of_ballots(
            method.dimension
        )

    def write_ballot(
        self, vector: tf.Tensor, ranks: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A client's ballot, uint8 [bytes], and its coordinates, int32 [r].

        Args:
          vector: float32 [D], a_i.
          ranks: int32 scalar, r.
        """
        nominees = self._method.nominees(vector, ranks)
        magnitudes = tf.abs(sparse_vector.take(vector, nominees))
        ballot = sparse_vector.SparseVector(nominees, magnitudes)
        return self.ballot_encoder.encode(ballot, _NO_SEED).message, nominees

    def write_announcement(self, elected: fab_consensus.ElectedSet) -> tf.Tensor:
        """The message, uint8 [bytes], that tells J."""
        coordinates = elected.coordinates
        without_values = sparse_vector.SparseVector(
            coordinates, tf.zeros_like(coordinates, tf.float32)
        )
        return self._announcement_encoder.encode(without_values, _NO_SEED).message

    def read_announcement(self, message: tf.Tensor) -> fab_consensus.ElectedSet:
        """J at a client."""
        coordinates, _ = read_answer(
            self._announcement_encoder, message, self._method.dimension
        )
        return fab_consensus.ElectedSet(coordinates, _growing.empty(tf.int32))


# Nothing of it is rounded at random.
_NO_SEED = (0, 0)


class ElectingExchange(sparse_exchange.SparseExchange):
    """What exchanges with an election have in common.

    Arguments and attributes are those of `SparseExchange`; the sparsifier is a
    `FabConsensus`. J is written with the index code of the downlink encoder, once for
    all clients.
    """

    sparsifier: fab_consensus.FabConsensus

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
        self._election_messages = ElectionMessages(sparsifier, downlink_encoder)
        self._ballot_reader = reading.MessageReader(
            # A norm is that of the values; those of a ballot only rank them.
            self._election_messages.ballot_encoder,
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

    def _vote(
        self,
        client: client_state.ClientState,
        work: sparse_exchange.WorkResult,
        ranks: tf.Tensor,
    ) -> tuple[messages.UplinkMessage, tf.Tensor]:
        """A client's ballot of `ranks` (int32 scalar, r), and its coordinates."""
        ballot, nominees = self._election_messages.write_ballot(work.residual, ranks)
        length = tf.where(work.usable, tf.size(ballot), 0)
        message = messages.UplinkMessage(client.client_id, work.weight, ballot[:length])
        return message, nominees

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
    def write_probe(
        self,
        probe: sparse_vector.SparseVector,
        config: messages.RoundConfig,
        seed: tf.Tensor,
    ) -> tf.Tensor:
        """A bit for each coordinate of J, 1 if k' leaves it out; and a checksum."""
        del seed
        left_out = sparse_vector.among(
            config.shared.coordinates, probe.indices, self.dimension
        )
        mask = _bit_packing.pack_bits(left_out)
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
