"""Learning processes with these parts compile to the form that platforms run."""

import numpy as np
import pytest
import tensorflow_federated as tff

from tff_gs import aggregators, distributors

_MEANS = {
    name: getattr(aggregators, name)
    for name in aggregators.__all__
    if name.endswith("_k_factory")
}
_SUMS = {
    name: getattr(aggregators, name)
    for name in aggregators.__all__
    if name.endswith("_sum_factory")
}


def _compile(model, **options):
    sgd = tff.learning.optimizers.build_sgdm(0.1)
    process = tff.learning.algorithms.build_weighted_fed_avg(model, sgd, sgd, **options)
    form = tff.backends.mapreduce.get_map_reduce_form_for_computation(process.next)
    assert isinstance(form, tff.backends.mapreduce.MapReduceForm)
    return form


def test_these_are_the_public_factories():
    others = {"SparsifiedMeanFactory", "UnweightedSparsifiedMeanFactory"}
    others |= {"SparsifiedSumFactory", "SparsifiedMeanState", "SharedCoordinatesState"}
    # See below.
    others |= {"fab_consensus_factory", "ConsensusState"}
    # No factories: for TFF's encoded aggregation.
    others |= {"SparseTopKEncodingStage", "sparse_top_k"}
    assert {*_MEANS, *_SUMS, *others} == set(aggregators.__all__)


@pytest.mark.parametrize("name", _MEANS)
def test_means(name, linear_model):
    _compile(linear_model, model_aggregator=_MEANS[name](0.3))


@pytest.mark.parametrize("name", _SUMS)
def test_sums(name, linear_model):
    mean = tff.aggregators.MeanFactory(value_sum_factory=_SUMS[name](0.3))
    _compile(linear_model, model_aggregator=mean)


def test_an_election_does_not_fit_into_the_form(linear_model):
    # docs/aggregators.md says so: J is told in the middle of the round.
    election = aggregators.fab_consensus_factory(0.3)
    with pytest.raises(ValueError, match="broadcast dependent on aggregate"):
        _compile(linear_model, model_aggregator=election)


def test_both_directions(linear_model):
    weights_type = tff.to_type(
        tff.learning.models.ModelWeights(((np.float32, [4, 3]), (np.float32, [3])), ())
    )
    _compile(
        linear_model,
        model_aggregator=aggregators.fab_top_k_factory(4),
        model_distributor=distributors.build_sparse_broadcast_process(
            weights_type, k=4
        ),
    )
