"""The steps of the sparsified mean, run eagerly, without TFF's runtime."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _flat_structure
from tff_gs.aggregators import sparse_mean
from tff_gs.controllers import fixed
from tff_gs.sparsifiers import fab_top_k

_D = 6


def _steps(encoder, *, dtype=np.float32, divides=True, k=2):
    flat = _flat_structure.FlatStructure.of_type(tff.TensorType(dtype, [_D]))
    return sparse_mean.SparseMean(
        flat,
        fab_top_k.FabTopK().bind(dimension=_D, probes=False),
        fixed.FixedK(k=k).bind(_D, seed=0),
        encoder.bind(dimension=_D, tensor_sizes=flat.tensor_sizes),
        seed=0,
        remembers=True,
        divides=divides,
    )


@pytest.fixture(scope="module")
def steps(exact_encoder):
    return _steps(exact_encoder)


def _collect(steps, instructions, updates, weights):
    collected = steps.no_messages()
    for update, weight in zip(updates, weights, strict=True):
        value = tf.constant(update, tf.float32)
        message = steps.upload(value, tf.constant(weight), instructions)
        collected = steps.collect(collected, message)
    return collected


def test_a_round_by_hand(steps):
    state = steps.initial_state()
    instructions = steps.instruct(state)
    assert instructions.k == 2
    updates = [[0, 8, 0, 4, 1, 0], [0, 4, 0, 0, 0, -8]]
    collected = _collect(steps, instructions, updates, [1.0, 3.0])
    # Coordinates 1, 3 of the first and 5, 1 of the second; all first ranks fit.
    totals = steps.read(collected, instructions.k)
    assert totals.weight == 4
    assert totals.tally.elements == 4
    assert float(totals.tally.dropped_energy) == pytest.approx(1 / 81)
    state, result, measured = steps.select(state, collected, instructions)
    assert result.numpy().tolist() == [0, 5, 0, 0, 0, -6]
    assert state.memory.numpy().tolist() == [0, 0, 0, 1, 0, 0]
    assert state.round == 1
    assert measured["selected"] == 2
    assert float(measured["dropped_energy"]) == pytest.approx(1 / 162)


def test_a_message_of_another_k_is_not_read(steps):
    instructions = steps.instruct(steps.initial_state())
    collected = _collect(steps, instructions, [np.ones(_D)], [1.0])
    totals = steps.read(collected, tf.constant(1))
    assert totals.tally.refused == 1
    assert totals.weight == 0


@pytest.mark.parametrize("weight", [3e38, 2e-38])
def test_a_mean_by_any_finite_weights_holds(steps, weight):
    """The products and sums are float64: 3e38 times 3e38 is no infinity there."""
    state = steps.initial_state()
    instructions = steps.instruct(state)
    updates = [[0, 3e38, 0, 0, 0, 0]] * 3
    collected = _collect(steps, instructions, updates, [weight] * 3)
    state, result, _ = steps.select(state, collected, instructions)
    assert result.numpy()[1] == pytest.approx(3e38)


@pytest.mark.parametrize(
    ("dtype", "divides", "update"),
    [(np.float32, False, 3e38), (np.float16, False, 6e4)],
)
def test_a_sum_beyond_its_floats_is_an_error(exact_encoder, dtype, divides, update):
    steps = _steps(exact_encoder, dtype=dtype, divides=divides, k=1)
    state = steps.initial_state()
    instructions = steps.instruct(state)
    updates = [[0, update, 0, 0, 0, 0]]
    once = _collect(steps, instructions, updates, [1.0])
    steps.select(state, once, instructions)
    twice = _collect(steps, instructions, 2 * updates, [1.0, 1.0])
    with pytest.raises(
        tf.errors.InvalidArgumentError,
        match=r"Expected updates whose sum the floats .* hold, found entries beyond",
    ):
        steps.select(state, twice, instructions)


def test_what_stays_may_be_beyond_its_floats_too(steps):
    state = steps.initial_state()._replace(memory=tf.constant([3e38] * _D))
    instructions = steps.instruct(state)
    collected = _collect(steps, instructions, [[3e38] * _D], [1.0])
    with pytest.raises(
        tf.errors.InvalidArgumentError, match="Expected updates whose sum"
    ):
        steps.select(state, collected, instructions)
