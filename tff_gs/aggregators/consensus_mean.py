"""FAB consensus without client state: an election, then any aggregation of k values.

    client  nominate the first r ranks of a_i              `ElectedCoordinates.nominate`
    server  J <- the first k in FAB-top-k's order          `ElectedCoordinates.elect`
    client  hand a_ij for all j in J, float32 [k]          `ElectedCoordinates.pick`
    inner   aggregates vectors of k, as it does
    server  puts the result at J                           `ElectedCoordinates.put_back`

J is public before any value is sent, and the same for all clients. So the inner
aggregation may be any of TFF's: secure, differentially private, encoded. See
`tff_gs.sparsifiers.fab_consensus` for the method.
"""

import collections
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _collecting, _flat_structure, sparse_vector
from tff_gs.aggregators import _inner
from tff_gs.controllers import amount
from tff_gs.encoders import encoder
from tff_gs.exchange import election, messages
from tff_gs.sparsifiers import fab_consensus
from tff_gs.sparsifiers import sparsifier as sparsifier_lib


class ConsensusState(NamedTuple):
    """What the server keeps.

    Attributes:
      inner: The state of the inner aggregation.
      election: `tff_gs.sparsifiers.fab_consensus.ElectionState`.
    """

    inner: Any
    election: Any


class _NoHeader(NamedTuple):
    """A ballot has nothing beside its entries: nobody signs it."""


class Ballots(NamedTuple):
    """What came of an election.

    Attributes:
      coordinates: int32 [n], J, ascending; n is at most k.
      announcement: uint8 [bytes], the message that tells J.
      kappa: int32 scalar, the number of ranks that are selected whole.
      ballots: int32 scalar, how many ballots came.
      refused: int32 scalar, how many of them were refused.
      ballot_bits: int64 scalar, the size of all ballots.
    """

    coordinates: tf.Tensor
    announcement: tf.Tensor
    kappa: tf.Tensor
    ballots: tf.Tensor
    refused: tf.Tensor
    ballot_bits: tf.Tensor


class ElectedCoordinates:
    """What server and clients compute; TensorFlow code, which also runs eagerly.

    Attributes:
      count: k.
    """

    def __init__(self, flat: _flat_structure.FlatStructure, k: amount.Amount) -> None:
        """Makes the steps for values of `flat.dimension` (D) entries."""
        self.count = amount.to_count(k, flat.dimension, "k")
        self._flat = flat
        self._method = fab_consensus.FabConsensus().bind(
            dimension=flat.dimension, probes=False
        )
        self._messages = election.ElectionMessages(
            self._method, encoder.Encoder().bind(dimension=flat.dimension)
        )

    def initial_state(self) -> fab_consensus.ElectionState:
        """The state of the election before the first round."""
        return self._method.initialize()

    def tell(self, state: fab_consensus.ElectionState, clients: tf.Tensor) -> tf.Tensor:
        """How many ranks N clients (int32 scalar) nominate, r, int32 scalar."""
        k = tf.constant(self.count)
        asked = self._method.share(state, tf.zeros([2], tf.int32), k)
        return self._method.ranks(asked, k, clients)[0]

    def nominate(self, value: Any, ranks: tf.Tensor) -> tf.Tensor:
        """A client's ballot, uint8 [bytes]: none if its value is not finite."""
        vector = self._flat.flatten(value)
        ballot, _ = self._messages.write_ballot(vector, ranks)
        return ballot[: tf.where(_is_finite(vector), tf.size(ballot), 0)]

    def no_ballots(self) -> messages.CollectedMessages:
        """What `collect` begins with."""
        return messages.no_messages(_NoHeader())

    def collect(
        self, collected: messages.CollectedMessages, ballot: tf.Tensor
    ) -> messages.CollectedMessages:
        """Takes one more ballot in; nothing is read yet."""
        return messages.collect(
            collected,
            _NoHeader(),
            ballot,
            bits=messages.size_in_bits(ballot),
            max_bytes=self._messages.ballot_encoder.max_bytes(),
        )

    def elect(self, collected: messages.CollectedMessages, ranks: tf.Tensor) -> Ballots:
        """Reads all ballots; what is refused counts for nothing."""
        reader = messages.Reader(collected)
        k = tf.constant(self.count)

        def step(place: tf.Tensor, accumulator: Any, refused: tf.Tensor) -> Any:
            vector, error = self._messages.ballot_encoder.decode(
                reader.encoded(place), ranks
            )
            nought = tf.constant(0)
            upload = sparsifier_lib.Upload(nought, vector, tf.constant(1.0), k, nought)
            return (
                place + 1,
                self._method.election.accumulate(accumulator, upload),
                refused + tf.cast(error > 0, tf.int32),
            )

        _, accumulator, refused = tf.while_loop(
            lambda place, *_: place < collected.count,
            step,
            (tf.constant(0), self._method.election.zero(), tf.constant(0)),
        )
        elected, kappa = self._method.elect(accumulator, k, ranks)
        return Ballots(
            coordinates=elected.coordinates,
            announcement=self._messages.write_announcement(elected),
            kappa=kappa,
            ballots=collected.count,
            refused=refused,
            ballot_bits=tf.reduce_sum(collected.bits),
        )

    def pick(self, value: Any, announcement: tf.Tensor) -> tf.Tensor:
        """A client's values at J, then zeros, float32 [k]; zeros if not finite."""
        vector = self._flat.flatten(value)
        elected = self._messages.read_announcement(announcement)
        picked = tf.gather(vector, elected.coordinates)
        picked = tf.where(_is_finite(vector), picked, 0.0)
        missing = self.count - tf.size(picked)
        return tf.ensure_shape(tf.pad(picked, [[0, missing]]), [self.count])

    def weigh(self, value: Any, weight: tf.Tensor) -> tf.Tensor:
        """A client's weight; 0 if its value is not finite."""
        is_finite = _is_finite(self._flat.flatten(value))
        return tf.where(is_finite, weight, tf.zeros_like(weight))

    def put_back(self, picked: tf.Tensor, ballots: Ballots) -> Any:
        """The value that has float32 [k] at J, and zeros elsewhere."""
        coordinates = ballots.coordinates
        values = picked[: tf.size(coordinates)]
        sparse = sparse_vector.SparseVector(coordinates, values)
        return self._flat.unflatten(
            sparse_vector.to_dense(sparse, self._flat.dimension)
        )

    def advance(
        self, state: fab_consensus.ElectionState, ballots: Ballots
    ) -> fab_consensus.ElectionState:
        """The state of the election after the round."""
        selected = tf.size(ballots.coordinates)
        return self._method.advance(
            state, tf.constant(self.count), ballots.kappa, selected
        )

    def measure(
        self, ballots: Ballots, ranks: tf.Tensor
    ) -> collections.OrderedDict[str, tf.Tensor]:
        """The measurements, without those of the inner aggregation."""
        return collections.OrderedDict(
            k=tf.constant(self.count),
            ranks=ranks,
            selected=tf.size(ballots.coordinates),
            kappa=ballots.kappa,
            ballots=ballots.ballots,
            refused=ballots.refused,
            ballot_bits=ballots.ballot_bits,
            announcement_bits=messages.size_in_bits(ballots.announcement),
            value_bits=tf.constant(32 * self.count),
        )


def fab_consensus_factory(
    k: amount.Amount,
    inner_agg_factory: tff.aggregators.AggregationFactory | None = None,
) -> tff.aggregators.AggregationFactory:
    """Aggregation at k coordinates that the clients elect in every round.

    The created `tff.templates.AggregationProcess` reads each value as one float32
    vector of D and computes, in its `next`:

    1. The server tells r, and each client nominates the r coordinates of largest
       magnitude, in their order, with short magnitudes: an encoded ballot.
    2. The server selects J, the first k in the order of FAB-top-k, and broadcasts it
       as an encoded message. Every client has at least floor(k / N) nominees in it.
    3. Clients hand their values at J, float32 [k], to the inner aggregation.
    4. The server puts the inner result at J; elsewhere it is zero.

    r is a little more than the last election needed, and at least floor(k / N) + 1;
    in the first round it is k. If the ballots hold fewer than k coordinates, the
    vectors end with zeros.

    J is public before values are sent, so the inner aggregation may be secure: the
    server then learns each client's ballot and the sum at J, and no client's values.
    There is no error feedback: the server never sees what clients do not send.

    A client whose value is not finite sends no ballot and zeros, with the weight 0 if
    the inner factory is weighted.

    The `state` is a `ConsensusState`. The `measurements` are `k`, `ranks` (r),
    `selected` (|J|), `kappa`, `ballots`, `refused`, int32; `ballot_bits`, of all
    clients, and `announcement_bits`, to each, int64; `value_bits`, int32, what each
    client hands to the inner aggregation, 32 k; and `inner_agg`.

    Args:
      k: A count (int) or a fraction of D (float).
      inner_agg_factory: What aggregates the vectors of k; the returned factory is
        weighted if it is. By default a weighted mean that is 0 if all weights are.

    Returns:
      A factory; its `create` raises TypeError if the value is not a structure of
      floats or the inner result not a float32 [k], and ValueError if k is out of
      its range.

    Raises:
      TypeError: If `inner_agg_factory` is no aggregation factory.
    """
    inner = inner_agg_factory
    if inner is None:
        inner = tff.aggregators.MeanFactory(no_nan_division=True)

    def create(
        value_type: tff.Type, *weight_types: tff.Type
    ) -> tff.templates.AggregationProcess:
        steps = ElectedCoordinates(_flat_structure.FlatStructure.of_type(value_type), k)
        process = _inner.create_inner(
            inner, tff.TensorType(np.float32, [steps.count]), *weight_types
        )
        return _inner.aggregation_process(
            _inner.build_initialize(ConsensusState, process, steps.initial_state),
            _build_round(steps, process, value_type, *weight_types),
            value_type,
            *weight_types,
        )

    return _inner.factory_around(inner, create)


def _build_elect(steps: ElectedCoordinates, value_type: tff.Type) -> tff.Computation:
    """From r at the server and the clients' values to `Ballots` at the server."""
    nominate = tff.tensorflow.computation(steps.nominate, (value_type, np.int32))
    collect = _collecting.build_collect(
        nominate.type_signature.result,
        zero=steps.no_ballots,
        add=steps.collect,
        join=messages.join,
    )
    elect = tff.tensorflow.computation(
        steps.elect, (collect.type_signature.result.member, np.int32)
    )

    @tff.federated_computation(
        tff.FederatedType(np.int32, tff.SERVER),
        tff.FederatedType(value_type, tff.CLIENTS),
    )
    def hold_election(ranks: tff.Value, value: tff.Value) -> tff.Value:
        ballot = tff.federated_map(nominate, (value, tff.federated_broadcast(ranks)))
        return tff.federated_map(elect, (collect(ballot), ranks))

    return hold_election


def _build_round(
    steps: ElectedCoordinates,
    inner: tff.templates.AggregationProcess,
    value_type: tff.Type,
    *weight_types: tff.Type,
) -> Callable[..., tff.templates.MeasuredProcessOutput]:
    """Wires the steps around the inner aggregation; for a federated computation."""
    state_type = tff.tensorflow.computation(steps.initial_state).type_signature.result
    elect = _build_elect(steps, value_type)
    ballots_type = elect.type_signature.result.member
    tell = tff.tensorflow.computation(steps.tell, (state_type, np.int32))
    pick = tff.tensorflow.computation(
        steps.pick, (value_type, tff.TensorType(np.uint8, [None]))
    )
    put_back = tff.tensorflow.computation(
        steps.put_back, (pick.type_signature.result, ballots_type)
    )
    advance = tff.tensorflow.computation(steps.advance, (state_type, ballots_type))
    measure = tff.tensorflow.computation(steps.measure, (ballots_type, np.int32))
    weigh = [
        tff.tensorflow.computation(steps.weigh, (value_type, weight_type))
        for weight_type in weight_types
    ]

    def run(
        state: tff.Value, value: tff.Value, *weights: tff.Value
    ) -> tff.templates.MeasuredProcessOutput:
        ranks = tff.federated_map(tell, (state.election, election.count_clients()))
        ballots = elect(ranks, value)
        picked = tff.federated_map(
            pick, (value, tff.federated_broadcast(ballots.announcement))
        )
        weighed = [
            tff.federated_map(step, (value, weight))
            for step, weight in zip(weigh, weights, strict=True)
        ]
        output = inner.next(state.inner, picked, *weighed)
        following = tff.federated_map(advance, (state.election, ballots))
        measured = tff.federated_map(measure, (ballots, ranks))
        return tff.templates.MeasuredProcessOutput(
            state=tff.federated_zip(ConsensusState(output.state, following)),
            result=tff.federated_map(put_back, (output.result, ballots)),
            measurements=_with_inner(measured, output.measurements),
        )

    return run


def _with_inner(measured: tff.Value, inner: tff.Value) -> tff.Value:
    """The measurements of both, as one structure at the server."""
    names = tff.structure.name_list(measured.type_signature.member)
    parts = {name: measured[name] for name in names}
    return tff.federated_zip(collections.OrderedDict(**parts, inner_agg=inner))


def _is_finite(vector: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(tf.math.is_finite(vector))
