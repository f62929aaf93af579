"""Means and sums of sparse messages: top-k, FAB-top-k, FUB-top-k, no client state."""

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _collecting, _flat_structure
from tff_gs.aggregators.sparse_mean import SparseMean
from tff_gs.controllers import _unaided
from tff_gs.encoders import encoder
from tff_gs.exchange import messages
from tff_gs.sparsifiers import (
    fab_top_k,
    fub_top_k,
    ranked_sums,
    unidirectional_top_k,
)
from tff_gs.sparsifiers import sparsifier as sparsifier_lib


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

    Arithmetic is float32, sums are float64, whatever floats the value has. A round
    fails if the result, or what stays at the server, is beyond the range of its floats:
    a sum of updates may be, and a mean with what earlier rounds left. Weights have no
    upper bound; float64 holds all their sums. One `seed` gives equal results to the bit
    for equal inputs in equal order.

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
        flat = _flat_structure.FlatStructure.of_type(value_type)
        dimension = flat.dimension
        rule = _unaided.build_rule(self._k, dimension, seed=self._seed)
        sparsifier = self._sparsifier.bind(dimension=dimension, probes=False)
        _check_sparsifier(sparsifier)
        code = self._uplink_encoder.bind(
            dimension=dimension, tensor_sizes=flat.tensor_sizes
        )
        steps = SparseMean(
            flat,
            sparsifier,
            rule,
            code,
            seed=self._seed,
            remembers=self._error_feedback,
            divides=divides,
        )
        return _build_process(steps, value_type, weight_type)


def _build_process(
    steps: SparseMean, value_type: tff.Type, weight_type: tff.Type
) -> tff.templates.AggregationProcess:
    """Wires the steps into an aggregation process."""
    initial_state = tff.tensorflow.computation(steps.initial_state)
    state_type = initial_state.type_signature.result
    instruct = tff.tensorflow.computation(steps.instruct, state_type)
    instructions_type = instruct.type_signature.result
    upload = tff.tensorflow.computation(
        steps.upload, (value_type, weight_type, instructions_type)
    )
    collect = _collecting.build_collect(
        upload.type_signature.result,
        zero=steps.no_messages,
        add=steps.collect,
        join=messages.join,
    )
    select = tff.tensorflow.computation(
        steps.select,
        (state_type, collect.type_signature.result.member, instructions_type),
    )

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
        selected = tff.federated_map(select, (state, collect(sent), instructions))
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
