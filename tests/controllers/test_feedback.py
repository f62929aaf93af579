"""What rules need of a round, and what they may make of it."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from hypothesis import given, settings
from hypothesis import strategies as st

from tff_gs import sparse_vector
from tff_gs.controllers import _unaided, controller, registry, sign_descent

_LOSSES = {"loss_before", "loss_after"}
_PROBED = _LOSSES | {"round_time", "probe_time", "loss_probe"}
_NEEDS = {
    **dict.fromkeys(("fixed", "schedule", "replay"), frozenset()),
    **dict.fromkeys(("exp3", "bandit"), _LOSSES | {"round_time"}),
    **dict.fromkeys(
        ("sign", "sign_fixed_interval", "value", "log_sign", "elasticity"), _PROBED
    ),
    "waiting": {"round", "time_elasticity", "update"},
}


class Stating(controller.Controller):
    """A rule that says what it needs, and returns what it is told to."""

    probes = False
    needs = frozenset()

    def __init__(self, k=5, k_probe=0, needs=frozenset()):
        self._decision = controller.Decision(k, k_probe)
        self.needs = needs

    def initialize(self):
        return ()

    def decide(self, state):
        return self._decision

    def update(self, state, feedback, seed):
        return state


@pytest.fixture(scope="module")
def build_rule(tmp_path_factory):
    """Builds the rule of this name for D weights, with what it cannot do without."""
    path = tmp_path_factory.mktemp("replay") / "metrics.csv"
    path.write_text("k\n" + "1\n" * 40)
    needed = {
        "fixed": {"k": 0.1},
        "exp3": {"arms": (0.5, 1.0)},
        "schedule": {"schedule": ((0, 1), (5, 1.0))},
        "replay": {"replay_file": str(path)},
    }

    def build(name, dimension):
        rule = registry.CONTROLLERS.build(name, needed.get(name))
        return rule.bind(dimension, rounds=40, seed=1)

    return build


@pytest.fixture(scope="module")
def runs(build_rule):
    """The decisions of a rule in rounds with given feedback, traced once a rule."""

    @functools.cache
    def build(name, dimension):
        rule = build_rule(name, dimension)

        @tf.function
        def run(numbers):
            def step(state, inputs):
                number, values = inputs
                seed = tf.stack([number, 7])
                coordinates = tf.range(tf.minimum(dimension, 3))
                feedback = controller.Feedback(
                    *tf.unstack(values),
                    round=number + 1,
                    time_elasticity=values[0],
                    update=sparse_vector.SparseVector(
                        coordinates,
                        tf.cast(values[1:4][: tf.size(coordinates)], tf.float32),
                    ),
                )
                return rule.update(state, feedback, seed)

            rounds = tf.range(tf.shape(numbers)[0])
            states = tf.scan(step, (rounds, numbers), initializer=rule.initialize())
            return tf.map_fn(
                rule.decide,
                states,
                fn_output_signature=controller.Decision(tf.int32, tf.int32),
            )

        return run

    yield build
    build.cache_clear()


def test_the_rules_say_what_they_need(build_rule):
    assert _NEEDS.keys() == registry.CONTROLLERS.keys()
    for name, needs in _NEEDS.items():
        assert build_rule(name, 1000).needs == needs, name


@pytest.mark.parametrize("name", registry.CONTROLLERS)
def test_a_rule_reads_nothing_but_what_it_needs(name, build_rule, feedback):
    rule = build_rule(name, 1000)
    known = feedback(round_time=2.0, probe_time=1.5, update=((3, 5), (2.0, 1.0)))
    unknown = controller.Feedback(*[tf.constant(math.nan, tf.float64)] * 6)

    def after(hidden):
        feedback = known._replace(**{n: getattr(unknown, n) for n in hidden})
        state = rule.update(rule.initialize(), feedback, tf.constant([3, 4]))
        return tf.nest.map_structure(lambda x: x.numpy().tolist(), state)

    assert after(set(known._fields) - rule.needs) == after(set())


_ODD = st.sampled_from(
    [math.nan, math.inf, -math.inf, 0.0, -0.0, -1.0, 1e308, -1e308, 5e-324]
)


@pytest.mark.parametrize(
    ("name", "dimension"),
    [
        (name, dimension)
        for name in registry.CONTROLLERS
        for dimension in (1, 2, 1000, 2**31 - 1)
        # This one keeps a number for each of the D weights.
        if (name, dimension) != ("waiting", 2**31 - 1)
    ],
)
@settings(deadline=None, max_examples=15)
@given(rows=st.lists(st.tuples(*[_ODD | st.floats(0, 3)] * 6), min_size=8, max_size=8))
def test_no_feedback_makes_a_rule_leave_its_range(runs, name, dimension, rows):
    if name == "exp3" and dimension == 2:
        dimension = 4  # Half of two is no arm.
    k, k_probe = runs(name, dimension)(tf.constant(rows, tf.float64))
    assert (k.numpy() >= 1).all()
    assert (k.numpy() <= dimension).all()
    assert (k_probe.numpy() >= 0).all()
    assert (k_probe.numpy() < k.numpy()).all()


def test_a_rule_that_does_not_say_is_taken_to_need_what_its_rounds_have():
    class Silent(Stating):
        needs = controller.Controller.needs

        def __init__(self, probes):
            self.probes = probes

    always = {"round_time", "training_loss", "round"}
    assert Silent(False).needs == always
    assert Silent(True).needs == always | _PROBED


def test_refuses_a_rule_whose_feedback_is_missing():
    rule = Stating(needs=frozenset({"loss_after", "training_loss"}))
    controller.require_feedback(rule, controller.MEASURED | controller.PROBED)
    with pytest.raises(
        ValueError,
        match=r"^Expected .*\(round, round_time, training_loss\), found Stating, which "
        r"needs loss_after\.$",
    ):
        controller.require_feedback(rule, controller.MEASURED)
    with pytest.raises(ValueError, match=r"no other feedback .*, found Stating"):
        _unaided.build_rule(rule, 10)


def test_one_k_needs_nothing():
    rule = sign_descent.SignDescent(k_min=4, k_max=4).bind(9)
    assert rule.needs == frozenset()
    assert _unaided.build_rule(rule, 9) == rule


@pytest.mark.parametrize("decision", [(1, 0), (10, 0), (10, 9), (2, 1)])
def test_what_a_round_can_be_run_with_passes(decision):
    found = controller.checked(controller.Decision(*decision), 10)
    assert tuple(int(number) for number in found) == decision


@pytest.mark.parametrize(
    "decision", [(0, 0), (11, 0), (-(2**31), 0), (5, 5), (5, -1), (5, 6), (0, -1)]
)
def test_what_it_cannot_is_an_error_in_tff(decision):
    rule = Stating(*decision)

    @tff.tensorflow.computation(tff.TensorType(np.int32))
    def decide(offset):
        # Not constant, as a rule's state is not.
        k, k_probe = rule.decide(())
        return controller.checked(controller.Decision(k + offset, k_probe + offset), 10)

    k, k_probe = decision
    wanted = "1 <= k <= D = 10 and 0 <= k_probe < k"
    with pytest.raises(
        Exception, match=rf"{wanted}, found k =.*{k}.*and k_probe =.*{k_probe}"
    ):
        decide(0)


@pytest.mark.parametrize(("k", "found"), [(2.0, "float32 of shape"), ([2], r"\[1\]")])
def test_other_types_are_refused(k, found):
    with pytest.raises(TypeError, match=f"as int32 scalars, found .*{found}"):
        controller.checked(controller.Decision(k, 0), 10)
