import subprocess
import sys

import numpy as np
import pytest
import tensorflow_federated as tff

from tff_gs import sparse_vector
from tff_gs.controllers import (
    controller,
    registry,
    sign_descent,
    value_descent,
)


@pytest.fixture
def needed(tmp_path):
    """The options that a rule cannot do without, by its name."""
    path = tmp_path / "metrics.csv"
    path.write_text("k\n" + "12\n" * 40)
    return {
        "fixed": {"k": 0.1},
        "exp3": {"arms": (2, 10, 0.5)},
        "schedule": {"schedule": ((0, 10), (5, 20))},
        "replay": {"replay_file": str(path)},
    }


def _build(name, dimension, *, rounds=None, seed=0, **options):
    rule = registry.CONTROLLERS.build(name, options)
    return rule.bind(dimension, rounds=rounds, seed=seed)


def test_every_name_has_a_class_and_help():
    assert registry.CONTROLLERS.keys() == registry.CONTROLLERS.summaries.keys()
    assert all(registry.CONTROLLERS.summaries.values())
    assert len(set(registry.CONTROLLERS.values())) == len(registry.CONTROLLERS) == 11


@pytest.mark.parametrize("name", registry.CONTROLLERS)
def test_binds_to_all_that_a_process_knows(name, needed):
    rule = registry.CONTROLLERS.build(name, needed.get(name, {}))
    bound = rule.bind(1000, rounds=40, seed=1, balanced_k=lambda: 50)
    assert bound.dimension == 1000


@pytest.mark.parametrize("name", registry.CONTROLLERS)
def test_runs_in_tff_with_a_state_of_fixed_type(name, needed, feedback):
    rule = _build(name, 1000, **needed.get(name, {}), rounds=40, seed=1)

    @tff.tensorflow.computation
    def initialize():
        return rule.initialize()

    state_type = initialize.type_signature.result
    unasked = controller.ON_REQUEST - {"time_elasticity", "update"}
    feedback_type = tff.types.to_type(
        controller.Feedback(*[np.float64] * len(controller.Feedback._fields))._replace(
            round=np.int32,
            update=sparse_vector.SparseVector(
                tff.TensorType(np.int32, [None]), tff.TensorType(np.float32, [None])
            ),
            **dict.fromkeys(unasked, ()),
        )
    )

    @tff.tensorflow.computation(
        state_type, feedback_type, tff.types.TensorType(np.int32, [2])
    )
    def step(state, given, seed):
        new_state = rule.update(state, given, seed)
        decision = rule.decide(new_state)
        return new_state, decision, rule.sign(new_state)

    assert step.type_signature.result[0].is_equivalent_to(state_type)
    state = initialize()
    decisions = []
    for m in range(12):
        given = feedback(round_time=2.0, probe=0.95) if rule.probes else feedback()
        state, (k, k_probe), sign = step(state, given, [1, m])
        assert 1 <= k <= 1000
        assert 0 <= k_probe < k
        assert sign in (-1, 0, 1)
        decisions.append((k, k_probe))
    again = initialize()
    for m, decision in enumerate(decisions):
        given = feedback(round_time=2.0, probe=0.95) if rule.probes else feedback()
        again, found, _ = step(again, given, [1, m])
        assert tuple(found) == decision


def test_replay_beyond_the_recording_fails_in_tff(needed):
    rule = _build("replay", 1000, **needed["replay"])

    @tff.tensorflow.computation(np.int32)
    def decide(number):
        return rule.decide(rule.initialize()._replace(round=number))

    assert decide(39).k == 12
    with pytest.raises(Exception, match="recording of 40"):
        decide(40)


def test_options_reach_the_rule():
    options = {"k_min": 10, "k_max": 100, "k_initial": 50, "window": 3}
    state = _build("sign", 1000, **options).initialize()
    assert (state.k, state.interval.k_min, state.interval.k_max) == (50, 10, 100)
    assert isinstance(_build("sign", 9), sign_descent.SignDescent)
    assert isinstance(_build("value", 9), value_descent.ValueDescent)


def test_horizon_is_the_number_of_rounds():
    rules = [_build("bandit", 1000, rounds=n, k_initial=1.0) for n in (100, 10000)]
    few, many = (float(rule.initialize().center) for rule in rules)
    # alpha = (1.5 / sqrt(n))^(1/3): 0.531 and 0.247.
    assert (1 - few, 1 - many) == pytest.approx((0.5313, 0.2466), abs=1e-3)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sgin", {}, "a controller among fixed, sign, .*, found 'sgin'"),
        ("fixed", {}, "Expected k for controller 'fixed', found none"),
        ("exp3", {}, "Expected arms for controller 'exp3', found none"),
        ("replay", {}, "Expected replay_file for controller 'replay', found none"),
        ("schedule", {}, "Expected schedule for controller 'schedule', found none"),
        ("fixed", {"k": 5, "k_min": 2}, r"only its options \(k\), found k_min"),
        ("sign_fixed_interval", {"alpha": 2.0}, "found alpha"),
        ("sign", {"k": 5}, "only its options .*found k"),
        ("fixed", {"k": 101}, r"\[1, 100\].*found 101"),
        ("sign", {"k_min": 50, "k_max": 40}, "at most k_max = 40, found 50"),
        ("exp3", {"arms": ()}, "at least one arm"),
    ],
)
def test_refuses(name, options, message):
    with pytest.raises(ValueError, match=message) as error:
        _build(name, 100, **options)
    assert "\n" not in str(error.value)


def test_refuses_a_replay_shorter_than_the_run(needed):
    with pytest.raises(ValueError, match="at least the run's 41 rounds, found 40"):
        _build("replay", 100, **needed["replay"], rounds=41)


@pytest.mark.parametrize("package", ["controllers", "costs", "sparsifiers"])
def test_names_and_options_import_no_tensorflow(package):
    modules = f"tff_gs.{package}, tff_gs.{package}.registry"
    code = f"import sys, {modules}; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
