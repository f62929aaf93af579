"""What the factories' processes take and give, by their type signatures alone."""

import collections

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import aggregators
from tff_gs.controllers import fixed
from tff_gs.sparsifiers import fab_top_k, gtop_k, periodic_k, random_k

_FLOAT = tff.TensorType(np.float32)


def _check(process, value_type, weight_types, state_type, measurements_type):
    server_state = tff.FederatedType(state_type, tff.SERVER)
    parameters = collections.OrderedDict(
        state=server_state, value=tff.FederatedType(value_type, tff.CLIENTS)
    )
    for weight_type in weight_types:
        parameters["weight"] = tff.FederatedType(weight_type, tff.CLIENTS)
    expected = tff.FunctionType(
        parameters,
        tff.templates.MeasuredProcessOutput(
            server_state,
            tff.FederatedType(value_type, tff.SERVER),
            tff.FederatedType(measurements_type, tff.SERVER),
        ),
    )
    assert isinstance(process, tff.templates.AggregationProcess)
    assert process.is_weighted == bool(weight_types)
    assert process.initialize.type_signature == tff.FunctionType(None, server_state)
    assert process.next.type_signature.is_equivalent_to(expected)


def _mean_state_type(memory):
    return aggregators.SparsifiedMeanState(
        memory=tff.TensorType(np.float32, [memory]),
        round=tff.TensorType(np.int32),
        rule=fixed.FixedState(tff.TensorType(np.int32)),
    )


_MEAN_MEASUREMENTS = collections.OrderedDict(
    k=np.int32,
    messages=np.int32,
    refused=np.int32,
    uplink_bits=np.int64,
    largest_uplink_bits=np.int64,
    bits_per_index=np.float32,
    dropped_energy=np.float32,
    selected=np.int32,
    kappa=np.int32,
    memory_norm=np.float32,
)


@pytest.mark.parametrize(
    ("build", "memory", "weight_type"),
    [
        (aggregators.top_k_factory, 0, np.float32),
        (aggregators.fab_top_k_factory, 8, np.int64),
        (aggregators.fab_top_k_factory, 8, None),
        (aggregators.fub_top_k_factory, 8, np.float32),
    ],
)
def test_sparsified_mean(build, memory, weight_type, nested_type, exact_encoder):
    weighted = weight_type is not None
    factory = build(3, weighted=weighted, uplink_encoder=exact_encoder)
    weight_types = [tff.TensorType(weight_type)] if weighted else []
    _check(
        factory.create(nested_type, *weight_types),
        nested_type,
        weight_types,
        _mean_state_type(memory),
        _MEAN_MEASUREMENTS,
    )


@pytest.mark.parametrize(
    ("factory", "weight_types"),
    [
        (aggregators.SparsifiedMeanFactory, [_FLOAT]),
        (aggregators.UnweightedSparsifiedMeanFactory, []),
    ],
)
def test_without_error_feedback_there_is_no_memory(
    factory, weight_types, exact_encoder
):
    built = factory(
        sparsifier=fab_top_k.FabTopK(),
        k=0.5,
        uplink_encoder=exact_encoder,
        error_feedback=False,
    )
    value_type = tff.TensorType(np.float32, [4])
    _check(
        built.create(value_type, *weight_types),
        value_type,
        weight_types,
        _mean_state_type(0),
        _MEAN_MEASUREMENTS,
    )


@pytest.mark.parametrize(
    "build", [aggregators.random_k_factory, aggregators.periodic_k_factory]
)
def test_shared_coordinates_weighted(build, nested_type):
    inner_state = collections.OrderedDict(value_sum_process=(), weight_sum_process=())
    _check(
        build(0.5).create(nested_type, _FLOAT),
        nested_type,
        [_FLOAT],
        aggregators.SharedCoordinatesState(inner_state, tff.TensorType(np.int32)),
        collections.OrderedDict(
            k=np.int32,
            value_bits=np.int32,
            inner_agg=collections.OrderedDict(mean_value=(), mean_weight=()),
        ),
    )


@pytest.mark.parametrize(
    "build", [aggregators.random_k_factory, aggregators.periodic_k_factory]
)
def test_shared_coordinates_unweighted(build, nested_type):
    _check(
        build(3, tff.aggregators.SumFactory()).create(nested_type),
        nested_type,
        [],
        aggregators.SharedCoordinatesState((), tff.TensorType(np.int32)),
        collections.OrderedDict(k=np.int32, value_bits=np.int32, inner_agg=()),
    )


@pytest.mark.parametrize(
    "factory",
    [
        aggregators.fab_top_k_factory(1),
        aggregators.random_k_factory(1),
        aggregators.periodic_k_factory(1),
    ],
)
@pytest.mark.parametrize(
    ("value_type", "message"),
    [
        (tff.to_type([np.float32, np.int32]), "float tensors .*, found int32"),
        (tff.TensorType(np.float32, [None]), "fully defined shapes, found float32"),
        (tff.TensorType(np.float32, [0]), "a type with entries"),
        (tff.SequenceType(np.float32), "found SequenceType"),
        (tff.to_type([tff.SequenceType(np.float32)]), "found .*SequenceType"),
    ],
)
def test_values_that_are_no_floats(factory, value_type, message):
    with pytest.raises(TypeError, match=message):
        factory.create(value_type, _FLOAT)


@pytest.mark.parametrize(
    "weight_type", [tff.TensorType(np.float32, [2]), tff.to_type([np.float32]), np.str_]
)
def test_weights_that_are_no_numbers(weight_type):
    with pytest.raises(TypeError, match="Expected a scalar number as weight, found"):
        aggregators.fab_top_k_factory(1).create(_FLOAT, tff.to_type(weight_type))


@pytest.mark.parametrize("k", [0, 5, 0.0, 1.5, -1, True])
@pytest.mark.parametrize(
    "build", [aggregators.fab_top_k_factory, aggregators.random_k_factory]
)
def test_k_out_of_range(build, k):
    with pytest.raises(ValueError, match=r"k to be a count \(int\) in \[1, 4\]"):
        build(k).create(tff.TensorType(np.float32, [4]), _FLOAT)


def test_a_sparsifier_that_needs_client_ids():
    factory = aggregators.SparsifiedMeanFactory(sparsifier=gtop_k.GTopK(), k=1)
    with pytest.raises(ValueError, match=r"sums every upload .*, found GTopK"):
        factory.create(_FLOAT, _FLOAT)


class _Stateful(fab_top_k.FabTopK):
    """FAB-top-k that counts rounds, of which no aggregation would keep count."""

    def initialize(self):
        return tf.constant(0)

    def advance(self, state, k):
        return state + 1


class _Positions(fab_top_k.FabTopK):
    implicit_indices = True


@pytest.mark.parametrize(
    "build",
    [
        aggregators.SparsifiedMeanFactory,
        aggregators.UnweightedSparsifiedMeanFactory,
        aggregators.SparsifiedSumFactory,
    ],
)
@pytest.mark.parametrize(
    ("sparsifier", "found"),
    [
        (_Stateful, "_Stateful with initialize, advance of its own"),
        (_Positions, "_Positions with implicit_indices of its own"),
        (random_k.RandomK, "RandomK"),
        (periodic_k.PeriodicK, "PeriodicK"),
    ],
)
def test_a_sparsifier_with_more_than_messages(build, sparsifier, found):
    factory = build(sparsifier=sparsifier(), k=1)
    types = (_FLOAT,)
    if isinstance(factory, tff.aggregators.WeightedAggregationFactory):
        types *= 2
    with pytest.raises(ValueError, match=rf"^Expected a sparsifier .*, found {found}"):
        factory.create(*types)


def test_an_inner_factory_that_is_none():
    with pytest.raises(TypeError, match=r"inner_agg_factory to be .*, found 3"):
        aggregators.random_k_factory(1, 3)


def test_an_inner_aggregation_of_another_type():
    class Halves(tff.aggregators.UnweightedAggregationFactory):
        def create(self, value_type):
            process = tff.aggregators.SumFactory().create(value_type)
            halve = tff.tensorflow.computation(
                lambda value: tf.cast(value, tf.float16), value_type
            )

            @tff.federated_computation(
                process.initialize.type_signature.result,
                tff.FederatedType(value_type, tff.CLIENTS),
            )
            def next_fn(state, value):
                output = process.next(state, value)
                return tff.templates.MeasuredProcessOutput(
                    output.state,
                    tff.federated_map(halve, output.result),
                    output.measurements,
                )

            return tff.templates.AggregationProcess(process.initialize, next_fn)

    with pytest.raises(TypeError, match=r"results in float32\[2\], found float16\[2\]"):
        aggregators.random_k_factory(2, Halves()).create(
            tff.TensorType(np.float32, [4])
        )
