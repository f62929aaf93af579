import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tests.oracles import crossings
from tff_gs.controllers import sign_descent
from tff_gs.learning import objective

_D = 48


@pytest.fixture(scope="session")
def scripted(build_process, functional_model, scripted_controller):
    """A process that probes k' = 5 beside k = 12, on all of a client's minibatch."""
    return build_process(
        functional_model,
        scripted_controller(k=12, k_probe=5),
        batch_size=4,
        probe_examples=4,
    )


@pytest.fixture(scope="session")
def build_adaptive(build_process, functional_model):
    def build(seed):
        return build_process(
            functional_model, sign_descent.SignDescent().bind(_D), seed=seed
        )

    return build


@pytest.fixture(scope="session")
def adaptive(build_adaptive):
    return build_adaptive(11)


def _start(process, clients):
    state = process.initialize()
    return process.initialize_clients(state, list(range(clients)))[:2]


def _run(process, data, rounds):
    state, clients = _start(process, len(data))
    metrics = []
    for _ in range(rounds):
        output = process.next(state, clients, data)
        state, clients = output.state, output.clients
        metrics.append(output.metrics)
    return state, clients, metrics


def test_type_signatures(adaptive):
    state_type = adaptive.initialize.type_signature.result
    assert state_type.placement is tff.SERVER
    assert state_type.member.weights == tff.TensorType(np.float32, [_D])
    parameter = adaptive.next.type_signature.parameter
    result = adaptive.next.type_signature.result
    assert parameter.state == result.state == state_type
    assert parameter.clients == result.clients
    assert result.clients.placement is tff.CLIENTS
    metrics = result.metrics.member
    for name in ("round", "k", "k_probe", "kappa", "sign", "clients"):
        assert metrics[name] == tff.TensorType(np.int32), name
    for name in ("time", "round_time", "probe_time", "training_loss", "loss_probe"):
        assert metrics[name] == tff.TensorType(np.float64), name


def test_next_moves_no_dense_vector_and_aggregates_twice(adaptive):
    found = crossings.crossings(adaptive.next)
    crossings.assert_sparse(found.broadcast, _D)
    crossings.assert_sparse(found.aggregated, _D)
    # The exchange and the probe, one each.
    assert len(found.aggregated) == 2


def test_only_initialize_clients_sends_the_model(adaptive):
    found = crossings.crossings(adaptive.initialize_clients)
    assert found.aggregated == [tff.TensorType(np.int32)]
    dense = [
        leaf
        for member in found.broadcast
        for leaf in crossings.tensors(member)
        if _D in tuple(leaf.shape)
    ]
    assert dense == [tff.TensorType(np.float32, [_D])]


def test_the_dense_download_is_priced(adaptive):
    state = adaptive.initialize()
    _, _, bits = adaptive.initialize_clients(state, [0, 1])
    assert bits == 32 * (_D + 2)


def _loss(process, weights, batch):
    return float(process.objective.loss(tf.constant(weights), (), batch))


def test_probe_losses_are_those_of_a_round_at_the_other_k(scripted, client_data):
    # At most four examples each: the minibatch is all that a client has.
    data = [(x[:4], y[:4]) for x, y in client_data]
    sizes = [len(y) for _, y in data]
    state, clients = _start(scripted, len(data))
    for _ in range(3):
        output = scripted.next(state, clients, data)
        other = scripted.next(
            state._replace(
                controller=state.controller._replace(k=np.int32(5), k_probe=np.int32(0))
            ),
            clients,
            data,
        )

        def mean_loss(weights):
            losses = [_loss(scripted, weights, batch) for batch in data]
            return np.average(losses, weights=sizes)

        metrics = output.metrics
        np.testing.assert_allclose(
            [metrics["loss_before"], metrics["loss_after"], metrics["loss_probe"]],
            [mean_loss(s.weights) for s in (state, output.state, other.state)],
            rtol=1e-5,
        )
        assert metrics["loss_after"] != metrics["loss_probe"]
        np.testing.assert_allclose(
            metrics["training_loss"], mean_loss(state.weights), rtol=1e-5
        )
        for name in ("loss_before", "loss_after", "loss_probe", "probe_time"):
            assert np.isnan(other.metrics[name]), name
        # theta(k') is the time that the other round took, but for its own probe.
        np.testing.assert_allclose(
            metrics["probe_time"], other.metrics["round_time"] + 4 / 4, rtol=1e-12
        )
        state, clients = output.state, output.clients
    np.testing.assert_array_equal(
        [state.controller.feedback.round_time, state.controller.feedback.loss_after],
        [metrics["round_time"], metrics["loss_after"]],
    )


def test_a_round_is_one_step_of_the_definition(scripted, client_data):
    """With k = D, the exchange is plain federated SGD."""
    data = [(x[:4], y[:4]) for x, y in client_data]
    state, clients = _start(scripted, len(data))
    dense = state.controller._replace(k=np.int32(_D), k_probe=np.int32(0))
    output = scripted.next(state._replace(controller=dense), clients, data)
    gradients = [
        scripted.objective.loss_and_gradient(tf.constant(state.weights), (), batch)[1]
        for batch in data
    ]
    mean = np.average(gradients, axis=0, weights=[len(y) for _, y in data])
    np.testing.assert_allclose(
        output.state.weights, state.weights - 0.5 * mean, atol=1e-6
    )


def test_metrics_agree_with_each_other_and_with_the_time_by_hand(adaptive, client_data):
    state, clients, history = _run(adaptive, client_data, 12)
    elapsed = 0.0
    for number, metrics in enumerate(history):
        k, selected = metrics["k"], metrics["downlink_elements"]
        assert metrics["round"] == number + 1
        assert 0 <= metrics["k_probe"] < k <= _D
        assert metrics["uplink_elements"] == k * len(client_data)
        assert k >= selected
        probed = metrics["k_probe"] > 0
        # One example of four is probed; beta = 10; an entry is two numbers.
        round_time = 1 + 0.25 * probed + 10 / (2 * _D) * (2 * k + 2 * selected)
        np.testing.assert_allclose(metrics["round_time"], round_time, rtol=1e-12)
        elapsed += round_time
        np.testing.assert_allclose(metrics["time"], elapsed, rtol=1e-12)
        contributed = metrics["contributed"]
        assert metrics["contributed_min"] == contributed.min()
        assert metrics["contributed_median"] == np.median(contributed)
        assert metrics["contributed_max"] == contributed.max()
        np.testing.assert_allclose(metrics["overlap"], contributed.sum() / selected)
        np.testing.assert_array_equal(metrics["client_ids"], range(len(client_data)))
        assert metrics["clients"] == metrics["refused"][0] == len(client_data)
        assert metrics["uplink_bits_max"] * len(client_data) >= metrics["uplink_bits"]
        assert np.isfinite(metrics["training_loss"])
        assert metrics["sign"] in (-1, 0, 1)
    assert len({int(metrics["k"]) for metrics in history}) > 1
    for client in clients:
        np.testing.assert_array_equal(client.exchange.weights, state.weights)


def test_it_learns(adaptive, client_data):
    _, _, history = _run(adaptive, client_data, 25)
    losses = [metrics["training_loss"] for metrics in history]
    assert np.mean(losses[-5:]) < 0.7 * np.mean(losses[:5])


def _flat(metrics):
    return np.concatenate([np.ravel(np.asarray(v, float)) for v in metrics.values()])


def test_one_seed_gives_one_run_and_another_another(
    adaptive, build_adaptive, client_data
):
    state, _, first = _run(adaptive, client_data, 4)
    again_state, _, again = _run(adaptive, client_data, 4)
    other_state, _, other = _run(build_adaptive(12), client_data, 2)
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(_flat(one), _flat(two))
    np.testing.assert_array_equal(state.weights, again_state.weights)
    assert any(
        one["training_loss"] != two["training_loss"]
        for one, two in zip(first[:2], other, strict=True)
    )
    assert np.any(state.weights != other_state.weights)


def test_a_variable_model_trains(
    build_process, variable_model, scripted_controller, client_data
):
    # Minibatches of all that a client has, so that the loss falls steadily.
    process = build_process(
        variable_model,
        scripted_controller(k=20, k_probe=10),
        batch_size=20,
        learning_rate=0.1,
    )
    data = [client_data[1], client_data[4]]
    state, clients, history = _run(process, data, 5)
    assert history[-1]["training_loss"] < history[0]["training_loss"]
    assert np.isfinite(history[-1]["loss_probe"])
    for client in clients:
        np.testing.assert_array_equal(client.exchange.weights, state.weights)
    model = process.get_model_weights(state)
    shapes = [v.shape for v in variable_model().trainable_variables]
    assert [v.shape for v in model.trainable] == shapes
    assert len(model.non_trainable) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate to be positive, found 0.0"),
        ({"learning_rate": float("nan")}, "learning_rate to be positive, found nan"),
        ({"batch_size": 0, "probe_examples": 0}, "(batch_size|positive)"),
        ({"probe_examples": 5}, "between 1 and the batch size 4, found 5"),
    ],
)
def test_bad_arguments_are_one_sentence(
    build_process, functional_model, scripted_controller, options, message
):
    with pytest.raises(ValueError, match=message) as error:
        build_process(functional_model, scripted_controller(k=12, k_probe=5), **options)
    assert "\n" not in str(error.value)


def test_objective_is_that_of_the_model(adaptive, functional_model):
    expected = objective.build_objective(functional_model)
    assert adaptive.objective.dimension == expected.dimension == _D
