"""Whom a run goes on with after a loss."""

import pytest

from launch import losses
from tff_gs import runtime

_ONE, _OTHER = "10.0.0.2:8470", "10.0.0.3:8470*2"


def _lost(address=None):
    return runtime.WorkerLostError("It was lost.", address)


def test_with_progress_all_may_come_back():
    left = losses.Losses((_ONE, _OTHER))
    assert left.needs_all
    for reached in (0, 3, 7):
        assert left.leave_any(_lost("10.0.0.3:8470"), reached)
        assert left.workers == (_ONE, _OTHER)
        assert not left.needs_all


def test_without_progress_the_lost_one_is_left_out():
    left = losses.Losses((_ONE, _OTHER))
    assert left.leave_any(_lost("10.0.0.3:8470"), 3)
    assert left.leave_any(_lost("10.0.0.3:8470"), 3)
    assert left.workers == (_ONE,)
    # Progress, and then the last one is lost twice.
    assert left.leave_any(_lost(_ONE), 4)
    assert not left.leave_any(_lost(_ONE), 4)


@pytest.mark.parametrize("workers", [None, 3, (_ONE,)])
def test_a_process_of_the_program_is_started_again_once(workers):
    left = losses.Losses(workers)
    assert left.leave_any(_lost(), 0)
    assert not left.leave_any(_lost(), 0)
    assert left.workers == workers


def test_where_nobody_answers_there_is_nothing_to_go_on_with():
    left = losses.Losses((_ONE,))
    assert not left.leave_any(runtime.WorkerNotReachedError("None.", _ONE), 5)
