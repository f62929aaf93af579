"""Means and sums of sparse messages: top-k, FAB-top-k, FUB-top-k, no client state."""

import collections
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _flat_structure, _seeds, sparse_vector
from tff_gs.controllers import _unaided
from tff_gs.encoders import codec, encoder
from tff_gs.exchange import messages
from tff_gs.sparsifiers import (
    fab_top_k,
    fub_top_k,
    ranked_sums,
    unidirectional_top_k,
)
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


class _Instructions(NamedTuple):
    """What the server tells all clients before they upload."""

    k: tf.Tensor  # int32 scalar
    seed: tf.Tensor  # int32 [2], for value codes that round stochastically


class _Header(NamedTuple):
    """What a client says of its entries."""

    weight: tf.Tensor  # float32 scalar
    dropped_energy: tf.Tensor  # float32 scalar


class _Message(NamedTuple):
    """All that a client sends."""

    header: _Header
    entries: tf.Tensor  # uint8 [bytes]


class _Tally(NamedTuple):
    """What the server notes of all messages together; scalars."""

    refused: tf.Tensor  # int32
    elements: tf.Tensor  # int64
    index_bits: tf.Tensor  # int64
    dropped_energy: tf.Tensor  # float64, the sum over accepted messages


class _Totals(NamedTuple):
    accumulator: Any
    weight: tf.Tensor  # float64 scalar
    tally: _Tally


class SparsifiedMeanFactory(tff.aggregators.WeightedAggregationFactory):
    """Weighted mean of updates of which clients send a few entries, encoded.

    The created `tff.templates.AggregationProcess` computes, in its `next`:

    1. Client i takes the k entries of largest magnitude of its value a_i, a structure
       of floats read as one vector of D, and sends them as one encoded message with
       its weight C_i. It sends no zeros, and no entry at all if its weight is 0.
    2. The server decodes and checks every message. What it refuses (a value that is
       not finite, damaged bytes, a weight that is negative or not finite) counts for
       nothing, neither its entries nor its weight.
    3. `sparsifier` selects the coordinates J of the result. At j in J, the result is
       (sum over i that sent j of C_i a_ij) / (sum over i of C_i); elsewhere zero.
       If the weights sum to 0, the result is zero.

    With error feedback, what arrived and was not selected is not lost: the server
    keeps its mean and adds it to the next round as the upload of one more client whose
    weight is that of all others together; it competes for selection as theirs do.
    FAB-top-k so guarantees every client floor(k / (N + 1)) entries. What a client does
    not send is lost, for TFF's clients keep no state; `tff_gs.learning` has a process
    in which they do.

    The `state` is a `SparsifiedMeanState`. The `measurements` are

    * `k`: int32, how many entries each client was to send;
    * `messages`, `refused`: int32, how many messages came and were not accepted;
    * `uplink_bits`, `largest_uplink_bits`: int64, of all that clients sent (encoded
      entries, weight and the number for `dropped_energy`), summed and at most;
    * `bits_per_index`: float32, index bits of the accepted messages per entry in them;
    * `dropped_energy`: float32, mean over accepted messages of the share of |a_i|^2
      that is not in them, left out or rounded away;
    * `selected`: int32, |J|;
    * `kappa`: int32, how many ranks FAB-top-k selected whole; 0 for other methods;
    * `memory_norm`: float32, the l2 norm of what stays for later rounds.

    Arithmetic is float32, sums are float64, whatever floats the value has. One
    `seed` gives equal results to the bit for equal inputs in equal order.

    Method: Han, Wang, Leung, ICDCS 2020, Algorithm 1, with the residuals at the server.
    """

    def __init__(
        self,
        *,
        sparsifier: sparsifier_lib.Sparsifier,
        k: _unaided.KOption,
        uplink_encoder: encoder.Encoder = encoder.EXACT,
        error_feedback: bool = True,
        seed: int = 0,
    ) -> None:
        """Initializes the factory.

        Args:
          sparsifier: What clients send and what the server selects. One of those that
            sum every upload: `FabTopK()`, `FubTopK()`, `UnidirectionalTopK()`, or
            another `RankedSums`.
          k: A count (int), a fraction of D (float), or a rule for k that needs no
            feedback, such as a schedule.
          uplink_encoder: How clients write their entries.
          error_feedback: Whether the server keeps what it does not select.
          seed: Of value codes that round stochastically.
        """
        self._sparsifier = sparsifier
        self._k = k
        self._uplink_encoder = uplink_encoder
        self._error_feedback = error_feedback
        self._seed = seed

    def create(
        self, value_type: tff.Type, weight_type: tff.Type
    ) -> tff.templates.AggregationProcess:
        """Creates the process.

        Args:
          value_type: A structure of floats, see `tff_gs._flat_structure`.
          weight_type: A scalar number.

        Raises:
          TypeError: If a type is none of these.
          ValueError: If k is out of its range for D, its rule needs feedback, or the
            sparsifier is not one that sums every upload, or has a state.
        """
        return self._create(value_type, weight_type, divides=True)

    def _create(
        self, value_type: tff.Type, weight_type: tff.Type, *, divides: bool
    ) -> tff.templates.AggregationProcess:
        """`create`; the process sums, and does not divide, unless `divides`."""
        _check_weight_type(weight_type)
        flat = _flat_structure.FlatStructure(value_type)
        dimension = flat.dimension
        rule = _unaided.build_rule(self._k, dimension, seed=self._seed)
        method = self._sparsifier.bind(dimension=dimension, probes=False)
        _check_sparsifier(method)
        code = self._uplink_encoder.bind(
            dimension=dimension, tensor_sizes=flat.tensor_sizes
        )
        nothing_shared = np.zeros([0], np.int32)
        remembers = self._error_feedback

        @tff.tensorflow.computation
        def initial_state() -> SparsifiedMeanState:
            return SparsifiedMeanState(
                memory=tf.zeros([dimension * remembers], tf.float32),
                round=tf.constant(0),
                rule=rule.initialize(),
            )

        state_type = initial_state.type_signature.result

        @tff.tensorflow.computation(state_type)
        def instruct(state: SparsifiedMeanState) -> _Instructions:
            return _Instructions(
                _unaided.decide(rule, state.rule, dimension),
                _seeds.derive(
                    _seeds.of_run(self._seed), _seeds.Purpose.UPLINK, state.round
                ),
            )

        instructions_type = instruct.type_signature.result

        @tff.tensorflow.computation(value_type, weight_type, instructions_type)
        def upload(
            value: Any, weight: tf.Tensor, instructions: _Instructions
        ) -> _Message:
            vector = flat.flatten(value)
            weight = tf.cast(weight, tf.float32)
            indices = method.sparsify(vector, instructions.k, nothing_shared)
            # What adds nothing would take a place in the selection all the same.
            adds = tf.not_equal(tf.gather(vector, indices), 0.0)
            indices = tf.boolean_mask(indices, adds & tf.not_equal(weight, 0.0))
            entries = sparse_vector.gather(vector, indices)
            encoded = code.encode(entries, _own_seed(instructions.seed, entries.values))
            sent = sparse_vector.SparseVector(indices, encoded.received)
            dropped = vector - sparse_vector.to_dense(sent, dimension)
            return _Message(
                _Header(weight, _energy_share(dropped, vector)), encoded.message
            )

        message_type = upload.type_signature.result

        @tff.tensorflow.computation
        def zero() -> messages.CollectedMessages:
            return messages.no_messages(_Header(tf.float32, tf.float32))

        collected_type = zero.type_signature.result

        @tff.tensorflow.computation(collected_type, message_type)
        def accumulate(
            collected: messages.CollectedMessages, message: _Message
        ) -> messages.CollectedMessages:
            return messages.collect(
                collected,
                message.header,
                message.entries,
                bits=messages.size_in_bits(message),
                max_bytes=code.max_bytes(),
            )

        merge = tff.tensorflow.computation(
            messages.join, (collected_type, collected_type)
        )
        report = tff.tensorflow.computation(lambda collected: collected, collected_type)

        @tff.tensorflow.computation(state_type, collected_type, instructions_type)
        def select(
            state: SparsifiedMeanState,
            collected: messages.CollectedMessages,
            instructions: _Instructions,
        ) -> tuple[SparsifiedMeanState, Any, Any]:
            k = instructions.k
            totals = _read(collected, k, method=method, code=code)
            anyone = totals.weight > 0.0
            weight = tf.where(anyone, totals.weight, 1.0)
            divisor = weight if divides else tf.ones_like(weight)
            accumulator = totals.accumulator
            if remembers:
                kept = tf.where(tf.not_equal(state.memory, 0.0) & anyone)[:, 0]
                # As large as a client's, whether the memory is a mean or a sum.
                mean = state.memory * tf.cast(divisor / weight, tf.float32)
                pending = sparse_vector.gather(mean, tf.cast(kept, tf.int32))
                accumulator = method.accumulate(
                    accumulator, _as_upload(pending, weight, k)
                )
            aggregate = method.report(accumulator)
            selection = method.select(
                aggregate, divisor, k, tf.constant(0), nothing_shared
            )
            indices, values = selection.update
            memory = state.memory
            if remembers:
                rest = tf.tensor_scatter_nd_update(
                    tf.cast(aggregate.sums / divisor, tf.float32),
                    indices[:, tf.newaxis],
                    tf.zeros_like(values),
                )
                memory = tf.where(anyone, rest, memory)
            tally = totals.tally
            measurements = collections.OrderedDict(
                k=k,
                messages=collected.count,
                refused=tally.refused,
                uplink_bits=tf.reduce_sum(collected.bits),
                largest_uplink_bits=tf.maximum(
                    tf.reduce_max(collected.bits), tf.constant(0, tf.int64)
                ),
                bits_per_index=_ratio(tally.index_bits, tally.elements),
                dropped_energy=_ratio(
                    tally.dropped_energy, collected.count - tally.refused
                ),
                selected=tf.size(indices),
                kappa=selection.kappa,
                memory_norm=tf.norm(memory),
            )
            updated = SparsifiedMeanState(
                memory=memory,
                round=state.round + 1,
                rule=_unaided.advance(
                    rule, state.rule, _seeds.of_run(self._seed), state.round
                ),
            )
            result = sparse_vector.to_dense(selection.update, dimension)
            return updated, flat.unflatten(result), measurements

        @tff.federated_computation
        def initialize_fn() -> tff.Value:
            return tff.federated_eval(initial_state, tff.SERVER)

        @tff.federated_computation(
            tff.FederatedType(state_type, tff.SERVER),
            tff.FederatedType(value_type, tff.CLIENTS),
            tff.FederatedType(weight_type, tff.CLIENTS),
        )
        def next_fn(
            state: tff.Value, value: tff.Value, weight: tff.Value
        ) -> tff.templates.MeasuredProcessOutput:
            instructions = tff.federated_map(instruct, state)
            sent = tff.federated_map(
                upload, (value, weight, tff.federated_broadcast(instructions))
            )
            collected = tff.federated_aggregate(sent, zero(), accumulate, merge, report)
            selected = tff.federated_map(select, (state, collected, instructions))
            return tff.templates.MeasuredProcessOutput(*selected)

        return tff.templates.AggregationProcess(initialize_fn, next_fn)


class _Unweighted(tff.aggregators.UnweightedAggregationFactory):
    """What the unweighted mean and the sum have in common."""

    _divides: bool

    def __init__(
        self,
        *,
        sparsifier: sparsifier_lib.Sparsifier,
        k: _unaided.KOption,
        uplink_encoder: encoder.Encoder = encoder.EXACT,
        error_feedback: bool = True,
        seed: int = 0,
    ) -> None:
        """Initializes the factory; see `SparsifiedMeanFactory`."""
        self._weighted = SparsifiedMeanFactory(
            sparsifier=sparsifier,
            k=k,
            uplink_encoder=uplink_encoder,
            error_feedback=error_feedback,
            seed=seed,
        )

    def create(self, value_type: tff.Type) -> tff.templates.AggregationProcess:
        """Creates the process; see `SparsifiedMeanFactory.create`."""
        process = self._weighted._create(
            value_type, tff.TensorType(np.float32), divides=self._divides
        )

        @tff.federated_computation(
            process.initialize.type_signature.result,
            tff.FederatedType(value_type, tff.CLIENTS),
        )
        def next_fn(
            state: tff.Value, value: tff.Value
        ) -> tff.templates.MeasuredProcessOutput:
            return process.next(
                state, value, tff.federated_value(np.float32(1.0), tff.CLIENTS)
            )

        return tff.templates.AggregationProcess(process.initialize, next_fn)


class UnweightedSparsifiedMeanFactory(_Unweighted):
    """Mean of updates of which clients send a few entries, encoded.

    `SparsifiedMeanFactory` with weight 1 for every client, in all else the same; the
    weight is part of the message and of its measured size.
    """

    _divides = True


class SparsifiedSumFactory(_Unweighted):
    """Sum of updates of which clients send a few entries, encoded.

    What TFF's own factories take if they divide, or add noise, themselves: in
    `MeanFactory(value_sum_factory=)`, `UnweightedMeanFactory(value_sum_factory=)` and
    `DifferentiallyPrivateFactory(record_aggregation_factory=)`. A mean in these places
    would be divided by the number of clients once more.

    `UnweightedSparsifiedMeanFactory` without the division: at j in J, the result is the
    sum of a_ij over the clients i that sent j. With error feedback, the server keeps
    the sum of what it did not select. With all entries sent and selected (k = 1.0) it
    is `tff.aggregators.SumFactory`, except for the order of the additions. What is
    refused adds nothing, but the factory around it may count it nevertheless.
    """

    _divides = False


def top_k_factory(
    k: _unaided.KOption, *, weighted: bool = True, **options: Any
) -> tff.aggregators.AggregationFactory:
    """Top-k of every client's update; the result holds all that arrived.

    Aji, Heafield, "Sparse communication for distributed gradient descent", EMNLP 2017,
    without their residuals. Nothing stays at the server.

    Args:
      k: See `SparsifiedMeanFactory`.
      weighted: Whether to return the weighted factory or the unweighted one.
      **options: Of `SparsifiedMeanFactory`.
    """
    options = {"error_feedback": False, **options}
    return _mean(unidirectional_top_k.UnidirectionalTopK(), k, weighted, options)


def top_k_sum_factory(
    k: _unaided.KOption, **options: Any
) -> tff.aggregators.UnweightedAggregationFactory:
    """The sum of what `top_k_factory` has the mean of; see `SparsifiedSumFactory`.

    With exact values no client's part is larger than its update, nor depends on
    another's: a bound on the norm of updates is one on the norm of the parts.

    Args:
      k: See `SparsifiedMeanFactory`.
      **options: Of `SparsifiedSumFactory`.
    """
    options = {"error_feedback": False, **options}
    return SparsifiedSumFactory(
        sparsifier=unidirectional_top_k.UnidirectionalTopK(), k=k, **options
    )


def fab_top_k_factory(
    k: _unaided.KOption, *, weighted: bool = True, **options: Any
) -> tff.aggregators.AggregationFactory:
    """Fairness-aware top-k: k coordinates, to which every client contributes.

    Han, Wang, Leung, ICDCS 2020, Algorithm 1.

    Args:
      k: See `SparsifiedMeanFactory`.
      weighted: Whether to return the weighted factory or the unweighted one.
      **options: Of `SparsifiedMeanFactory`.
    """
    return _mean(fab_top_k.FabTopK(), k, weighted, options)


def fab_top_k_sum_factory(
    k: _unaided.KOption, **options: Any
) -> tff.aggregators.UnweightedAggregationFactory:
    """The sum of what `fab_top_k_factory` has the mean of; see `SparsifiedSumFactory`.

    Args:
      k: See `SparsifiedMeanFactory`.
      **options: Of `SparsifiedSumFactory`.
    """
    return SparsifiedSumFactory(sparsifier=fab_top_k.FabTopK(), k=k, **options)


def fub_top_k_factory(
    k: _unaided.KOption, *, weighted: bool = True, **options: Any
) -> tff.aggregators.AggregationFactory:
    """The k coordinates of largest mean, whoever they come from.

    Fairness-unaware top-k of Han, Wang, Leung, ICDCS 2020, Section V.

    Args:
      k: See `SparsifiedMeanFactory`.
      weighted: Whether to return the weighted factory or the unweighted one.
      **options: Of `SparsifiedMeanFactory`.
    """
    return _mean(fub_top_k.FubTopK(), k, weighted, options)


def fub_top_k_sum_factory(
    k: _unaided.KOption, **options: Any
) -> tff.aggregators.UnweightedAggregationFactory:
    """The sum of what `fub_top_k_factory` has the mean of; see `SparsifiedSumFactory`.

    Args:
      k: See `SparsifiedMeanFactory`.
      **options: Of `SparsifiedSumFactory`.
    """
    return SparsifiedSumFactory(sparsifier=fub_top_k.FubTopK(), k=k, **options)


def _mean(
    method: sparsifier_lib.Sparsifier,
    k: _unaided.KOption,
    weighted: bool,
    options: dict[str, Any],
) -> tff.aggregators.AggregationFactory:
    build = SparsifiedMeanFactory if weighted else UnweightedSparsifiedMeanFactory
    return build(sparsifier=method, k=k, **options)


# What a sparsifier does between rounds or beside its messages; here, nobody would ask.
_BEYOND_A_ROUND = (
    "initialize",
    "share",
    "advance",
    "coordinates",
    "answer_coordinates",
)


def _check_sparsifier(method: sparsifier_lib.Sparsifier) -> None:
    # gTop-k's tree is ordered by the ids of clients, which stateless ones lack.
    if not isinstance(method, ranked_sums.RankedSums):
        raise ValueError(
            "Expected a sparsifier that sums every upload (a RankedSums), found "
            f"{type(method).__name__}."
        )
    own = [
        name
        for name in _BEYOND_A_ROUND
        if getattr(type(method), name) is not getattr(sparsifier_lib.Sparsifier, name)
    ]
    if method.implicit_indices:
        own.append("implicit_indices")
    if own:
        raise ValueError(
            "Expected a sparsifier without a state or shared coordinates, which no "
            f"aggregation of TFF's keeps, found {type(method).__name__} with "
            f"{', '.join(own)} of its own."
        )


def _check_weight_type(weight_type: tff.Type) -> None:
    is_number = isinstance(weight_type, tff.TensorType) and (
        tf.as_dtype(weight_type.dtype).is_floating
        or tf.as_dtype(weight_type.dtype).is_integer
    )
    if not is_number or weight_type.shape != ():
        raise TypeError(f"Expected a scalar number as weight, found {weight_type}.")


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


def _read(
    collected: messages.CollectedMessages,
    k: tf.Tensor,
    *,
    method: sparsifier_lib.Sparsifier,
    code: codec.Codec,
) -> _Totals:
    """Checks and decodes all messages, in their order, as those of a round at k."""
    reader = messages.Reader(collected)

    def step(place: tf.Tensor, totals: _Totals) -> tuple[tf.Tensor, _Totals]:
        header, message = reader.header(place), reader.entries(place)
        entries, error = code.decode(message, method.max_sent(k))
        has_weight = tf.math.is_finite(header.weight) & (header.weight >= 0.0)
        accepted = tf.equal(error, 0) & has_weight
        weight = tf.where(accepted, header.weight, 0.0)
        count = tf.where(weight > 0.0, tf.size(entries.indices), 0)
        entries = sparse_vector.SparseVector(*(part[:count] for part in entries))
        # What a refused message says of itself counts for nothing.
        index_bits = tf.cond(
            accepted,
            lambda: code.sizes(message).index_bits,
            lambda: tf.constant(0, tf.int64),
        )
        energy = tf.clip_by_value(tf.cast(header.dropped_energy, tf.float64), 0.0, 1.0)
        is_share = accepted & tf.math.is_finite(header.dropped_energy)
        tally = totals.tally
        return place + 1, _Totals(
            method.accumulate(totals.accumulator, _as_upload(entries, weight, k)),
            totals.weight + tf.cast(weight, tf.float64),
            _Tally(
                refused=tally.refused + 1 - tf.cast(accepted, tf.int32),
                elements=tally.elements + tf.cast(count, tf.int64),
                index_bits=tally.index_bits + index_bits,
                dropped_energy=tally.dropped_energy + tf.where(is_share, energy, 0.0),
            ),
        )

    start = _Totals(
        method.zero(),
        tf.constant(0.0, tf.float64),
        _Tally(
            refused=tf.constant(0),
            elements=tf.constant(0, tf.int64),
            index_bits=tf.constant(0, tf.int64),
            dropped_energy=tf.constant(0.0, tf.float64),
        ),
    )
    return tf.while_loop(
        lambda place, _: place < collected.count, step, (tf.constant(0), start)
    )[1]


def _ratio(numerator: tf.Tensor, denominator: tf.Tensor) -> tf.Tensor:
    """The quotient, float32; 0 where the denominator is 0."""
    return tf.math.divide_no_nan(
        tf.cast(numerator, tf.float32), tf.cast(denominator, tf.float32)
    )
