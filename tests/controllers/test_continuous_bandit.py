import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tff_gs.controllers import continuous_bandit

Bandit = continuous_bandit.ContinuousBandit
RULE = Bandit(k_min=2, k_max=1000, step=0.5, perturbation=0.1, margin=0.2).bind(1000)
STEP = tf.function(RULE.advance)


def f64(value):
    return tf.constant(value, tf.float64)


def test_by_hand():
    # [0, 100] is k in [100, 300]; x = 0 is k = 200, and y = 0.1 is k = 210.
    rule = Bandit(
        k_min=100, k_max=300, k_initial=200, step=0.5, perturbation=0.1, margin=0.2
    ).bind(1000)
    state = rule.initialize()._replace(direction=f64(1.0), k=tf.constant(210))
    assert float(state.center) == 0.0
    assert rule.decide(state) == (210, 209)
    # x = 0 - 0.5 * 0.6 * 1 = -0.3; u = -1: y = -0.4, k = 100 + 0.6 * 100 = 160.
    state = rule.advance(state, f64(0.6), f64([0.2, 0.5]))
    assert float(state.center) == pytest.approx(-0.3)
    assert rule.decide(state) == (160, 159)
    # A cost on the left drives right: -0.3 + 0.5 = 0.2; u = 1: 0.3, k = 230.
    state = rule.advance(state, f64(1.0), f64([0.5, 0.5]))
    assert float(state.center) == pytest.approx(0.2)
    assert rule.decide(state) == (230, 229)
    # An unknown cost moves nothing.
    state = rule.advance(state, f64(float("nan")), f64([0.7, 0.5]))
    assert rule.decide(state) == (230, 229)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_stays_in_range(seed):
    rng = np.random.default_rng(seed)
    state = RULE.initialize()
    for _ in range(30):
        state = STEP(state, f64(rng.random()), f64(rng.random(2)))
        assert 2 <= int(state.k) <= 1000
        assert abs(float(state.center)) <= 0.8
        assert abs(float(state.direction)) == 1
        # Rounding moves k by less than 1 from the point played.
        point = float(state.center) + 0.1 * float(state.direction)
        assert abs(int(state.k) - (2 + (point + 1) * 499)) < 1


def test_descends_to_the_cheapest_k(feedback):
    rule = Bandit(k_initial=900, step=0.05, perturbation=0.2, margin=0.2).bind(1000)
    update = tf.function(rule.update)
    state = rule.initialize()
    centers = []
    for m in range(400):
        # Progress is the same in every round, time grows with k.
        time = float(rule.decide(state).k) / 100
        state = update(state, feedback(round_time=time), tf.constant([5, m]))
        centers.append(float(state.center))
    assert np.mean(centers[:20]) > 0.2
    assert np.mean(centers[-100:]) < -0.5


def test_defaults_are_the_papers_constants():
    # n = 1000: delta = 12000^(-1/3) = 0.0437, alpha = (1.5 / sqrt(1000))^(1/3).
    state = Bandit(k_initial=1.0).bind(1000, seed=3).initialize()
    assert float(state.center) == pytest.approx(1 - 0.36202, abs=1e-4)


@pytest.mark.parametrize("after", [float("nan"), 0.9])
def test_no_news_keeps_the_center(feedback, after):
    # The first progress is the best so far, hence of cost 0.
    state = RULE.initialize()
    moved = RULE.update(state, feedback(after=after), tf.constant([1, 2]))
    assert float(moved.center) == float(state.center)
    assert RULE.sign(moved) == 0


def test_k_min_equals_k_max(feedback):
    rule = Bandit(k_min=7, k_max=7).bind(1000)
    state = rule.update(rule.initialize(), feedback(after=2.0), tf.constant([1, 2]))
    assert rule.decide(state) == (7, 6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k_min": 50, "k_max": 40}, "k_min to be at most k_max = 40, found 50"),
        ({"k_max": 1}, "k_max of at least 2 entries, to have a probe, found 1"),
        ({"k_min": 101}, "k_min .*found 101"),
        ({"k_min": 5, "k_initial": 2}, r"k_initial to be in \[5, 100\], found 2"),
        ({"horizon": 0}, "horizon"),
        ({"step": 0.0}, "step"),
        ({"margin": float("nan")}, "margin"),
        ({"margin": 0.1, "perturbation": 0.2}, "perturbation .*found 0.2"),
        ({"memory": 0.0}, "memory"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        Bandit(**{"k_min": 1} | options).bind(100)
