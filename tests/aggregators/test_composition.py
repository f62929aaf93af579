"""TFF's own wrappers around these factories, and inside them."""

import numpy as np
import pytest
import tensorflow_federated as tff

from tff_gs import aggregators

_FLOAT = tff.TensorType(np.float32)
_TYPE = tff.to_type([(np.float32, [3]), (np.float32, [2])])


def _value(*numbers):
    return [np.float32(numbers[:3]), np.float32(numbers[3:])]


def _next(factory, values, weights, value_type=_TYPE):
    process = factory.create(value_type, _FLOAT)
    return process.next(
        process.initialize(), values, [np.float32(weight) for weight in weights]
    )


@pytest.fixture(scope="module")
def fab(exact_encoder):
    return aggregators.fab_top_k_factory(2, uplink_encoder=exact_encoder)


def test_zeroing(fab):
    output = _next(
        tff.aggregators.zeroing_factory(10.0, fab),
        [_value(1, 2, 3, 0, 0), _value(0, 11, 0, 0, 5)],
        [1, 1],
    )
    # The second client is all zeros, and takes no place in the selection.
    assert output.measurements["zeroed_count"] == 1
    np.testing.assert_array_equal(output.result[0], [0, 1, 1.5])
    assert output.measurements["zeroing"]["memory_norm"] == 0


def test_clipping(fab):
    output = _next(
        tff.aggregators.clipping_factory(1.0, fab),
        [_value(0, 3, 0, 4, 0), _value(0, 0.2, 0, 0, 0.1)],
        [1, 1],
    )
    assert output.measurements["clipped_count"] == 1
    assert output.measurements["clipping"]["selected"] == 2
    np.testing.assert_allclose(output.result[0], [0, 0.4, 0], rtol=1e-6)
    np.testing.assert_allclose(output.result[1], [0.4, 0], rtol=1e-6)


def test_concatenation(fab):
    values, weights = [_value(1, 2, 3, 0, 0), _value(0, 0, 7, 0, 5)], [1, 3]
    plain = _next(fab, values, weights)
    output = _next(tff.aggregators.concat_factory(fab), values, weights)
    for given, expected in zip(output.result, plain.result, strict=True):
        np.testing.assert_array_equal(given, expected)
    assert output.measurements == plain.measurements


def test_debug_measurements(fab):
    output = _next(
        tff.learning.add_debug_measurements(fab),
        [_value(1, 2, 3, 0, 0), _value(0, 0, 7, 0, 0)],
        [1, 1],
    )
    assert output.measurements["selected"] == 2
    update = np.concatenate(output.result)
    assert output.measurements["server_update_norm"] == pytest.approx(
        np.linalg.norm(update)
    )
    # Clients' updates are measured before they are sparsified.
    norms = (np.sqrt(14) + 7) / 2
    assert output.measurements["average_client_norm"] == pytest.approx(norms)


def test_the_recommended_aggregator_of_tff_around_random_k():
    factory = tff.aggregators.zeroing_factory(
        10.0,
        tff.aggregators.clipping_factory(100.0, aggregators.random_k_factory(1.0)),
    )
    output = _next(factory, [_value(1, 2, 3, 4, 5), _value(0, 0, 0, 11, 0)], [1, 3])
    np.testing.assert_allclose(output.result[0], [0.25, 0.5, 0.75])
    np.testing.assert_allclose(output.result[1], [1, 1.25])


def test_clipping_inside_periodic_k():
    inner = tff.aggregators.clipping_factory(1.0, tff.aggregators.MeanFactory())
    output = _next(
        aggregators.periodic_k_factory(1, inner), [_value(3, 3, 3, 3, 3)], [2]
    )
    # The norm is that of the one value that is sent.
    assert sorted(np.concatenate(output.result)) == [0, 0, 0, 0, 1]
    assert output.measurements["inner_agg"]["clipped_count"] == 1


def test_unweighted_as_weighted(exact_encoder):
    factory = aggregators.top_k_factory(1, weighted=False, uplink_encoder=exact_encoder)
    output = _next(
        tff.aggregators.as_weighted_aggregator(factory),
        [_value(1, 2, 3, 0, 0), _value(0, 0, 0, -5, 0)],
        [1, 9],
    )
    np.testing.assert_array_equal(np.concatenate(output.result), [0, 0, 1.5, -2.5, 0])
