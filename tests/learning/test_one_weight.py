"""A model of one weight: D is 1, and so is every k."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import learning
from tff_gs.controllers import registry
from tff_gs.costs import links
from tff_gs.encoders import encoder
from tff_gs.sparsifiers import registry as sparsifiers

_LINK_TIME = links.LinkTime(links=links.draw_links(2))

_RULES = {
    "elasticity": {},
    "sign": {},
    "sign_fixed_interval": {},
    "log_sign": {},
    "value": {},
    "bandit": {},
    "exp3": {"arms": (0.01, 0.1, 1.0)},
    "schedule": {"schedule": ((0, 1), (2, 1.0))},
}


def _model():
    """W x with the loss (w x - y)^2, where w begins at 0."""
    return tff.learning.models.FunctionalModel(
        initial_weights=((np.float32([0.0]),), ()),
        predict_on_batch_fn=tf.function(lambda weights, x, training: weights[0][0] * x),
        loss_fn=lambda output, y, sample_weight=None: tf.reduce_mean((output - y) ** 2),
        input_spec=(tf.TensorSpec([None], tf.float32),) * 2,
    )


# Every sparsifier, rule that learns, index code and kind of value code comes once.
@pytest.mark.parametrize(
    ("sparsifier", "rule", "index", "value", "options"),
    [
        ("fab_top_k", "elasticity", "rice", "float32", {}),
        ("fab_top_k", "bandit", "rice_per_tensor", "float16", {}),
        ("fub_top_k", "sign", "int32", "bfloat16", {}),
        ("unidirectional_top_k", "sign_fixed_interval", "bitmap", "quantised1", {}),
        ("gtop_k", "log_sign", "fixed", "quantised8", {"links": True}),
        ("periodic_k", "value", "auto", "ternary", {"momentum": 0.5}),
        ("random_k", "exp3", "auto", "quantised4", {"participation": True}),
        ("send_all", "schedule", "rice", "float32", {}),
    ],
)
def test_trains(sparsifier, rule, index, value, options):
    process = _build(sparsifier, rule, index, value, **options)
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, [0, 1])
    x = np.float32([1, 2])
    losses = []
    for _ in range(6):
        # The best w is 3.
        output = process.next(state, clients, [(x, 3 * x), (x[:1], 3 * x[:1])])
        state, clients = output.state, output.clients
        assert (output.metrics["k"], output.metrics["k_probe"]) == (1, 0)
        losses.append(float(output.metrics["training_loss"]))
    assert losses[-1] < 0.6 * losses[0]
    assert 0 < float(np.asarray(state.weights)[0]) < 6


def _build(
    sparsifier, rule, index, value, *, links=False, momentum=None, participation=False
):
    code = encoder.Encoder(index, value)
    given = {}
    if links:
        given["cost"] = _LINK_TIME
    if momentum:
        given["server_optimizer"] = tff.learning.optimizers.build_sgdm(0.05, momentum)
    if participation:
        given["participation"] = learning.PartialParticipation()
    return learning.build_sparsified_fed_sgd(
        _model(),
        learning_rate=0.05,
        batch_size=2,
        sparsifier=sparsifiers.SPARSIFIERS.build(sparsifier),
        controller=registry.CONTROLLERS.build(rule, _RULES[rule]),
        rounds=6,
        uplink_encoder=code,
        downlink_encoder=code,
        **given,
    )
