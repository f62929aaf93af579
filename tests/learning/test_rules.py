"""Rules for k that a process refuses, before a round or in it."""

import numpy as np
import pytest

from tff_gs import learning
from tff_gs.controllers import controller, elasticity_descent


class _Rule(controller.Controller):
    """K by the loss of the round before, which is never measured."""

    probes = False

    def __init__(self, *, needs=None):
        self._wanted = needs

    @property
    def needs(self):
        return super().needs if self._wanted is None else self._wanted

    def initialize(self):
        import tensorflow as tf

        return tf.constant(3.0, tf.float64)

    def decide(self, state):
        import tensorflow as tf

        return controller.Decision(tf.cast(state, tf.int32), tf.constant(0))

    def update(self, state, feedback, seed):
        return state + feedback.loss_after


def test_a_rule_whose_feedback_is_not_measured_is_refused_at_build(functional_model):
    needs = frozenset({"loss_after"})
    with pytest.raises(ValueError, match=r"found _Rule, which needs loss_after\.$"):
        learning.build_sparsified_fed_sgd(
            functional_model, controller=_Rule(needs=needs)
        )


def test_a_rule_that_returns_nonsense_ends_the_run(functional_model, client_data):
    process = learning.build_sparsified_fed_sgd(functional_model, controller=_Rule())
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, [0, 1])
    output = process.next(state, clients, client_data[:2])
    assert output.metrics["k"] == 3
    assert np.isnan(output.state.controller)
    with pytest.raises(Exception, match="the rule for k to return 1 <= k <= D = 48"):
        process.next(output.state, output.clients, client_data[:2])


def test_a_sign_of_zero_is_not_an_undefined_one(functional_model, client_data):
    process = learning.build_sparsified_fed_sgd(
        functional_model, controller=elasticity_descent.ElasticityDescent()
    )
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, [0, 1])
    for _ in range(3):
        output = process.next(state, clients, client_data[:2])
        state, clients = output.state, output.clients
        metrics = output.metrics
        # Here a slope is known where k or k' lowered the loss.
        lower = min(metrics["loss_after"], metrics["loss_probe"])
        assert metrics["sign_defined"] == (lower < metrics["loss_before"])
        assert metrics["sign_defined"].dtype == np.int32
