"""Sums of sparse messages, and TFF's own factories that want one."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow_federated as tff

from tff_gs import aggregators

_AGGREGATORS = tff.aggregators
_FLOAT = tff.TensorType(np.float32)
_TYPE = tff.to_type([(np.float32, [3]), (np.float32, [2])])
_SUMS = {
    "top_k": aggregators.top_k_sum_factory,
    "fab_top_k": aggregators.fab_top_k_sum_factory,
    "fub_top_k": aggregators.fub_top_k_sum_factory,
    "random_k": lambda k: aggregators.random_k_factory(k, _AGGREGATORS.SumFactory()),
    "periodic_k": lambda k: aggregators.periodic_k_factory(
        k, _AGGREGATORS.SumFactory()
    ),
}
# TFF's slots for a sum, each with the clients' weights that it takes.
_SLOTS = {
    "mean": (
        lambda inner: _AGGREGATORS.MeanFactory(value_sum_factory=inner),
        [[np.float32(3), np.float32(1)]],
    ),
    "unweighted_mean": (
        lambda inner: _AGGREGATORS.UnweightedMeanFactory(value_sum_factory=inner),
        [],
    ),
    "differentially_private": (
        lambda inner: _AGGREGATORS.DifferentiallyPrivateFactory(
            _gaussian(clip=100.0), record_aggregation_factory=inner
        ),
        [],
    ),
}


def _gaussian(clip):
    """The query of TFF's `gaussian_fixed` for two clients, without noise."""
    import tensorflow_privacy as tfp

    return tfp.NormalizedQuery(tfp.GaussianSumQuery(clip, 0.0), denominator=2.0)


def _value(*numbers):
    return [np.float32(numbers[:3]), np.float32(numbers[3:])]


def _run(factory, rounds, weights=()):
    """The results of rounds of clients' values, flat."""
    process = factory.create(_TYPE, *(_FLOAT for _ in weights))
    state, results = process.initialize(), []
    for values in rounds:
        output = process.next(state, values, *weights)
        state = output.state
        results.append(np.concatenate(output.result))
    return results


# Sums that are exact in any order.
_ROUNDS = [
    [_value(1, 2, 3, 0, -4), _value(0, 0.5, -8, 0, 5)],
    [_value(0, 0, 0, 0, 0), _value(-1, 2, 0, 7, 0.25)],
]


@pytest.fixture(scope="module")
def of_tff():
    """The results with TFF's own sum in a slot."""

    @functools.cache
    def run(slot):
        wrap, weights = _SLOTS[slot]
        return _run(wrap(_AGGREGATORS.SumFactory()), _ROUNDS, weights)

    return run


@pytest.mark.parametrize(
    ("name", "slot"),
    [
        *itertools.product(("top_k", "fab_top_k", "fub_top_k"), _SLOTS),
        ("random_k", "mean"),
        ("periodic_k", "unweighted_mean"),
    ],
)
def test_with_all_entries_it_is_tffs_own_sum(of_tff, name, slot):
    wrap, weights = _SLOTS[slot]
    expected = of_tff(slot)
    found = _run(wrap(_SUMS[name](1.0)), _ROUNDS, weights)
    np.testing.assert_array_equal(found, expected)
    assert np.count_nonzero(expected[0]) == 4


def test_a_mean_of_a_sum_divides_once():
    factory = _AGGREGATORS.UnweightedMeanFactory(
        value_sum_factory=aggregators.top_k_sum_factory(2)
    )
    rounds = [[_value(1, 2, 3, 0, 0), _value(0, 0, 7, 0, 5), _value(3, 0, 2, 0, 1)]]
    # Sent: 2 and 3, 7 and 5, 3 and 2.
    np.testing.assert_allclose(_run(factory, rounds)[0], [1, 2 / 3, 4, 0, 5 / 3])


def test_what_was_not_selected_competes_as_a_mean_and_comes_whole():
    # Of 8, 5 and 5 that arrive, 8 is selected; 10 are kept, 10 / 3 of each client.
    rounds = [
        [_value(8, 0, 0, 0, 0), _value(0, 5, 0, 0, 0), _value(0, 5, 0, 0, 0)],
        [_value(0, 0, 4, 0, 0), _value(*[0] * 5), _value(*[0] * 5)],
        [_value(*[0] * 5)] * 3,
    ]
    found = _run(_SUMS["fab_top_k"](1), rounds)
    np.testing.assert_allclose(found[0], [8, 0, 0, 0, 0])
    np.testing.assert_allclose(found[1], [0, 0, 4, 0, 0])
    np.testing.assert_allclose(found[2], [0, 10, 0, 0, 0])


def test_the_largest_sums_include_what_was_kept():
    # 5 and 5 in two rounds are more than the 8 of the second.
    rounds = [
        [_value(8, 0, 0, 0, 0), _value(0, 5, 0, 0, 0)],
        [_value(0, 0, 8, 0, 0), _value(0, 5, 0, 0, 0)],
    ]
    found = _run(_SUMS["fub_top_k"](1), rounds)
    np.testing.assert_allclose(found, [[8, 0, 0, 0, 0], [0, 10, 0, 0, 0]])


def test_a_sum_is_unweighted():
    for name in ("top_k", "fab_top_k", "fub_top_k"):
        factory = _SUMS[name](2)
        assert isinstance(factory, _AGGREGATORS.UnweightedAggregationFactory)
        assert not isinstance(factory, _AGGREGATORS.WeightedAggregationFactory)


def test_a_sum_that_float32_cannot_hold_is_an_error():
    large = _value(3e38, 0, 0, 0, 0)
    with pytest.raises(Exception, match="Expected updates whose sum the floats"):
        _run(_SUMS["fab_top_k"](1), [[large, large]])
