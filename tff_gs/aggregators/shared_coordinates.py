"""Random-k and periodic-k: all clients send the same coordinates, without indices.

The server draws a seed, clients compute the coordinates that it stands for and hand
a vector of k values to an inner aggregation. As the coordinates depend on no data, the
inner aggregation may be any of TFF's: secure, differentially private, encoded.
"""

import collections
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _flat_structure, _seeds
from tff_gs.aggregators import _inner
from tff_gs.controllers import amount
from tff_gs.sparsifiers import _seeded_permutation


class SharedCoordinatesState(NamedTuple):
    """What the server keeps.

    Attributes:
      inner: The state of the inner aggregation.
      round: int32 scalar, counted from 0.
    """

    inner: Any
    round: tf.Tensor


class Draw(NamedTuple):
    """The coordinates of a round: positions start, start + 1, ... of a permutation.

    Attributes:
      seed: int32 [2], what the permutation is drawn with.
      start: int32 scalar.
    """

    seed: tf.Tensor
    start: tf.Tensor


class SharedDraws:
    """What server and clients compute; TensorFlow code, which also runs eagerly.

    Random-k and periodic-k differ in `periodic`.

    Attributes:
      count: k.
    """

    def __init__(
        self,
        flat: _flat_structure.FlatStructure,
        k: amount.Amount,
        *,
        periodic: bool,
        unbiased: bool,
        seed: int,
    ) -> None:
        """Makes the steps for values of `flat.dimension` (D) entries."""
        self._flat = flat
        self._dimension = flat.dimension
        self.count = amount.to_count(k, flat.dimension, "k")
        self._scale = flat.dimension / self.count if unbiased else 1.0
        self._periodic = periodic
        self._seed = seed

    def draw(self, number: tf.Tensor) -> Draw:
        """What the server tells the clients in round `number` (int32 scalar)."""
        # Periodic-k walks through one permutation, random-k begins a new one.
        epoch = tf.zeros_like(number) if self._periodic else number
        passed = tf.cast(number - epoch, tf.int64) * self.count
        return Draw(
            _seeds.derive(_seeds.of_run(self._seed), _seeds.Purpose.UPLINK, epoch),
            tf.cast(passed % self._dimension, tf.int32),
        )

    def coordinates(self, drawn: Draw) -> tf.Tensor:
        """The coordinates, int32 [k], distinct, in the order of the draw."""
        positions = tf.cast(drawn.start, tf.int64) + tf.range(
            self.count, dtype=tf.int64
        )
        return _seeded_permutation.permute(
            tf.cast(positions % self._dimension, tf.int32),
            drawn.seed,
            dimension=self._dimension,
        )

    def pick(self, value: Any, drawn: Draw) -> tf.Tensor:
        """A client's values at the coordinates, float32 [k]."""
        picked = tf.gather(self._flat.flatten(value), self.coordinates(drawn))
        return tf.ensure_shape(picked, [self.count])

    def put_back(self, picked: tf.Tensor, drawn: Draw) -> Any:
        """The value that has float32 [k] at the coordinates, and zeros elsewhere."""
        coordinates = self.coordinates(drawn)[:, tf.newaxis]
        vector = tf.scatter_nd(coordinates, self._scale * picked, [self._dimension])
        return self._flat.unflatten(vector)


def _build_round(
    draws: SharedDraws,
    inner: tff.templates.AggregationProcess,
    value_type: tff.Type,
) -> Callable[..., tff.templates.MeasuredProcessOutput]:
    """Wires the steps around the inner aggregation; for a federated computation."""
    draw = tff.tensorflow.computation(draws.draw, np.int32)
    draw_type = draw.type_signature.result
    pick = tff.tensorflow.computation(draws.pick, (value_type, draw_type))
    put_back = tff.tensorflow.computation(
        draws.put_back, (pick.type_signature.result, draw_type)
    )
    next_round = tff.tensorflow.computation(lambda number: number + 1, np.int32)

    def run(
        state: tff.Value, value: tff.Value, *weights: tff.Value
    ) -> tff.templates.MeasuredProcessOutput:
        drawn = tff.federated_map(draw, state.round)
        picked = tff.federated_map(pick, (value, tff.federated_broadcast(drawn)))
        output = inner.next(state.inner, picked, *weights)
        number = tff.federated_map(next_round, state.round)
        measurements = collections.OrderedDict(
            k=tff.federated_value(draws.count, tff.SERVER),
            value_bits=tff.federated_value(32 * draws.count, tff.SERVER),
            inner_agg=output.measurements,
        )
        return tff.templates.MeasuredProcessOutput(
            state=tff.federated_zip(SharedCoordinatesState(output.state, number)),
            result=tff.federated_map(put_back, (output.result, drawn)),
            measurements=tff.federated_zip(measurements),
        )

    return run


def random_k_factory(
    k: amount.Amount,
    inner_agg_factory: tff.aggregators.AggregationFactory | None = None,
    *,
    unbiased: bool = False,
    seed: int = 0,
) -> tff.aggregators.AggregationFactory:
    """Aggregation of k coordinates that are drawn again in every round.

    The created `tff.templates.AggregationProcess` reads each value as one float32
    vector of D and computes, in its `next`:

    1. The server broadcasts a seed and a position (96 bits).
    2. Clients compute from these the k coordinates, the same at all, and hand their
       values there, float32 [k], to the inner aggregation.
    3. The server puts the inner result at these coordinates; elsewhere it is zero.

    A coordinate is in a round with probability k / D, so the result is, in
    expectation, k / D times what the inner aggregation would give for the whole value.
    With `unbiased` it is multiplied by D / k at the server, after the inner
    aggregation: clipping norms and noise inside refer to the vector of k before that.
    The variance grows alike, and a learning rate usually has to shrink by k / D.

    There is no error feedback: the server never sees what clients do not send.

    The `state` is a `SharedCoordinatesState`. The `measurements` are

    * `k`: int32;
    * `value_bits`: int32, the size of what each client hands to the inner
      aggregation, 32 k; an inner aggregation that encodes or masks sends another
      number;
    * `inner_agg`: the measurements of the inner aggregation.

    Random masks as in Konecny et al., "Federated learning: strategies for improving
    communication efficiency", 2016.

    Args:
      k: A count (int) or a fraction of D (float).
      inner_agg_factory: What aggregates the vectors of k; the returned factory is
        weighted if it is. By default a weighted mean that is 0 if all weights
        are.
      unbiased: Whether to multiply the result by D / k.
      seed: Fixes the coordinates of all rounds.

    Returns:
      A factory; its `create` raises TypeError if the value is not a structure of
      floats or the inner result not a float32 [k], and ValueError if k is out of
      its range.

    Raises:
      TypeError: If `inner_agg_factory` is no aggregation factory.
    """
    return _wrap(k, inner_agg_factory, periodic=False, unbiased=unbiased, seed=seed)


def periodic_k_factory(
    k: amount.Amount,
    inner_agg_factory: tff.aggregators.AggregationFactory | None = None,
    *,
    unbiased: bool = False,
    seed: int = 0,
) -> tff.aggregators.AggregationFactory:
    """Aggregation of k coordinates that come round: all before any comes again.

    Round m has the positions m k, ..., m k + k - 1, modulo D, of one permutation that
    the seed stands for. In all else it is `random_k_factory`, in its measurements too;
    the k / D there is a share of the rounds, instead of a probability.

    Periodic-k of Han, Wang, Leung, ICDCS 2020, Section V.

    Args:
      k: See `random_k_factory`, as the others.
      inner_agg_factory: What aggregates the vectors of k.
      unbiased: Whether to multiply the result by D / k.
      seed: Fixes the permutation.

    Returns:
      A factory, as `random_k_factory` returns.

    Raises:
      TypeError: If `inner_agg_factory` is no aggregation factory.
    """
    return _wrap(k, inner_agg_factory, periodic=True, unbiased=unbiased, seed=seed)


def _wrap(
    k: amount.Amount,
    inner: tff.aggregators.AggregationFactory | None,
    *,
    periodic: bool,
    unbiased: bool,
    seed: int,
) -> tff.aggregators.AggregationFactory:
    if inner is None:
        inner = tff.aggregators.MeanFactory(no_nan_division=True)

    def create(
        value_type: tff.Type, *weight_types: tff.Type
    ) -> tff.templates.AggregationProcess:
        draws = SharedDraws(
            _flat_structure.FlatStructure.of_type(value_type),
            k,
            periodic=periodic,
            unbiased=unbiased,
            seed=seed,
        )
        process = _inner.create_inner(
            inner, tff.TensorType(np.float32, [draws.count]), *weight_types
        )
        return _inner.aggregation_process(
            _inner.build_initialize(
                SharedCoordinatesState, process, lambda: tf.constant(0)
            ),
            _build_round(draws, process, value_type),
            value_type,
            *weight_types,
        )

    return _inner.factory_around(inner, create)
