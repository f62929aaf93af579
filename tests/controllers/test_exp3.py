import numpy as np
import pytest
import tensorflow as tf

from tests.oracles import controllers as oracles
from tests.shared_data import shared_data
from tff_gs.controllers import exp3


def play(rule, state, rewards, uniforms):
    """The arms played and the probabilities before each, then those after."""
    step = tf.function(rule.step)
    arms, probabilities = [], [rule.probabilities(state.log_weights)]
    for reward, uniform in zip(rewards, uniforms, strict=True):
        arms.append(int(state.arm))
        state = step(
            state, tf.constant(reward, tf.float64), tf.constant(uniform, tf.float64)
        )
        probabilities.append(rule.probabilities(state.log_weights))
    return arms, np.stack(probabilities)


def test_equals_authors_run():
    with np.load(shared_data("golden/controllers.npz")) as file:
        data = {key: file[f"exp3_{key}"] for key in ("choice", "reward", "uniforms")}
        gamma, final = file["exp3_gamma"][0], file["exp3_final_prob"]
    rule = exp3.Exp3(arms=range(2, 52), horizon=300).bind(1000)
    first = int(50 * data["uniforms"][0])  # all arms are equally likely
    state = rule.initialize()._replace(arm=tf.constant(first, tf.int32))
    arms, found = play(rule, state, data["reward"], data["uniforms"][1:])
    # The authors count arms from 1.
    np.testing.assert_array_equal(np.add(arms, 1), data["choice"])
    np.testing.assert_allclose(found[-1], final, rtol=1e-12)
    expected = list(oracles.exp3(50, gamma, data["choice"] - 1, data["reward"]))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("gamma", [0.05, 0.5, 1.0])
def test_equals_oracle(gamma):
    rng = np.random.default_rng(5)
    rule = exp3.Exp3(arms=[10, 20, 400], gamma=gamma).bind(1000)
    rewards, uniforms = rng.random([2, 200])
    arms, found = play(rule, rule.initialize(), rewards, uniforms)
    expected = list(oracles.exp3(3, gamma, arms, rewards))
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-12)
    assert set(arms) == {0, 1, 2}


def test_by_hand():
    # Two arms, gamma 0.5: p = 1/2 each; reward 1: w = exp(0.5 / (2 / 2)) = e^0.5.
    rule = exp3.Exp3(arms=[10, 0.5], gamma=0.5).bind(100)
    state = rule.initialize()._replace(arm=tf.constant(1))
    assert rule.decide(state) == (50, 49)
    state = rule.step(
        state, tf.constant(1.0, tf.float64), tf.constant(0.43, tf.float64)
    )
    share = np.exp(0.5) / (1 + np.exp(0.5))  # 0.6225: p = 0.4388, 0.5612
    expected = [0.5 * (1 - share) + 0.25, 0.5 * share + 0.25]
    np.testing.assert_allclose(rule.probabilities(state.log_weights), expected)
    assert rule.decide(state) == (10, 9)


def test_update_rewards_progress_per_time(feedback):
    rule = exp3.Exp3(arms=[10, 50], gamma=0.5, memory=0.5).bind(100)
    state = rule.initialize()._replace(arm=tf.constant(0))
    seed = tf.constant([1, 2])
    # The first progress is the best so far: 0.4 / 2.
    state = rule.update(state, feedback(round_time=2.0, after=0.6), seed)
    assert float(state.best) == pytest.approx(0.2)
    gain = state.log_weights[0] - state.log_weights[1]
    assert float(gain) == pytest.approx(0.5)
    # Then 0.2 / 4 = 0.05, against 0.5 * 0.2: reward 0.5.
    state = state._replace(arm=tf.constant(1), log_weights=0.0 * state.log_weights)
    state = rule.update(state, feedback(round_time=4.0, after=0.8), seed)
    assert float(state.best) == pytest.approx(0.1)
    gain = state.log_weights[1] - state.log_weights[0]
    assert float(gain) == pytest.approx(0.25)


@pytest.mark.parametrize("after", [1.5, float("nan")])
def test_update_without_progress_keeps_weights(feedback, after):
    rule = exp3.Exp3(arms=[10, 50], gamma=0.5).bind(100)
    state = rule.update(rule.initialize(), feedback(after=after), tf.constant([1, 2]))
    assert state.log_weights.numpy().tolist() == [0, 0]
    assert rule.sign(state) == 0
    assert not rule.sign_defined(state)


def test_finds_the_best_arm(feedback):
    rule = exp3.Exp3(arms=[10, 50, 90], gamma=0.2).bind(100)
    update = tf.function(rule.update)
    state = rule.initialize()
    times = {10: 8.0, 50: 1.0, 90: 4.0}
    for m in range(300):
        time = times[int(rule.decide(state).k)]
        state = update(state, feedback(round_time=time), tf.constant([3, m]))
    probabilities = rule.probabilities(state.log_weights).numpy()
    assert probabilities[1] > 0.8
    assert np.isfinite(state.log_weights).all()


def test_seed_fixes_the_first_arm():
    def arms(seeds):
        rules = [exp3.Exp3(arms=range(2, 100)).bind(100, seed=seed) for seed in seeds]
        return [int(rule.initialize().arm) for rule in rules]

    assert arms(range(5)) == arms(range(5))
    assert len(set(arms(range(5)))) > 1


def test_one_arm(feedback):
    rule = exp3.Exp3(arms=[10]).bind(100)
    state = rule.update(rule.initialize(), feedback(), tf.constant([1, 2]))
    assert rule.decide(state) == (10, 9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arms": []}, r"a grid of at least one arm, found \[\]"),
        ({"arms": [10, 5]}, r"ascending arms without duplicates, found \[10, 5\]"),
        ({"arms": [10, 0.1]}, r"ascending arms .*found \[10, 10\]"),
        ({"arms": [1, 5]}, "at least 2 entries.*found 1"),
        ({"arms": [5, 101]}, "an arm .*found 101"),
        ({"arms": [5, float("nan")]}, "an arm .*found nan"),
        ({"arms": [5], "gamma": 0.0}, "gamma"),
        ({"arms": [5], "gamma": float("nan")}, "gamma"),
        ({"arms": [5], "horizon": 0}, "horizon"),
        ({"arms": [5], "memory": 1.1}, "memory"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        exp3.Exp3(**options).bind(100)
