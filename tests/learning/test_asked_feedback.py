"""What a round measures only if the rule for k asks for it."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tff_gs import _growing
from tff_gs.controllers import _unaided, controller, waiting
from tff_gs.sparsifiers import random_k


class _State(NamedTuple):
    number: Any
    norm: Any
    share: Any
    coordinates: Any
    values: Any


class _Curious(controller.Controller):
    """Seven entries a round; keeps what it asked for."""

    probes = False

    def __init__(self, *asked):
        self._asked = frozenset(asked) | {"round"}

    @property
    def needs(self):
        return self._asked

    def initialize(self):
        unknown = tf.constant(math.nan, tf.float64)
        empty = map(_growing.empty, (tf.int32, tf.float32))
        return _State(tf.constant(0), unknown, unknown, *empty)

    def decide(self, state):
        return controller.Decision(tf.constant(7), tf.constant(0))

    def update(self, state, feedback, seed):
        return _State(
            feedback.round,
            feedback.residual_norm,
            feedback.energy_share,
            *feedback.update,
        )


@pytest.fixture(scope="module")
def rounds(build_process, functional_model, client_data):
    """Two rounds of a curious rule with one client, whose work is then known."""
    rule = _Curious("residual_norm", "energy_share", "update")
    process = build_process(functional_model, rule)
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, [0])
    outputs = []
    for _ in range(2):
        before = state
        output = process.next(state, clients, client_data[1:2])
        state, clients = output.state, output.clients
        outputs.append((before, output))
    return outputs


def test_the_update_comes_in_the_order_of_its_ranks(rounds):
    for before, output in rounds:
        seen = output.state.controller
        assert seen.number == output.metrics["round"]
        # Of one client, rank is magnitude.
        sizes = np.abs(seen.values)
        assert (sizes[:-1] >= sizes[1:]).all()
        assert len(set(seen.coordinates)) == 7
        step = np.zeros(48, np.float32)
        step[seen.coordinates] = 0.5 * seen.values
        np.testing.assert_allclose(
            output.state.weights, before.weights - step, rtol=1e-6
        )


def test_norm_and_share_are_of_what_the_client_sent_from(rounds):
    for _, output in rounds:
        seen = output.state.controller
        left = np.sum(np.square(output.clients[0].exchange.residual, dtype=np.float64))
        sent = np.sum(np.square(seen.values, dtype=np.float64))
        np.testing.assert_allclose(seen.norm, np.sqrt(left + sent), rtol=1e-6)
        np.testing.assert_allclose(seen.share, sent / (left + sent), rtol=1e-6)
        # Two numbers more in the client's report.
        assert output.metrics["report_bits"] == 32 * 5


def test_waiting_measures_nothing_at_the_clients(
    build_process, functional_model, client_data
):
    process = build_process(functional_model, waiting.Waiting(k_min=2))
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, [0, 1])
    # beta = 10, D = 48: 4 k of 10 / 96 take as long as 1 at k = 2.4.
    assert state.controller.k == 3
    known = np.zeros(48, np.int32)
    for number in (1, 2, 3):
        output = process.next(state, clients, client_data[:2])
        state, clients = output.state, output.clients
        assert output.metrics["k_probe"] == 0
        assert output.metrics["probe_downlink_elements"] == 0
        assert output.metrics["report_bits"] == 2 * 32 * 3
        changed = clients[0].exchange.weights != 0
        assert changed.any()
        last = state.controller.last_sent
        assert (last == number).sum() == output.metrics["downlink_elements"]
        np.testing.assert_array_equal(last[last != number], known[last != number])
        known = last
        assert output.metrics["update_elasticity"] == state.controller.elasticity
        assert output.metrics["mean_wait"] == state.controller.wait


def test_shared_coordinates_come_by_position(
    build_process, functional_model, client_data
):
    rule = _Curious("residual_norm", "energy_share", "update")
    process = build_process(functional_model, rule, sparsifier=random_k.RandomK())
    state = process.initialize()
    state, clients, _ = process.initialize_clients(state, [0])
    method = random_k.RandomK().bind(dimension=48, probes=False)
    shared = method.share(state.sparsifier, state.seed, tf.constant(1))
    state = process.next(state, clients, client_data[1:2]).state
    np.testing.assert_array_equal(
        state.controller.coordinates, method.coordinates(tf.range(7), shared)
    )


def test_aggregators_refuse_a_rule_that_asks():
    with pytest.raises(ValueError, match="found Waiting"):
        _unaided.build_rule(waiting.Waiting(), 10)
