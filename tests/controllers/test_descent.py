import functools
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracles import controllers as oracles
from tests.shared_data import shared_data
from tff_gs.controllers import (
    _losses,
    controller,
    elasticity_descent,
    interval,
    log_sign_descent,
    sign_descent,
    value_descent,
)

NAN = float("nan")


def feedback_of(cost, cost_probe):
    """The feedback of a round with tau and tau': both k and k' make all progress."""
    zero = tf.zeros_like(cost)
    return controller.Feedback(cost, cost_probe, zero + 1.0, zero, zero, zero)


def drive(rule, state, costs, costs_probe, uniforms):
    """(k, k', k_min, k_max) after each step, as int64 [steps, 4]."""

    @tf.function
    def run(state, costs, costs_probe, uniforms):
        def step(state, inputs):
            cost, cost_probe, pair = inputs
            return rule.step(state, feedback_of(cost, cost_probe), pair)

        states = tf.scan(step, (costs, costs_probe, uniforms), initializer=state)
        bounds = states.interval
        return tf.stack([states.k, states.k_probe, bounds.k_min, bounds.k_max], axis=1)

    inputs = [tf.constant(x, tf.float64) for x in (costs, costs_probe, uniforms)]
    return run(state, *inputs).numpy()


def golden(case, name):
    """Of one case: init, costs, costs of the probe, uniforms, trajectory."""
    with np.load(shared_data("golden/controllers.npz")) as file:

        def read(key):
            return file[f"c{case}_{name}_{key}"]

        cost_probe = read("cost_probe")
        uniforms = np.nan_to_num(read("uniforms"))
        # The file lists uniforms in the order drawn: where k stays, only k' draws.
        stays = np.isnan(cost_probe)
        uniforms[stays] = uniforms[stays][:, ::-1]
        keys = ("k", "k_probe", "k_min", "k_max")
        trajectory = np.stack([read(key) for key in keys], axis=1)
        return read("init"), read("cost"), cost_probe, uniforms, trajectory


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize(
    ("name", "rule_class"),
    [("sign", sign_descent.SignDescent), ("value", value_descent.ValueDescent)],
)
def test_equals_authors_trajectories(name, rule_class, case):
    init, costs, costs_probe, uniforms, expected = golden(case, name)
    k_min, k_max, k, k_probe = (int(n) for n in init)
    rule = rule_class(k_min=k_min, k_max=k_max, k_initial=k).bind(k_max)
    state = rule.initialize()
    assert (int(state.k), int(state.k_probe)) == (k, k_probe)
    found = drive(rule, state, costs, costs_probe, uniforms)
    assert len(expected) == 400
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("case", range(4))
@pytest.mark.parametrize("name", ["sign", "value"])
def test_oracle_equals_authors_trajectories(name, case):
    init, costs, costs_probe, uniforms, expected = golden(case, name)
    found = oracles.descend(
        oracles.Additive(by_value=name == "value"),
        *init,
        zip(costs, costs_probe, *uniforms.T, strict=True),
        alpha=1.5 if name == "sign" else None,
    )
    np.testing.assert_array_equal(list(found), expected)


def test_first_steps_by_hand():
    # B = 98: delta_1 = 98 / sqrt(2) = 69.296, delta_2 = 49, delta_3 = 40.008.
    rule = sign_descent.FixedIntervalSignDescent(k_min=2, k_max=100, k_initial=90).bind(
        100
    )
    state = rule.initialize()
    assert rule.decide(state) == (90, 81)
    found = drive(
        rule,
        state,
        [5.0, 1.0, 1.0],
        [4.0, 2.0, NAN],
        [[0.7, 0.9], [0.5, 0.5], [0.5, 0.9]],
    )
    # 90 - 69.296 = 20.704, u = 0.7: 21; 21 - 34.6 is below ceil(0.1 * 2) = 1.
    # 21 + 49 = 70, k' = 70 - 24.5 = 45.5, u = 0.5 is not below 0.5: 45.
    # Undefined: 70 stays, k' = 70 - 20.004 = 49.996, u = 0.9: 50.
    np.testing.assert_array_equal(found[:, :2], [[21, 1], [70, 45], [70, 50]])


def test_log_rule_first_steps_by_hand():
    # log(1000 / 10) = 4.605; delta_1 = 1.1513 (a factor 3.162), delta_2 = 0.8141.
    rule = log_sign_descent.LogSignDescent(k_min=10, k_max=1000, k_initial=100).bind(
        1000
    )
    found = drive(
        rule, rule.initialize(), [1.0, 2.0], [2.0, 1.0], [[0.5, 0.5], [0.5, 0.5]]
    )
    # 100 * 3.1623 = 316.23: 316; k' = 316 / sqrt(3.1623) = 177.7: 178.
    # 316 * exp(-0.8141) = 140.0; k' = 140 * exp(-0.407) = 93.2: 93.
    np.testing.assert_array_equal(found[:, :2], [[316, 178], [140, 93]])


def test_elasticity_rule_first_steps_by_hand():
    rule = elasticity_descent.ElasticityDescent(
        k_min=10, k_max=1000, k_initial=100
    ).bind(1000)
    state = rule.initialize()
    assert rule.decide(state) == (100, 50)

    def step(state, *numbers):
        feedback = (tf.constant(x, tf.float64) for x in (*numbers, 0.0))
        half = tf.constant([0.5, 0.5], tf.float64)
        return rule.step(state, controller.Feedback(*feedback), half)

    # s = 100 (4 - 2) / (50 4) = 1, e = 0; delta_1 = 0.25 log 100 = 1.1513.
    # 100 * exp(-1.1513) = 31.62: 32; k' = 32 exp(-log 2) = 16.
    state = step(state, 4.0, 2.0, 1.0, 0.7, 0.7)
    assert rule.decide(state) == (32, 16)
    assert rule.sign(state) == 1
    # s = 0, e = log2(0.4 / 0.2) = 1; delta_2 = 0.8141.
    # 32 exp(0.8141) = 72.2: 72; k' = 36.
    state = step(state, 1.5, 1.5, 1.0, 0.6, 0.8)
    assert rule.decide(state) == (72, 36)
    assert rule.sign(state) == -1
    # e = log2(0.1 / 0.2) = -1 counts as 0, s = 72 (2 - 1.5) / (36 2) = 0.5;
    # delta_3 = 0.6647; 72 exp(-0.3324) = 51.6: 52; k' = 26.
    state = step(state, 2.0, 1.5, 1.0, 0.9, 0.8)
    assert rule.decide(state) == (52, 26)
    # Only k lowered the loss: e = 1, s = 0; delta_4 = 0.5756.
    # 52 exp(0.5756) = 92.47: 92.
    state = step(state, 1.0, 1.0, 1.0, 0.9, 1.1)
    assert rule.decide(state) == (92, 46)
    # Only k' did: e = 0, s = 1; delta_5 = 0.5149; 92 exp(-0.5149) = 54.98: 55;
    # k' = 27.5, u = 0.5 is not below 0.5: 27.
    state = step(state, 2.0, 1.0, 1.0, 1.1, 0.9)
    assert rule.decide(state) == (55, 27)
    # Neither did: nothing is known.
    state = step(state, 2.0, 1.0, 1.0, 1.1, 1.2)
    assert rule.decide(state) == (55, 27)
    assert rule.sign(state) == 0


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), worse=st.sampled_from([0.0, 0.3, 0.9]))
def test_elasticity_rule_equals_oracle(elasticity_run, seed, worse):
    rule, run = elasticity_run
    rng = np.random.default_rng(seed)
    length = 80
    times = np.sort(rng.uniform(1, 20, [2, length]), axis=0)[::-1]
    # Losses are negative decreases: L0 = 0.
    changes = rng.uniform(-1, 0, [2, length])
    changes[rng.random([2, length]) < worse] *= -1
    changes[:, rng.random(length) < 0.05] = NAN
    uniforms = rng.random([length, 2])
    first = rule.initialize()
    found = run(*(tf.constant(x) for x in (*times, *changes, uniforms)))
    known = np.isfinite(changes).all(axis=0) & (changes < 0).any(axis=0)
    expected = oracles.descend(
        oracles.Elastic(),
        5,
        1000,
        int(first.k),
        int(first.k_probe),
        zip(
            zip(*times, *-changes, strict=True),
            np.where(known, 0.0, NAN),
            *uniforms.T,
            strict=True,
        ),
        patience=3,
    )
    np.testing.assert_array_equal(
        np.stack([found.k, found.k_probe], axis=1), [pair[:2] for pair in expected]
    )


@pytest.fixture(scope="module")
def elasticity_run():
    """The rule for D = 1000 and its traced run."""
    rule = elasticity_descent.ElasticityDescent(k_min=5, patience=3).bind(1000)

    @tf.function
    def run(times, times_probe, after, probe, uniforms):
        def step(state, inputs):
            time, time_probe, after, probe, pair = inputs
            zero = tf.zeros_like(time)
            feedback = controller.Feedback(time, time_probe, zero, after, probe, zero)
            return rule.step(state, feedback, pair)

        return tf.scan(
            step,
            (times, times_probe, after, probe, uniforms),
            initializer=rule.initialize(),
        )

    return rule, run


RULES = {
    "shrinking": (sign_descent.SignDescent, {}, oracles.Additive()),
    "fixed": (sign_descent.FixedIntervalSignDescent, {}, oracles.Additive()),
    "value": (value_descent.ValueDescent, {}, oracles.Additive(by_value=True)),
    "log": (log_sign_descent.LogSignDescent, {}, oracles.Logarithmic()),
    "log_floors": (
        log_sign_descent.LogSignDescent,
        {"step_floor": 0.1, "probe_distance": 0.3, "step_scale": 0.4},
        oracles.Logarithmic(scale=0.4, floor=0.1, distance=0.3),
    ),
}
SHAPES = [(1000, 5, 1000), (1000, 1, 40), (50, 7, 7), (1, 1, 1), (444062, 888, 444062)]


def random_steps(seed, length, share_undefined):
    rng = np.random.default_rng(seed)
    costs, costs_probe = rng.uniform(0.1, 20, [2, length])
    # Long runs without a sign, so that patience is exhausted.
    undefined = np.repeat(rng.random(length // 4 + 1) < share_undefined, 4)[:length]
    costs_probe[undefined] = NAN
    ties = rng.random(length) < 0.05
    costs_probe[ties] = costs[ties]
    return costs, costs_probe, rng.random([length, 2])


@pytest.fixture(scope="module")
def compiled():
    """Makes a rule and its traced run, once for each combination."""

    @functools.cache
    def build(name, shape, patience):
        dimension, k_min, k_max = shape
        rule_class, options, _ = RULES[name]
        options = dict(options, window=5) if name == "shrinking" else options
        rule = rule_class(k_min=k_min, k_max=k_max, patience=patience, **options).bind(
            dimension
        )

        @tf.function
        def run(costs, costs_probe, uniforms):
            def step(state, inputs):
                return rule.step(state, feedback_of(*inputs[:2]), inputs[2])

            return tf.scan(
                step, (costs, costs_probe, uniforms), initializer=rule.initialize()
            )

        return rule, run

    yield build
    build.cache_clear()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("shape", SHAPES)
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.1, 0.5, 0.9]))
def test_equals_oracle_and_stays_in_range(compiled, name, shape, seed, share):
    patience = 3
    dimension, k_min, k_max = shape
    costs, costs_probe, uniforms = random_steps(seed, 120, share)
    rule, run = compiled(name, shape, patience)
    first = rule.initialize()
    if k_min == k_max or dimension == 1:
        costs_probe[:] = NAN  # nothing is probed
    states = run(*(tf.constant(x) for x in (costs, costs_probe, uniforms)))
    bounds = states.interval
    found = np.stack([states.k, states.k_probe, bounds.k_min, bounds.k_max], axis=1)

    _, _, oracle = RULES[name]
    expected = oracles.descend(
        oracle,
        k_min,
        k_max,
        int(first.k),
        int(first.k_probe),
        zip(costs, costs_probe, *uniforms.T, strict=True),
        alpha=1.5 if name == "shrinking" else None,
        window=5,
        patience=patience,
    )
    np.testing.assert_array_equal(found, list(expected))

    k, k_probe = found[:, 0], found[:, 1]
    assert (k >= k_min).all()
    assert (k <= k_max).all()
    assert (k_probe >= 0).all()
    assert (k_probe < k).all()
    if k_min < k_max:
        floor = math.ceil(0.1 * k_min)
        assert (k_probe >= np.minimum(floor, k - 1)).all()
        assert ((k_probe == 0) == (k == 1)).all()
    else:
        assert not rule.probes
        assert (k_probe == 0).all()
    np.testing.assert_array_equal(states.defined, ~np.isnan(costs_probe))
    np.testing.assert_array_equal(
        states.sign.numpy() == 0, np.isnan(costs_probe) | (costs == costs_probe)
    )


def test_equal_costs_are_no_undefined_sign(feedback):
    rule = sign_descent.SignDescent().bind(1000)
    state, seed = rule.initialize(), tf.constant([1, 2])
    assert not rule.sign_defined(state)
    # L0 - L1 = 0.1 = L0 - L1', theta(k) = theta(k') = 1.
    equal = rule.update(state, feedback(), seed)
    assert (rule.sign(equal), bool(rule.sign_defined(equal))) == (0, True)
    worse = rule.update(equal, feedback(after=1.5), seed)
    assert (rule.sign(worse), bool(rule.sign_defined(worse))) == (0, False)
    larger = rule.update(worse, feedback(round_time=2.0), seed)
    assert (rule.sign(larger), bool(rule.sign_defined(larger))) == (1, True)


def test_interval_shrinks_in_these_trials(compiled):
    _, run = compiled("shrinking", SHAPES[0], 3)
    steps = random_steps(0, 120, 0.1)
    states = run(*(tf.constant(x) for x in steps))
    interval = states.interval
    assert (interval.k_max - interval.k_min)[-1].numpy() <= (math.sqrt(2) - 1) * 995


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [({}, (100, 90)), ({"k_min": 200}, (200, 180)), ({"k_max": 9}, (9, 8))],
)
def test_first_k_is_a_tenth_moved_into_the_interval(bounds, expected):
    rule = sign_descent.SignDescent(**bounds).bind(1000)
    assert rule.decide(rule.initialize()) == expected


def test_elasticity_rule_begins_in_the_middle_of_log_k():
    rule = elasticity_descent.ElasticityDescent(k_min=10).bind(1000)
    assert rule.decide(rule.initialize()) == (100, 50)
    rule = elasticity_descent.ElasticityDescent(k_min=7, k_max=7).bind(1000)
    assert rule.decide(rule.initialize()) == (7, 0)


def test_grows_after_patience():
    rule = sign_descent.FixedIntervalSignDescent(k_min=2, k_max=100, k_initial=20).bind(
        100
    )
    length = 22
    found = drive(
        rule, rule.initialize(), [1.0] * length, [NAN] * length, [[0.0, 0.0]] * length
    )
    # 98 / sqrt(22) = 20.89, 98 / sqrt(44) = 14.77; both up, u = 0.
    np.testing.assert_array_equal(found[:, 0], [20] * 10 + [41] * 11 + [56])


@pytest.mark.parametrize("loss_after", [0.5, 1.5])
@pytest.mark.parametrize("loss_probe", [0.75, 1.0, 1.5])
def test_costs_of_feedback(loss_after, loss_probe):
    costs = _losses.estimate_costs(
        controller.Feedback(
            *(tf.constant(x, tf.float64) for x in (3, 2, 1, loss_after, loss_probe, 1))
        )
    )
    assert costs.cost == 3
    if loss_after < 1 and loss_probe < 1:
        # 0.5 / 0.25 = 2 rounds of k' make the progress of one of k.
        assert costs.cost_probe == 4
    else:
        assert np.isnan(costs.cost_probe)


def test_update_draws_from_seed_and_moves_by_feedback():
    rule = sign_descent.SignDescent(k_min=5).bind(1000)
    feedback = controller.Feedback(
        *(tf.constant(x, tf.float64) for x in (3, 2, 1, 0.5, 0.6, 1))
    )

    def update(seed):
        return rule.update(rule.initialize(), feedback, tf.constant(seed))

    def numbers(state):
        return [int(state.k), int(state.k_probe)]

    # tau = 3 > tau' = 2.5: k' is better, so k falls to k_min.
    assert rule.sign(update([1, 2])) == 1
    assert numbers(update([1, 2])) == [5, 1]
    up = feedback._replace(probe_time=tf.constant(2.9, tf.float64))
    states = [
        rule.update(rule.initialize(), up, tf.constant([7, i])) for i in range(20)
    ]
    assert {int(s.k) for s in states} == {803, 804}  # 100 + 995 / sqrt(2) = 803.57
    again = rule.update(rule.initialize(), up, tf.constant([7, 0]))
    assert numbers(again) == numbers(states[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k_min": 50, "k_max": 40}, "k_min to be at most k_max = 40, found 50"),
        ({"k_max": 101}, r"k_max .*\[1, 100\].* found 101"),
        ({"k_min": 0}, "k_min .* found 0"),
        ({"k_min": 20, "k_initial": 0.1}, r"k_initial to be in \[20, 100\], found 10"),
        ({"k_initial": NAN}, "k_initial .* found nan"),
        ({"probe_initial": 1.0}, r"probe_initial to be in \(0, 1\), found 1.0"),
        ({"probe_floor": NAN}, "probe_floor .* found nan"),
        ({"patience": -1}, "patience .* found -1"),
    ],
)
@pytest.mark.parametrize("name", ["fixed", "value", "log"])
def test_refuses_bad_arguments(name, options, message):
    with pytest.raises(ValueError, match=message):
        RULES[name][0](**options).bind(100)


@pytest.mark.parametrize(
    ("rule_class", "options"),
    [
        (sign_descent.SignDescent, {"alpha": 0.9}),
        (sign_descent.SignDescent, {"alpha": NAN}),
        (sign_descent.SignDescent, {"window": 0}),
        (log_sign_descent.LogSignDescent, {"step_scale": 0.0}),
        (log_sign_descent.LogSignDescent, {"step_floor": NAN}),
        (log_sign_descent.LogSignDescent, {"probe_scale": -1.0}),
        (log_sign_descent.LogSignDescent, {"probe_distance": -1.0}),
    ],
)
def test_refuses_bad_constants(rule_class, options):
    (name,) = options
    with pytest.raises(ValueError, match=f"Expected {name} "):
        rule_class(**options)


def test_steps_in_log_k_go_with_a_shrinking_interval():
    class Rule(interval.ShrinkingInterval, log_sign_descent.LogSignDescent):
        """Slope, steps and interval are chosen apart."""

    rule = Rule(k_min=10, k_max=1000, k_initial=100, window=2, alpha=1.5).bind(1000)
    state = rule.initialize()
    # A step is a quarter of log(100) / sqrt(m): down to 31.6, then up to 70.0.
    down, up = (
        feedback_of(*(tf.constant(cost, tf.float64) for cost in costs))
        for costs in ((2.0, 1.0), (1.0, 2.0))
    )
    uniforms = tf.constant([0.999, 0.999], tf.float64)
    state = rule.step(state, down, uniforms)
    assert int(state.k) == 31
    state = rule.step(state, up, uniforms)
    assert int(state.k) == 69
    # The window's [31 / 1.5, 69 * 1.5] is shorter than 0.41 * 990.
    assert (state.interval.k_min, state.interval.k_max) == (21, 104)
    assert int(state.rounds) == 0
    # m begins again; a quarter of log(104 / 21) is a factor of 1.49.
    state = rule.step(state, down, uniforms)
    assert int(state.k) == 46
    assert 1 <= int(state.k_probe) < 46
