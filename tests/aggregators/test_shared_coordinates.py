"""Rounds of random-k and periodic-k, and what may sit inside them."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from tensorflow_model_optimization.python.core.internal import tensor_encoding as te

from tff_gs import _flat_structure, _seeds, aggregators
from tff_gs.aggregators import shared_coordinates
from tff_gs.sparsifiers import _seeded_permutation

_FLOAT = tff.TensorType(np.float32)
_D, _K, _SEED = 10, 4, 3
_VECTOR = tff.TensorType(np.float32, [_D])
_SUM = tff.aggregators.SumFactory()


def _results(process, rounds, *arguments):
    state, results = process.initialize(), []
    for _ in range(rounds):
        output = process.next(state, *arguments)
        state = output.state
        results.append(output.result)
    return np.array(results)


def _coordinates(epoch, positions):
    """What the seed stands for, outside of TFF."""
    seed = _seeds.derive(tf.constant([_SEED, 0]), _seeds.Purpose.UPLINK, epoch)
    positions = tf.constant(positions, tf.int32)
    return _seeded_permutation.permute(positions, seed, dimension=_D).numpy()


@pytest.fixture(scope="module")
def periodic():
    return aggregators.periodic_k_factory(_K, _SUM, seed=_SEED).create(_VECTOR)


@pytest.fixture(scope="module")
def random():
    return aggregators.random_k_factory(0.4, _SUM, seed=_SEED).create(_VECTOR)


def test_periodic_k_takes_all_before_any_comes_again(periodic):
    results = _results(periodic, 5, [np.ones(_D, np.float32)])
    chosen = [np.flatnonzero(result).tolist() for result in results]
    assert all(len(coordinates) == _K for coordinates in chosen)
    assert len({*chosen[0], *chosen[1], *chosen[2]}) == _D
    # Five rounds of four are each coordinate twice.
    assert results.sum(axis=0).tolist() == [2] * _D
    for number, coordinates in enumerate(chosen):
        positions = [(number * _K + place) % _D for place in range(_K)]
        assert coordinates == sorted(_coordinates(0, positions))


def test_random_k_draws_anew(random):
    results = _results(random, 100, [np.ones(_D, np.float32)])
    assert set(results.sum(axis=1)) == {_K}
    assert len({tuple(result) for result in results}) > 50
    for number in (0, 7):
        coordinates = _coordinates(number, range(_K))
        assert set(np.flatnonzero(results[number])) == set(coordinates)
    # Each is expected 40 times, with a standard deviation below 5.
    assert results.sum(axis=0).min() > 20
    assert results.sum(axis=0).max() < 60


def test_values_are_summed_where_they_were_picked(random):
    rng = np.random.default_rng(0)
    values = rng.normal(size=[3, _D]).astype(np.float32)
    result = _results(random, 1, list(values))[0]
    coordinates = _coordinates(0, range(_K))
    expected = np.zeros(_D)
    expected[coordinates] = values.sum(axis=0)[coordinates]
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_measurements(periodic):
    output = periodic.next(periodic.initialize(), [np.ones(_D, np.float32)])
    assert output.measurements == {"k": 4, "value_bits": 128, "inner_agg": ()}


def test_equal_seeds_give_equal_rounds(random):
    value = [np.arange(_D, dtype=np.float32)]
    again = aggregators.random_k_factory(_K, _SUM, seed=_SEED).create(_VECTOR)
    other = aggregators.random_k_factory(_K, _SUM, seed=_SEED + 1).create(_VECTOR)
    results = _results(random, 3, value)
    np.testing.assert_array_equal(_results(again, 3, value), results)
    assert np.any(_results(other, 3, value) != results)


def test_unbiased_and_weighted_by_hand():
    process = aggregators.periodic_k_factory(2, unbiased=True).create(
        tff.TensorType(np.float32, [4]), _FLOAT
    )
    values = [np.full(4, 2, np.float32), np.full(4, 6, np.float32)]
    results = _results(process, 2, values, [np.float32(3), np.float32(1)])
    # The mean is 3, and D / k is 2.
    assert sorted(results[0]) == [0, 0, 6, 6]
    assert results.sum(axis=0).tolist() == [6] * 4


@pytest.mark.parametrize(
    "build", [aggregators.random_k_factory, aggregators.periodic_k_factory]
)
def test_all_weights_zero(build):
    process = build(0.5).create(_VECTOR, _FLOAT)
    result = _results(process, 1, [np.ones(_D, np.float32)] * 2, [np.float32(0)] * 2)
    assert not result.any()


def test_nested_values(nested_type, nest, unnest):
    process = aggregators.periodic_k_factory(4, _SUM).create(nested_type)
    numbers = [1, -5, 3, 4, 2, 8, 9, 0.5]
    results = _results(process, 2, [nest(numbers)] * 2)
    whole = np.sum([unnest(result) for result in results], axis=0)
    assert whole.tolist() == [2 * number for number in numbers]
    assert results[0]["b"][1].dtype == np.float16


def test_secure_sum_inside(secure_context):
    inner = tff.aggregators.SecureSumFactory(2.0, -2.0)
    process = aggregators.periodic_k_factory(2, inner).create(
        tff.TensorType(np.float32, [4])
    )
    value = np.float32([1, -1.5, 0.25, 100])
    output = process.next(process.initialize(), [value, value])
    second = process.next(output.state, [value, value])
    # Sums are quantised; what is beyond the threshold is clipped to it.
    np.testing.assert_allclose(
        output.result + second.result, [2, -3, 0.5, 4], atol=1e-3
    )
    clipped = [o.measurements["inner_agg"] for o in (output, second)]
    assert sum(m["secure_upper_clipped_count"] for m in clipped) == 2


def test_secure_weighted_mean_inside(secure_context):
    inner = tff.aggregators.MeanFactory(
        value_sum_factory=tff.aggregators.SecureSumFactory(20.0, -20.0),
        weight_sum_factory=tff.aggregators.SecureSumFactory(10.0, 0.0),
    )
    process = aggregators.random_k_factory(1.0, inner).create(
        tff.TensorType(np.float32, [3]), _FLOAT
    )
    values = [np.float32([1, 2, 3]), np.float32([-1, 0, 5])]
    output = process.next(process.initialize(), values, [np.float32(3), np.float32(1)])
    np.testing.assert_allclose(output.result, [0.5, 1.5, 3.5], atol=1e-3)


def test_differential_privacy_inside_clips_the_picked_values():
    def build(noise):
        inner = tff.aggregators.DifferentiallyPrivateFactory.gaussian_fixed(
            noise_multiplier=noise, clients_per_round=2.0, clip=1.0
        )
        return aggregators.periodic_k_factory(2, inner).create(
            tff.TensorType(np.float32, [4])
        )

    values = [np.full(4, 3, np.float32), np.full(4, 0.1, np.float32)]
    # (3, 3) is clipped to norm 1, whatever is at the coordinates that stay.
    mean = (np.sqrt(0.5) + 0.1) / 2
    result = _results(build(0.0), 1, values)[0]
    np.testing.assert_allclose(sorted(result), [0, 0, mean, mean], rtol=1e-5)
    noisy = _results(build(1.0), 1, values)[0]
    # No noise falls where nothing was picked.
    assert np.count_nonzero(noisy) == 2
    assert np.any(noisy != result)


def test_an_encoded_sum_inside():
    inner = tff.aggregators.EncodedSumFactory(
        lambda spec: te.encoders.as_gather_encoder(
            te.encoders.uniform_quantization(8), spec
        )
    )
    process = aggregators.random_k_factory(1.0, inner).create(_VECTOR)
    value = np.linspace(0, 1, _D).astype(np.float32)
    result = _results(process, 1, [value, value])[0]
    np.testing.assert_allclose(result, 2 * value, atol=2 / 255)


@pytest.mark.parametrize("periodic", [False, True])
def test_the_steps_run_eagerly(periodic):
    flat = _flat_structure.FlatStructure.of_type(tff.TensorType(np.float32, [6]))
    draws = shared_coordinates.SharedDraws(
        flat, 2, periodic=periodic, unbiased=True, seed=1
    )
    drawn = draws.draw(tf.constant(1))
    assert drawn.start == (2 if periodic else 0)
    coordinates = draws.coordinates(drawn).numpy()
    picked = draws.pick(tf.range(6, dtype=tf.float32), drawn)
    np.testing.assert_array_equal(picked, coordinates)
    expected = np.zeros(6)
    expected[coordinates] = 3.0 * coordinates
    np.testing.assert_array_equal(draws.put_back(picked, drawn), expected)
