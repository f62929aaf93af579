"""Local updates and the server's optimizers, against TFF's own algorithms."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tests.oracles import crossings
from tff_gs.sparsifiers import send_all

_D = 48
_STEPS = 3


@pytest.fixture(scope="session")
def small_data(client_data):
    """At most four examples each, so that every minibatch is all of them."""
    return [(x[:4], y[:4]) for x, y in client_data]


@pytest.fixture(scope="session")
def fed_avg(build_process, functional_model, scripted_controller):
    """FedAvg: everything is sent."""
    return build_process(
        functional_model,
        scripted_controller(k=_D, k_probe=0, probes=False),
        sparsifier=send_all.SendAll(),
        client_optimizer=tff.learning.optimizers.build_sgdm(0.3),
        local_steps=_STEPS,
    )


def _rounds(process, data, rounds):
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, list(range(len(data))))
    outputs = []
    for _ in range(rounds):
        output = process.next(state, clients, data)
        state, clients = output.state, output.clients
        outputs.append(output)
    return outputs


def _with_flat_weights(model):
    """The same model; TFF's algorithms take weights in one tuple only."""
    (first, (bias, second)), _ = model.initial_weights

    def predict(weights, x, training=True):
        (first, bias, second), _ = weights
        return model.predict_on_batch(((first, [bias, second]), ()), x, training)

    return tff.learning.models.FunctionalModel(
        initial_weights=((first, bias, second), ()),
        predict_on_batch_fn=tf.function(predict),
        loss_fn=model.loss,
        input_spec=model.input_spec,
    )


def test_sending_everything_is_tffs_federated_averaging(
    fed_avg, functional_model, small_data
):
    theirs = tff.learning.algorithms.build_weighted_fed_avg(
        _with_flat_weights(functional_model),
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(0.3),
        server_optimizer_fn=tff.learning.optimizers.build_sgdm(1.0),
    )
    state = theirs.initialize()
    datasets = [
        tf.data.Dataset.from_tensor_slices(data).batch(4).repeat(_STEPS)
        for data in small_data
    ]
    for output in _rounds(fed_avg, small_data, 2):
        state = theirs.next(state, datasets).state
        trainable = theirs.get_model_weights(state).trainable
        expected = np.concatenate([np.ravel(t) for t in tf.nest.flatten(trainable)])
        np.testing.assert_allclose(output.state.weights, expected, atol=2e-6)


def _averaged_by_hand(process, state, clients, data, drawn, taken):
    """The weights after a round of FedAvg, client i on `taken[i]` minibatches of 4."""
    from tff_gs.learning import local_work

    changes = []
    for client, (x, y), first, steps in zip(clients, data, drawn, taken, strict=True):
        weights = tf.constant(state.weights)
        for number in range(first, first + steps):
            chosen = local_work.minibatch_indices(
                tf.constant(client.exchange.seed), tf.constant(number), len(y), 4
            ).numpy()
            _, gradient = process.objective.loss_and_gradient(
                weights, (), (tf.constant(x[chosen]), tf.constant(y[chosen]))
            )
            weights -= 0.3 * gradient
        changes.append(state.weights - weights.numpy())
    mean = np.average(changes, axis=0, weights=[len(y) for _, y in data])
    return state.weights - mean


def test_local_updates_of_other_minibatches_in_every_step(fed_avg, client_data):
    """With more examples than fit, the steps go through the passes in order."""
    (output,) = _rounds(fed_avg, client_data, 1)
    # A round of tau steps costs tau, and D numbers up and down beta.
    assert output.metrics["round_time"] == _STEPS + 10
    state = fed_avg.initialize()
    state, clients, _ = fed_avg.initialize_clients(state, list(range(len(client_data))))
    number = len(client_data)
    expected = _averaged_by_hand(
        fed_avg, state, clients, client_data, [0] * number, [_STEPS] * number
    )
    np.testing.assert_allclose(output.state.weights, expected, atol=2e-6)


def test_epochs_take_the_steps_that_a_clients_examples_need(
    build_process, functional_model, scripted_controller, client_data
):
    process = build_process(
        functional_model,
        scripted_controller(k=_D, k_probe=0, probes=False),
        sparsifier=send_all.SendAll(),
        client_optimizer=tff.learning.optimizers.build_sgdm(0.3),
        local_epochs=2,
    )
    # Minibatches of 4, or of all examples where these are fewer.
    sizes = [len(y) for _, y in client_data]
    taken = [math.ceil(2 * size / min(4, size)) for size in sizes]
    assert len(set(taken)) > 1
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, list(range(len(client_data))))
    drawn = [0] * len(taken)
    for output in _rounds(process, client_data, 2):
        expected = _averaged_by_hand(process, state, clients, client_data, drawn, taken)
        np.testing.assert_allclose(output.state.weights, expected, atol=5e-6)
        # The round lasts as long as the client that computes most.
        assert output.metrics["local_steps"] == max(taken)
        assert output.metrics["round_time"] == max(taken) + 10
        state, clients, drawn = output.state, output.clients, taken


def test_a_server_learning_rate_is_that_of_plain_sgd_to_the_bit(
    build_process, functional_model, scripted_controller, small_data
):
    def weights(**server):
        process = build_process(
            functional_model,
            scripted_controller(k=9, k_probe=4),
            client_optimizer=tff.learning.optimizers.build_sgdm(0.3),
            local_steps=_STEPS,
            probe_examples=4,
            **server,
        )
        outputs = _rounds(process, small_data, 2)
        losses = [output.metrics["loss_probe"] for output in outputs]
        return outputs[-1].state.weights, losses

    ours, our_losses = weights(server_learning_rate=0.7)
    dense = tff.learning.optimizers.build_sgdm(0.7)
    theirs, their_losses = weights(server_optimizer=dense)
    np.testing.assert_array_equal(ours, theirs)
    assert our_losses == their_losses
    assert np.any(ours != weights()[0])


@pytest.mark.parametrize(
    "optimizer",
    [
        functools.partial(tff.learning.optimizers.build_sgdm, 0.1, momentum=0.9),
        functools.partial(tff.learning.optimizers.build_adam, 0.05),
    ],
    ids=["momentum", "adam"],
)
def test_server_optimizers_move_all_replicas_alike_over_sparse_messages(
    build_process, functional_model, scripted_controller, small_data, optimizer
):
    process = build_process(
        functional_model,
        scripted_controller(k=9, k_probe=4),
        server_optimizer=optimizer(),
        probe_examples=4,
    )
    crossings.assert_sparse(crossings.crossings(process.next).broadcast, _D)
    outputs = _rounds(process, small_data, 3)
    reference = optimizer()
    before = process.initialize()
    weights = tf.constant(before.weights)
    state = reference.initialize(tf.TensorSpec([_D], tf.float32))
    residuals = np.zeros((len(small_data), _D), np.float32)
    for output in outputs:
        gradients = [
            process.objective.loss_and_gradient(weights, (), batch)[1].numpy()
            for batch in small_data
        ]
        # What left the residuals is what the clients were heard with.
        grown = residuals + gradients
        residuals = np.stack([c.exchange.residual for c in output.clients])
        heard = np.where(residuals == 0, grown, 0)
        mean = np.average(heard, axis=0, weights=[len(y) for _, y in small_data])
        state, weights = reference.next(
            state, weights, tf.constant(mean.astype(np.float32))
        )
        np.testing.assert_allclose(output.state.weights, weights, atol=1e-5)
        for client in output.clients:
            np.testing.assert_array_equal(client.exchange.weights, output.state.weights)
            tf.nest.map_structure(
                np.testing.assert_array_equal,
                client.exchange.optimizer,
                output.state.optimizer,
            )
        weights = tf.constant(output.state.weights)
    last = outputs[-1]
    assert np.isfinite(last.metrics["loss_probe"])
    # With Adam and momentum weights move beyond what was sent.
    moved = np.count_nonzero(outputs[1].state.weights != outputs[0].state.weights)
    assert moved > outputs[1].metrics["downlink_elements"]


def test_the_probe_of_an_optimizer_is_the_round_at_the_other_k(
    build_process, functional_model, scripted_controller, small_data
):
    process = build_process(
        functional_model,
        scripted_controller(k=12, k_probe=5),
        server_optimizer=tff.learning.optimizers.build_adam(0.05),
        probe_examples=4,
    )
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, list(range(len(small_data))))
    output = process.next(state, clients, small_data)
    at_probe = state.controller._replace(k=np.int32(5), k_probe=np.int32(0))
    other = process.next(state._replace(controller=at_probe), clients, small_data)
    losses = [
        float(process.objective.loss(tf.constant(other.state.weights), (), batch))
        for batch in small_data
    ]
    expected = np.average(losses, weights=[len(y) for _, y in small_data])
    np.testing.assert_allclose(output.metrics["loss_probe"], expected, rtol=1e-5)
    assert output.metrics["loss_probe"] != output.metrics["loss_after"]


def test_bad_arguments_are_one_sentence(
    build_process, functional_model, scripted_controller
):
    rule = scripted_controller(k=12, k_probe=5)
    with pytest.raises(ValueError, match="at least 1 local step, found 0"):
        build_process(
            functional_model,
            rule,
            client_optimizer=tff.learning.optimizers.build_sgdm(0.1),
            local_steps=0,
        )
    with pytest.raises(ValueError, match="at least 1 local epoch, found 0"):
        build_process(
            functional_model,
            rule,
            client_optimizer=tff.learning.optimizers.build_sgdm(0.1),
            local_epochs=0,
        )
    for tau in ({}, {"local_steps": 2, "local_epochs": 2}):
        with pytest.raises(ValueError, match="either local steps or local epochs"):
            build_process(
                functional_model,
                rule,
                client_optimizer=tff.learning.optimizers.build_sgdm(0.1),
                **tau,
            )
    with pytest.raises(TypeError, match="Optimizer, found str"):
        build_process(functional_model, rule, server_optimizer="adam")
