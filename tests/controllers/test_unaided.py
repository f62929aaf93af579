import pytest
import tensorflow as tf

from tff_gs.controllers import _unaided, fixed, schedule, sign_descent


def test_an_amount_is_a_fixed_k():
    rule = _unaided.build_rule(0.25, 40)
    assert isinstance(rule, fixed.FixedK)
    assert rule.decide(rule.initialize()).k == 10


def test_a_schedule_advances():
    rule = _unaided.build_rule(schedule.Schedule(schedule=[(0, 3), (1, 7)]), 10)
    state = rule.initialize()
    assert rule.decide(state).k == 3
    state = _unaided.advance(rule, state, tf.constant([0, 1]), tf.constant(0))
    assert rule.decide(state).k == 7


def test_rules_that_probe_are_refused():
    with pytest.raises(ValueError, match=r"needs no probe .*, found SignDescent"):
        _unaided.build_rule(sign_descent.SignDescent(), 1000)


def test_amounts_are_checked():
    with pytest.raises(ValueError, match="found 11"):
        _unaided.build_rule(11, 10)
