"""FAB consensus around other aggregations: by hand, secure, with noise."""

import numpy as np
import pytest
import tensorflow_federated as tff

from tests.oracles import sparsification
from tff_gs import aggregators

_D, _K = 10, 4
_VECTOR = tff.TensorType(np.float32, [_D])
_FLOAT = tff.TensorType(np.float32)


@pytest.fixture(scope="module")
def mean():
    return aggregators.fab_consensus_factory(_K).create(_VECTOR, _FLOAT)


def _expected(values, weights, ranks):
    selected = sparsification.fab_consensus(values, weights, _K, ranks)
    result = np.zeros(_D)
    result[selected.indices] = selected.values
    return selected, result


def test_rounds_follow_the_definition(mean):
    rng = np.random.default_rng(0)
    weights = np.float32([1, 3, 2])
    state, share = mean.initialize(), 1.0
    for _ in range(4):
        values = rng.normal(size=[3, _D]).astype(np.float32)
        output = mean.next(state, list(values), list(weights))
        state, measured = output.state, output.measurements
        ranks = min(max(int(np.ceil(share * _K)), _K // 3 + 1), _K)
        assert measured["ranks"] == ranks
        selected, result = _expected(values, weights, ranks)
        np.testing.assert_allclose(output.result, result, rtol=1e-5)
        assert measured["kappa"] == selected.kappa
        assert measured["selected"] == len(selected.indices) <= _K
        assert measured["k"] == _K
        assert (measured["ballots"], measured["refused"]) == (3, 0)
        # 7 bytes of frame, 4 bits an index, a float32, and a bit a rank and 63.
        payload = -(-4 * ranks // 8) + 4 + -(-(ranks + 63) // 8)
        assert measured["ballot_bits"] == 3 * 8 * (8 + payload)
        assert measured["value_bits"] == 32 * _K
        short = len(selected.indices) < _K
        needed = 2 * selected.kappa if short else 1.25 * (selected.kappa + 1)
        share = min(needed / _K, 1.0)
        assert state.election.ranks_per_k == pytest.approx(share)


def test_ballots_that_hold_too_few_coordinates(mean):
    state = mean.initialize()
    state = state._replace(
        election=state.election._replace(ranks_per_k=np.float64(0.25))
    )
    alike = [np.float32([9, 8, 7, 6, 5, 0, 0, 0, 0, 0])] * 2
    output = mean.next(state, alike, [np.float32(1)] * 2)
    # floor(4 / 2) + 1 ranks, of the same coordinates.
    assert output.measurements["selected"] == 3
    np.testing.assert_array_equal(output.result, [9, 8, 7, *[0] * 7])
    assert output.state.election.ranks_per_k == 1.0


def test_a_value_that_is_not_finite_counts_for_nothing(mean):
    values = [np.full(_D, np.nan, np.float32), np.arange(_D, dtype=np.float32)]
    output = mean.next(mean.initialize(), values, [np.float32(5), np.float32(1)])
    np.testing.assert_array_equal(output.result, [*[0] * 6, 6, 7, 8, 9])
    assert output.measurements["refused"] == 1


def test_a_secure_sum_at_elected_coordinates(secure_context):
    inner = tff.aggregators.SecureSumFactory(
        upper_bound_threshold=8.0, lower_bound_threshold=-8.0
    )
    process = aggregators.fab_consensus_factory(_K, inner).create(_VECTOR)
    values = np.random.default_rng(3).normal(size=[3, _D]).astype(np.float32)
    result = process.next(process.initialize(), list(values)).result
    selected = sparsification.fab_consensus(values, np.ones(3), _K, _K)
    expected = np.zeros(_D)
    expected[selected.indices] = values.sum(axis=0)[selected.indices]
    np.testing.assert_allclose(result, expected, atol=1e-5)
    assert np.count_nonzero(result) == _K


def test_noise_is_at_the_elected_coordinates():
    inner = tff.aggregators.DifferentiallyPrivateFactory.gaussian_fixed(
        noise_multiplier=1.0, clients_per_round=2.0, clip=100.0
    )
    process = aggregators.fab_consensus_factory(_K, inner).create(_VECTOR)
    values = [np.arange(_D, dtype=np.float32)] * 2
    result = process.next(process.initialize(), values).result
    np.testing.assert_array_equal(np.flatnonzero(result), range(6, 10))
    assert np.all(result[6:] != [6, 7, 8, 9])


def test_what_is_no_factory_is_refused():
    with pytest.raises(TypeError, match="Expected inner_agg_factory to be"):
        aggregators.fab_consensus_factory(3, "mean")
    with pytest.raises(ValueError, match="k"):
        aggregators.fab_consensus_factory(11).create(_VECTOR, _FLOAT)
    with pytest.raises(TypeError, match="Expected float tensors"):
        aggregators.fab_consensus_factory(2).create(
            tff.TensorType(np.int32, [3]), _FLOAT
        )
