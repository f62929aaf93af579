"""A mean of sparse messages: what clients and server compute in a round.

    server  k, and a seed for the round                   `SparseMean.instruct`
    client  J_i <- top-k of a_i; send encode(a_i at J_i)  `SparseMean.upload`
    server  collect the messages; check and decode them   `SparseMean.read`
    server  J, and the mean at J; the rest stays here     `SparseMean.select`

TensorFlow code, which also runs eagerly; `sparsified_mean` wires it into a TFF process.
"""

import collections
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tff_gs import _flat_structure, _seeds, sparse_vector
from tff_gs.controllers import _unaided, controller
from tff_gs.encoders import codec
from tff_gs.exchange import messages
from tff_gs.sparsifiers import sparsifier as sparsifier_lib


class SparsifiedMeanState(NamedTuple):
    """What the server keeps.

    Attributes:
      memory: float32 [D], the mean (of a sum: the sum) of what clients sent and the
        server has not selected yet; [0] without error feedback.
      round: int32 scalar, counted from 0.
      rule: The state of the rule for k.
    """

    memory: tf.Tensor
    round: tf.Tensor
    rule: Any


class Instructions(NamedTuple):
    """What the server tells all clients before they upload.

    Attributes:
      k: int32 scalar.
      seed: int32 [2], for value codes that round stochastically.
    """

    k: tf.Tensor
    seed: tf.Tensor


class Header(NamedTuple):
    """What a client says of its entries.

    Attributes:
      weight: float32 scalar, C_i.
      dropped_energy: float32 scalar, the share of |a_i|^2 that is not in them.
    """

    weight: tf.Tensor
    dropped_energy: tf.Tensor


class Message(NamedTuple):
    """All that a client sends.

    Attributes:
      header: See `Header`.
      encoded: uint8 [bytes], its entries.
    """

    header: Header
    encoded: tf.Tensor


class Tally(NamedTuple):
    """What the server notes of all messages together; scalars.

    Attributes:
      refused: int32, how many were not accepted.
      elements: int64, the entries of the accepted ones.
      index_bits: int64, likewise.
      dropped_energy: float64, the sum over accepted messages.
    """

    refused: tf.Tensor
    elements: tf.Tensor
    index_bits: tf.Tensor
    dropped_energy: tf.Tensor


class Totals(NamedTuple):
    """All messages, read.

    Attributes:
      accumulator: The sparsifier's, of the accepted entries.
      weight: float64 scalar, the sum of the accepted weights.
      tally: See `Tally`.
    """

    accumulator: Any
    weight: tf.Tensor
    tally: Tally


_NOTHING_SHARED = np.zeros([0], np.int32)


class SparseMean:
    """The steps of `SparsifiedMeanFactory`'s rounds."""

    def __init__(
        self,
        flat: _flat_structure.FlatStructure,
        sparsifier: sparsifier_lib.Sparsifier,
        rule: controller.Controller,
        code: codec.Codec,
        *,
        seed: int,
        remembers: bool,
        divides: bool,
    ) -> None:
        """Makes the steps for values of `flat.dimension` (D) entries.

        Args:
          flat: How a value is a vector of D.
          sparsifier: One that sums every upload; bound to D, without probes.
          rule: For k; bound to D, needs no feedback.
          code: How clients write their entries.
          seed: Of value codes that round stochastically.
          remembers: Whether the server keeps what it does not select.
          divides: Whether the result is a mean, or else a sum.
        """
        self._flat = flat
        self._sparsifier = sparsifier
        self._rule = rule
        self._code = code
        self._seed = seed
        self._remembers = remembers
        self._divides = divides

    def initial_state(self) -> SparsifiedMeanState:
        """The state before the first round."""
        return SparsifiedMeanState(
            memory=tf.zeros([self._flat.dimension * self._remembers], tf.float32),
            round=tf.constant(0),
            rule=self._rule.initialize(),
        )

    def instruct(self, state: SparsifiedMeanState) -> Instructions:
        """What the server tells the clients in the coming round."""
        return Instructions(
            _unaided.decide(self._rule, state.rule, self._flat.dimension),
            _seeds.derive(
                _seeds.of_run(self._seed), _seeds.Purpose.UPLINK, state.round
            ),
        )

    def upload(
        self, value: Any, weight: tf.Tensor, instructions: Instructions
    ) -> Message:
        """A client's k largest entries as bytes; no entry if its weight is 0."""
        vector = self._flat.flatten(value)
        weight = tf.cast(weight, tf.float32)
        indices = self._sparsifier.sparsify(
            vector,
            instructions.k,
            _NOTHING_SHARED,
            _own_seed(instructions.seed, vector),
        )
        # What adds nothing would take a place in the selection all the same.
        adds = tf.not_equal(tf.gather(vector, indices), 0.0)
        indices = tf.boolean_mask(indices, adds & tf.not_equal(weight, 0.0))
        entries = sparse_vector.gather(vector, indices)
        encoded = self._code.encode(
            entries, _own_seed(instructions.seed, entries.values)
        )
        sent = sparse_vector.SparseVector(indices, encoded.received)
        dropped = vector - sparse_vector.to_dense(sent, self._flat.dimension)
        return Message(Header(weight, _energy_share(dropped, vector)), encoded.message)

    def no_messages(self) -> messages.CollectedMessages:
        """What `collect` begins with."""
        return messages.no_messages(Header(tf.float32, tf.float32))

    def collect(
        self, collected: messages.CollectedMessages, message: Message
    ) -> messages.CollectedMessages:
        """Takes one more message in; nothing is read yet."""
        return messages.collect(
            collected,
            message.header,
            message.encoded,
            bits=messages.size_in_bits(message),
            max_bytes=self._code.max_bytes(),
        )

    def read(self, collected: messages.CollectedMessages, k: tf.Tensor) -> Totals:
        """Checks and decodes all messages, in their order, as those of a round at k."""
        reader = messages.Reader(collected)

        def step(place: tf.Tensor, totals: Totals) -> tuple[tf.Tensor, Totals]:
            message = Message(reader.header(place), reader.encoded(place))
            return place + 1, self._read_one(totals, message, k)

        start = Totals(
            self._sparsifier.zero(),
            weight=tf.constant(0.0, tf.float64),
            tally=Tally(
                refused=tf.constant(0),
                elements=tf.constant(0, tf.int64),
                index_bits=tf.constant(0, tf.int64),
                dropped_energy=tf.constant(0.0, tf.float64),
            ),
        )
        return tf.while_loop(
            lambda place, _: place < collected.count, step, (tf.constant(0), start)
        )[1]

    def select(
        self,
        state: SparsifiedMeanState,
        collected: messages.CollectedMessages,
        instructions: Instructions,
    ) -> tuple[SparsifiedMeanState, Any, Any]:
        """The state after the round, its result, and its measurements.

        Raises:
          tf.errors.InvalidArgumentError: When run, if the result or what stays at the
            server is beyond the range of its floats.
        """
        k = instructions.k
        totals = self.read(collected, k)
        anyone = totals.weight > 0.0
        weight = tf.where(anyone, totals.weight, 1.0)
        divisor = weight if self._divides else tf.ones_like(weight)
        accumulator = totals.accumulator
        if self._remembers:
            # As large as a client's, whether the memory is a mean or a sum.
            mean = state.memory * tf.cast(divisor / weight, tf.float32)
            kept = tf.where(tf.not_equal(state.memory, 0.0) & anyone)[:, 0]
            pending = sparse_vector.gather(mean, tf.cast(kept, tf.int32))
            accumulator = self._sparsifier.accumulate(
                accumulator, _as_upload(pending, weight, k)
            )
        aggregate = self._sparsifier.report(accumulator)
        selection = self._sparsifier.select(
            aggregate, divisor, k, tf.constant(0), _NOTHING_SHARED
        )
        memory = state.memory
        if self._remembers:
            means = tf.cast(aggregate.sums / divisor, tf.float32)
            memory = tf.where(anyone, _without(means, selection.update.indices), memory)
        result = self._flat.unflatten(
            sparse_vector.to_dense(selection.update, self._flat.dimension)
        )
        result, memory = _require_finite((result, memory))
        measured = _measure(k, collected, totals.tally, selection, memory)
        return self._next_state(state, memory), result, measured

    def _read_one(self, totals: Totals, message: Message, k: tf.Tensor) -> Totals:
        """The totals with one more message."""
        header = message.header
        entries, error = self._code.decode(
            message.encoded, self._sparsifier.max_sent(k)
        )
        has_weight = tf.math.is_finite(header.weight) & (header.weight >= 0.0)
        accepted = tf.equal(error, 0) & has_weight
        weight = tf.where(accepted, header.weight, 0.0)
        count = tf.where(weight > 0.0, tf.size(entries.indices), 0)
        entries = sparse_vector.SparseVector(*(part[:count] for part in entries))
        # What a refused message says of itself counts for nothing.
        index_bits = tf.cond(
            accepted,
            lambda: self._code.sizes(message.encoded).index_bits,
            lambda: tf.constant(0, tf.int64),
        )
        energy = tf.clip_by_value(tf.cast(header.dropped_energy, tf.float64), 0.0, 1.0)
        is_share = accepted & tf.math.is_finite(header.dropped_energy)
        tally = totals.tally
        return Totals(
            self._sparsifier.accumulate(
                totals.accumulator, _as_upload(entries, weight, k)
            ),
            totals.weight + tf.cast(weight, tf.float64),
            Tally(
                refused=tally.refused + 1 - tf.cast(accepted, tf.int32),
                elements=tally.elements + tf.cast(count, tf.int64),
                index_bits=tally.index_bits + index_bits,
                dropped_energy=tally.dropped_energy + tf.where(is_share, energy, 0.0),
            ),
        )

    def _next_state(
        self, state: SparsifiedMeanState, memory: tf.Tensor
    ) -> SparsifiedMeanState:
        return SparsifiedMeanState(
            memory=memory,
            round=state.round + 1,
            rule=_unaided.advance(
                self._rule, state.rule, _seeds.of_run(self._seed), state.round
            ),
        )


def _own_seed(seed: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """A client's seed: all were told the same, and its values make it differ."""
    content = tf.reduce_sum(tf.bitcast(values, tf.int32))
    return tf.bitwise.bitwise_xor(seed, tf.stack([content, 0]))


def _energy_share(part: tf.Tensor, whole: tf.Tensor) -> tf.Tensor:
    """|part|^2 / |whole|^2, float32; 0 of nothing, 1 of what has no finite norm."""
    part, whole = (
        tf.reduce_sum(tf.cast(vector, tf.float64) ** 2) for vector in (part, whole)
    )
    share = tf.cast(tf.math.divide_no_nan(part, whole), tf.float32)
    return tf.where(tf.math.is_finite(share), share, 1.0)


def _as_upload(
    entries: sparse_vector.SparseVector, weight: tf.Tensor, k: tf.Tensor
) -> sparsifier_lib.Upload:
    nought = tf.constant(0)
    return sparsifier_lib.Upload(
        client_id=nought, entries=entries, weight=weight, k=k, k_probe=nought
    )


def _without(vector: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """float32 [D] with zeros at `indices` (int32 [n])."""
    return tf.tensor_scatter_nd_update(
        vector, indices[:, tf.newaxis], tf.zeros_like(indices, tf.float32)
    )


def _require_finite(structure: Any) -> Any:
    """The structure of floats; an error when run if one is not finite.

    All that was accepted is finite, and float64 holds any sum of it. The floats of the
    value and of the memory may not.
    """
    finite = [
        tf.reduce_all(tf.math.is_finite(leaf)) for leaf in tf.nest.flatten(structure)
    ]
    check = tf.debugging.Assert(
        tf.reduce_all(finite),
        [
            "Expected updates whose sum the floats of the aggregated value hold, found "
            "entries beyond the range of these floats: scale the updates down."
        ],
    )
    with tf.control_dependencies([check]):
        return tf.nest.map_structure(tf.identity, structure)


def _measure(
    k: tf.Tensor,
    collected: messages.CollectedMessages,
    tally: Tally,
    selection: sparsifier_lib.Selection,
    memory: tf.Tensor,
) -> collections.OrderedDict[str, tf.Tensor]:
    """The measurements of `SparsifiedMeanFactory`."""
    return collections.OrderedDict(
        k=k,
        messages=collected.count,
        refused=tally.refused,
        uplink_bits=tf.reduce_sum(collected.bits),
        largest_uplink_bits=tf.maximum(
            tf.reduce_max(collected.bits), tf.constant(0, tf.int64)
        ),
        bits_per_index=_ratio(tally.index_bits, tally.elements),
        dropped_energy=_ratio(tally.dropped_energy, collected.count - tally.refused),
        selected=tf.size(selection.update.indices),
        kappa=selection.kappa,
        memory_norm=tf.norm(memory),
    )


def _ratio(numerator: tf.Tensor, denominator: tf.Tensor) -> tf.Tensor:
    """The quotient, float32; 0 if the denominator is 0."""
    return tf.math.divide_no_nan(
        tf.cast(numerator, tf.float32), tf.cast(denominator, tf.float32)
    )
