"""TFF's own learning algorithms with these factories and the sparse broadcast."""

import itertools

import numpy as np
import pytest
import tensorflow_federated as tff

from tff_gs import aggregators, distributors

_ALGORITHMS = tff.learning.algorithms
_D = 15


def _sgd(learning_rate):
    return tff.learning.optimizers.build_sgdm(learning_rate)


def _fed_avg(model, **options):
    return _ALGORITHMS.build_weighted_fed_avg(model, _sgd(0.1), _sgd(1.0), **options)


def _fed_prox(model, **options):
    return _ALGORITHMS.build_weighted_fed_prox(
        model, 0.1, _sgd(0.1), _sgd(1.0), **options
    )


def _fed_sgd(model, **options):
    return _ALGORITHMS.build_fed_sgd(model, _sgd(0.5), **options)


def _run(process, data, rounds):
    """Trainable weights, flat, before and after each round, and the outputs."""
    state, outputs = process.initialize(), []
    weights = [_flat(process.get_model_weights(state))]
    for _ in range(rounds):
        outputs.append(process.next(state, data))
        state = outputs[-1].state
        weights.append(_flat(process.get_model_weights(state)))
    return np.array(weights), outputs


def _flat(model_weights):
    return np.concatenate([np.ravel(tensor) for tensor in model_weights.trainable])


def _loss(weights, datasets):
    """The mean cross-entropy of the linear model over all examples."""
    kernel, bias = weights[:-3].reshape(-1, 3), weights[-3:]
    losses = []
    for x, y in (batch for data in datasets for batch in data.as_numpy_iterator()):
        logits = x @ kernel + bias
        picked = logits[np.arange(len(y)), y]
        losses.extend(np.log(np.exp(logits).sum(axis=1)) - picked)
    return np.mean(losses)


@pytest.fixture(scope="module")
def plain(linear_model):
    return _fed_avg(linear_model)


@pytest.fixture(scope="module")
def weights_type(plain):
    return plain.get_model_weights.type_signature.result


def _sparse(exact_encoder, weights_type, k_up, k_down, **options):
    return {
        "model_aggregator": aggregators.fab_top_k_factory(
            k_up, uplink_encoder=exact_encoder, **options
        ),
        "model_distributor": distributors.build_sparse_broadcast_process(
            weights_type, k=k_down, downlink_encoder=exact_encoder
        ),
    }


def test_with_all_entries_it_is_plain_federated_averaging(
    plain, linear_model, weights_type, client_datasets, exact_encoder
):
    sparse = _fed_avg(linear_model, **_sparse(exact_encoder, weights_type, 1.0, 1.0))
    expected, _ = _run(plain, client_datasets, 3)
    weights, outputs = _run(sparse, client_datasets, 3)
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)
    assert [output.metrics["aggregator"]["refused"] for output in outputs] == [0] * 3


def test_elected_coordinates(plain, linear_model, client_datasets):
    whole, four = (
        _fed_avg(linear_model, model_aggregator=aggregators.fab_consensus_factory(k))
        for k in (1.0, 4)
    )
    expected, _ = _run(plain, client_datasets, 3)
    weights, _ = _run(whole, client_datasets, 3)
    np.testing.assert_allclose(weights, expected, rtol=1e-5, atol=1e-6)
    weights, outputs = _run(four, client_datasets, 5)
    for number, output in enumerate(outputs):
        assert np.count_nonzero(weights[number + 1] - weights[number]) <= 4
        assert output.metrics["aggregator"]["value_bits"] == 32 * 4
    losses = [_loss(row, client_datasets) for row in weights]
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("build", [_fed_avg, _fed_prox, _fed_sgd])
def test_sparse_in_both_directions(
    build, linear_model, weights_type, client_datasets, exact_encoder
):
    process = build(linear_model, **_sparse(exact_encoder, weights_type, 4, 6))
    weights, outputs = _run(process, client_datasets, 5)
    for number, output in enumerate(outputs):
        up, down = (output.metrics[part] for part in ("aggregator", "distributor"))
        # The server applies no entry but the selected ones.
        assert np.count_nonzero(weights[number + 1] - weights[number]) <= 4
        assert up["selected"] == 4
        assert up["messages"] == 3
        # 4 bytes of header, 8 an entry, 4 of checksum; 8 bytes beside the entries.
        assert up["uplink_bits"] == 3 * 8 * (8 + 8 * 4 + 8)
        assert down["k"] == (0 if number == 0 else 6)
        assert down["downlink_bits"] == (32 * _D if number == 0 else 8 * (8 + 8 * 6))
        # Four changed entries at most, and there is room for six.
        assert down["pending_norm"] == pytest.approx(0, abs=1e-6)
    losses = [_loss(row, client_datasets) for row in weights]
    assert losses[-1] < 0.9 * losses[0]


def test_weights_that_are_not_trainable_go_whole(
    normalising_model, client_datasets, exact_encoder
):
    weights_type = tff.learning.models.weights_type_from_model(normalising_model)
    process = _ALGORITHMS.build_weighted_fed_avg(
        normalising_model,
        _sgd(0.1),
        _sgd(1.0),
        **_sparse(exact_encoder, weights_type, 4, 6),
    )
    _, outputs = _run(process, client_datasets, 2)
    # Mean and variance of four features.
    assert outputs[1].metrics["distributor"]["whole_bits"] == 8 * 32
    assert outputs[1].metrics["distributor"]["dense_bits"] == 0
    assert outputs[1].metrics["aggregator"]["selected"] == 4


def test_periodic_k_with_secure_sums(linear_model, client_datasets, secure_context):
    inner = tff.aggregators.MeanFactory(
        value_sum_factory=tff.aggregators.SecureSumFactory(100.0, -100.0),
        weight_sum_factory=tff.aggregators.SecureSumFactory(100.0, 0.0),
    )
    process = _fed_avg(
        linear_model, model_aggregator=aggregators.periodic_k_factory(5, inner)
    )
    weights, outputs = _run(process, client_datasets, 3)
    changed = [
        set(np.flatnonzero(after - before))
        for before, after in itertools.pairwise(weights)
    ]
    assert all(len(coordinates) <= 5 for coordinates in changed)
    # All fifteen have had their turn, none twice.
    assert sum(map(len, changed)) == len(set.union(*changed))
    assert outputs[0].metrics["aggregator"]["k"] == 5


def test_random_k_with_differential_privacy(linear_model, client_datasets):
    inner = tff.aggregators.DifferentiallyPrivateFactory.gaussian_fixed(
        noise_multiplier=0.1, clients_per_round=3.0, clip=0.1
    )
    process = _ALGORITHMS.build_unweighted_fed_avg(
        linear_model,
        _sgd(0.1),
        _sgd(1.0),
        model_aggregator=aggregators.random_k_factory(5, inner),
    )
    weights, _ = _run(process, client_datasets, 1)
    assert np.count_nonzero(weights[1] - weights[0]) == 5
    assert np.linalg.norm(weights[1]) < 0.1 * (1 + 5)
