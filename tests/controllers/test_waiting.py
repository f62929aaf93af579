"""The rule that reads the update, by hand and against a transcription."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import controllers as oracles
from tff_gs import sparse_vector
from tff_gs.controllers import controller, waiting

_D = 200
_UNKNOWN = (tf.constant(math.nan, tf.float64),) * 6


def _feedback(number, coordinates, values, share):
    return controller.Feedback(
        *_UNKNOWN,
        round=number,
        time_elasticity=share,
        update=sparse_vector.SparseVector(coordinates, values),
    )


def _step(rule):
    """One round of the rule, traced once."""

    @tf.function(
        input_signature=[
            tf.nest.map_structure(
                lambda x: tf.TensorSpec(x.shape, x.dtype), rule.initialize()
            ),
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([], tf.float64),
            tf.TensorSpec([], tf.float64),
        ]
    )
    def step(state, number, coordinates, values, share, uniform):
        return rule.step(state, _feedback(number, coordinates, values, share), uniform)

    return step


@pytest.fixture(scope="module")
def usual():
    """The rule with its usual options, and a round of it."""
    rule = waiting.Waiting(k_min=2, k_initial=20).bind(_D)
    return rule, _step(rule)


def test_two_rounds_by_hand(usual):
    rule, step = usual
    state = rule.initialize()
    assert rule.decide(state) == (20, 0)
    assert not rule.sign_defined(state)
    # All waited 1 round: p = 16, 4, 4, 1; 25 and 20 of it. W = 1 (20 / 1).
    state = step(state, 1, [7, 3, 9, 1], [4.0, -2.0, 2.0, 1.0], 0.25, 0.5)
    elasticity = math.log(25 / 20) / math.log(2)
    assert float(state.elasticity) == pytest.approx(elasticity)
    assert state.wait == 20.0
    slope = 0.25 - elasticity * 400 / 464
    assert float(state.log_k) == pytest.approx(math.log(20) - slope)
    assert rule.sign(state) == -1
    assert rule.sign_defined(state)
    # Coordinates 5 and 6 waited 2 rounds, 3 one: p = 8, 9, 2. One of three is the half.
    before = state
    state = step(state, 2, [5, 3, 6], [4.0, 3.0, -2.0], 0.9, 0.5)
    elasticity = 0.8 * elasticity + 0.2 * 1.0  # log(19 / 8) / log(3) is 0.79
    elasticity += 0.2 * (math.log(19 / 8) / math.log(3) - 1.0)
    wait = 0.8 * 20 + 0.2 * (8 + 3 + 4) / 9 * 10
    assert float(state.elasticity) == pytest.approx(elasticity)
    assert float(state.wait) == pytest.approx(wait)
    slope = 0.9 - elasticity * wait**2 / (wait**2 + 64)
    assert float(state.log_k) == pytest.approx(before.log_k - slope / math.sqrt(2))
    assert state.k == math.floor(math.exp(state.log_k) + 0.5)
    assert rule.sign(state) == 1
    expected = np.zeros(_D, np.int32)
    expected[[7, 9, 1]], expected[[5, 3, 6]] = 1, 2
    np.testing.assert_array_equal(state.last_sent, expected)
    assert rule.metrics(state) == {
        "update_elasticity": state.elasticity,
        "mean_wait": state.wait,
    }


# TensorFlow takes subnormal numbers for zeros.
_ENTRIES = st.floats(-8, 8, width=32, allow_subnormal=False)
_ROUNDS = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.integers(0, _D - 1), _ENTRIES),
            unique_by=lambda entry: entry[0],
            max_size=9,
        ),
        st.floats(0, 1),
        st.floats(0, 1, exclude_max=True),
    ),
    min_size=1,
    max_size=40,
)


@settings(deadline=None, max_examples=40)
@given(rounds=_ROUNDS)
def test_equals_the_transcription(usual, rounds):
    rule, step = usual
    oracle = oracles.Waiting(2, _D, 20)
    state = rule.initialize()
    for number, (update, share, uniform) in enumerate(rounds, start=1):
        coordinates, values = zip(*update, strict=True) if update else ((), ())
        state = step(
            state,
            number,
            tf.constant(coordinates, tf.int32),
            tf.constant(values, tf.float32),
            share,
            uniform,
        )
        oracle.update(update, share, uniform)
        np.testing.assert_allclose(state.log_k, oracle.x, rtol=1e-9, atol=1e-9)
        # Elsewhere the last digits decide.
        if abs(math.exp(oracle.x) % 1 - uniform) > 1e-6:
            assert state.k == oracle.k
        assert 2 <= state.k <= _D


def test_an_update_of_zeros_or_one_entry_says_nothing(usual):
    rule, step = usual
    state = rule.initialize()
    for update in (([], []), ([3], [1.0]), ([3, 4], [0.0, 0.0])):
        state = step(state, 1, *map(np.array, update, (np.int32, np.float32)), 0.5, 0.5)
        assert state.k == 20
        assert not rule.sign_defined(state)
        assert rule.sign(state) == 0


@pytest.mark.parametrize(
    ("balanced", "first"), [(3, 3), (1, 2), (50, 20), (200, 20), (None, 20)]
)
def test_begins_where_communication_takes_as_long_as_computing(balanced, first):
    given = None if balanced is None else lambda: balanced
    # sqrt(2 * 200) = 20.
    rule = waiting.Waiting(k_min=2).bind(_D, balanced_k=given)
    assert rule.decide(rule.initialize()).k == first


def test_a_given_first_k_asks_for_no_balance():
    def unasked():
        raise AssertionError

    rule = waiting.Waiting(k_min=2, k_initial=9).bind(_D, balanced_k=unasked)
    assert rule.decide(rule.initialize()).k == 9


def test_one_k_needs_nothing():
    rule = waiting.Waiting(k_min=4, k_max=4).bind(9)
    assert rule.needs == frozenset()
    state = rule.initialize()
    unknown = controller.Feedback(*_UNKNOWN)
    assert rule.decide(rule.update(state, unknown, tf.constant([1, 2]))).k == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"wait_scale": 0.0}, "wait_scale to be positive, found 0.0"),
        ({"memory": 1.0}, r"memory to be in \[0, 1\), found 1.0"),
        ({"gain": -0.1}, "gain to be at least 0, found -0.1"),
        ({"early": -1}, "early to be at least 0, found -1"),
    ],
)
def test_options_are_checked(options, words):
    with pytest.raises(ValueError, match=words):
        waiting.Waiting(**options)
