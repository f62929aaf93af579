"""Rounds of the whole process with clients that miss, or whose work is not finite."""

import numpy as np
import pytest

from tff_gs import learning
from tff_gs.controllers import fixed, sign_descent
from tff_gs.exchange import transformations

_D = 48


@pytest.fixture(scope="module")
def process(build_process, functional_model):
    return build_process(functional_model, sign_descent.SignDescent().bind(_D), seed=3)


def _start(process, count):
    return process.initialize_clients(process.initialize(), list(range(count)))


def _poisoned(data, client):
    features, labels = data[client]
    features = features.copy()
    features[:, 0] = np.nan
    return [(features, labels) if i == client else d for i, d in enumerate(data)]


@pytest.mark.parametrize("cohort", [[0, 1, 2], [4], [0, 1, 2, 3]])
def test_a_round_of_some_clients_needs_partial_participation(
    process, client_data, cohort
):
    state, clients, _ = _start(process, len(client_data))
    with pytest.raises(
        Exception,
        match=f"Expected all 5 clients .* found {len(cohort)}: .*participation=",
    ):
        process.next(
            state, [clients[i] for i in cohort], [client_data[i] for i in cohort]
        )


def test_the_server_knows_who_has_the_model(process):
    state, _, _ = process.initialize_clients(process.initialize(), [7, 2])
    np.testing.assert_array_equal(state.client_ids, [2, 7])
    state, _, _ = process.initialize_clients(state, [2, 9])
    np.testing.assert_array_equal(state.client_ids, [2, 7, 9])


def test_two_clients_with_one_id_are_refused(process):
    with pytest.raises(Exception, match="distinct ids of 3 clients, found 2 distinct"):
        process.initialize_clients(process.initialize(), [1, 4, 1])


def test_a_nan_pixel_costs_one_client_one_round(process, client_data):
    state, clients, _ = _start(process, len(client_data))
    state, clients, *_ = process.next(state, clients, client_data)
    bad = process.next(state, clients, _poisoned(client_data, 1))
    metrics = bad.metrics
    assert metrics["non_finite"] == 1
    assert metrics["refused"].sum() == metrics["refused"][0] == 4
    assert metrics["contributed"][1] == 0
    assert learning.describe_refusals(metrics) == [
        "The work of client 1 was not finite; it counts for nothing in this round."
    ]
    np.testing.assert_array_equal(metrics["client_ids"], range(5))
    for name in ("training_loss", "loss_before", "loss_after", "loss_probe"):
        assert np.isfinite(metrics[name]), name
    # Its residual is as it was, and its model is the server's.
    np.testing.assert_array_equal(
        bad.clients[1].exchange.residual, clients[1].exchange.residual
    )
    np.testing.assert_array_equal(bad.clients[1].exchange.weights, bad.state.weights)
    assert np.isfinite(bad.state.weights).all()
    after = process.next(bad.state, bad.clients, client_data)
    assert after.metrics["non_finite"] == 0
    assert after.metrics["contributed"][1] > 0


def test_the_others_round_is_that_without_it(
    build_process, functional_model, client_data
):
    """As in a cohort of the others: the same update, averages and time."""
    process = build_process(
        functional_model,
        sign_descent.SignDescent().bind(_D),
        seed=3,
        participation=learning.PartialParticipation(),
    )
    state, clients, _ = _start(process, len(client_data))
    with_it = process.next(state, clients, _poisoned(client_data, 1))
    others = [0, 2, 3, 4]
    without = process.next(
        state, [clients[i] for i in others], [client_data[i] for i in others]
    )
    np.testing.assert_array_equal(with_it.state.weights, without.state.weights)
    for name in ("training_loss", "loss_before", "loss_after", "loss_probe", "kappa"):
        assert with_it.metrics[name] == without.metrics[name], name


def test_if_nobodys_work_is_finite_nothing_changes(process, client_data):
    state, clients, _ = _start(process, len(client_data))
    data = client_data
    for client in range(len(client_data)):
        data = _poisoned(data, client)
    output = process.next(state, clients, data)
    assert output.metrics["non_finite"] == len(client_data)
    assert np.isnan(output.metrics["training_loss"])
    np.testing.assert_array_equal(output.state.weights, state.weights)
    again = process.next(output.state, output.clients, client_data)
    assert again.metrics["non_finite"] == 0
    assert np.isfinite(again.metrics["training_loss"])


def test_local_updates_that_are_not_finite_count_for_nothing(
    build_process, functional_model, client_data
):
    import tensorflow_federated as tff

    process = build_process(
        functional_model,
        fixed.FixedK(k=10).bind(_D),
        client_optimizer=tff.learning.optimizers.build_sgdm(0.1),
        local_steps=3,
    )
    state, clients, _ = _start(process, len(client_data))
    output = process.next(state, clients, _poisoned(client_data, 4))
    assert output.metrics["non_finite"] == 1
    assert np.isfinite(output.metrics["training_loss"])
    assert not np.any(output.clients[4].exchange.residual)
    assert np.isfinite(output.state.weights).all()


def test_transformations_come_between_work_and_residual(
    build_process, functional_model, client_data
):
    chain = [transformations.ClipByNorm(0.01), transformations.MomentumCorrection(0.5)]
    process = build_process(
        functional_model, fixed.FixedK(k=3).bind(_D), transformation=chain
    )
    state, clients, _ = _start(process, len(client_data))
    first = process.next(state, clients, client_data)
    for client in first.clients:
        _, velocity = client.exchange.transformation
        # What was selected of it is gone from both.
        np.testing.assert_array_equal(velocity, client.exchange.residual)
        assert 0 < np.linalg.norm(velocity) <= 0.01 * (1 + 1e-6)
    second = process.next(first.state, first.clients, client_data)
    for before, after in zip(first.clients, second.clients, strict=True):
        velocity = after.exchange.transformation[1]
        kept = velocity != 0
        added = after.exchange.residual - before.exchange.residual
        np.testing.assert_allclose(added[kept], velocity[kept], atol=1e-7)
