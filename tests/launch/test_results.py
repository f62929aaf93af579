import types

import numpy as np
import pytest

from launch import targets
from launch.comparison import results
from tasks import ACCURACY, LOSS, Metric
from tests.launch import made_up_runs

_TIMES = [1.5, 3.0, 4.5, 6.0]
_LOSSES = [None, 2.0, None, 1.0]


@pytest.fixture(name="metrics")
def _metrics():
    return made_up_runs.metrics(_TIMES, _LOSSES, [None, 0.4, None, 0.7])


@pytest.mark.parametrize(
    ("time", "loss"), [(3.0, 2.0), (4.5, 2.0), (5.9, 2.0), (6.0, 1.0)]
)
def test_the_value_at_a_time_is_of_the_last_evaluation_until_then(metrics, time, loss):
    assert results.value_at(metrics["test_loss"], metrics["time"], time) == loss


@pytest.mark.parametrize("time", [0.1, 1.5, 2.9, 6.1])
def test_there_is_no_value_before_the_first_evaluation_or_after_the_end(metrics, time):
    accuracies = metrics["test_accuracy"]
    assert np.isnan(results.value_at(accuracies, metrics["time"], time))


def test_the_time_to_a_target_is_of_the_first_evaluation_that_reaches_it(metrics):
    for loss, accuracy, time in [
        (2.0, None, 3.0),
        (1.9, None, 6.0),
        (None, 0.4, 3.0),
        (None, 0.41, 6.0),
        # Both at once, at one evaluation.
        (2.0, 0.5, 6.0),
    ]:
        wanted = made_up_runs.wanted(loss=loss, accuracy=accuracy)
        assert results.time_to(metrics, wanted) == time
    for loss, accuracy in [(0.99, None), (2.0, 0.71)]:
        wanted = made_up_runs.wanted(loss=loss, accuracy=accuracy)
        assert np.isnan(results.time_to(metrics, wanted))


def test_a_run_and_its_table_reach_a_target_in_the_same_row():
    rows = [
        {"round": 1, "time": 1.5, "test_loss": "", "test_accuracy": ""},
        {"round": 2, "time": 3.0, "test_loss": 2.0, "test_accuracy": 0.4},
        {"round": 3, "time": 6.0, "test_loss": 1.0, "test_accuracy": 0.7},
    ]
    loss = made_up_runs.wanted(loss=2.0, accuracy=None)
    assert targets.first_reached(loss, rows)["round"] == 2
    both = made_up_runs.wanted(loss=2.0, accuracy=0.7)
    assert targets.first_reached(both, rows) == rows[2]
    assert (
        targets.first_reached(made_up_runs.wanted(loss=0.5, accuracy=0.7), rows) is None
    )
    assert targets.first_reached(loss, rows[:1]) is None
    assert [str(t) for t in made_up_runs.wanted(loss=2.6, accuracy=0.8)] == [
        "a test loss of at most 2.6",
        "a test accuracy of at least 0.8",
    ]


def test_traffic_is_of_all_clients():
    metrics = made_up_runs.metrics(
        [1, 2],
        [None, 1.0],
        uplink_bits=[8_000_000, 4_000_000],
        report_bits=[0, 800_000],
        downlink_bits=[1_600_000, 800_000],
        probe_downlink_bits=[400_000, 0],
        clients=[4, 3],
    )
    up, down = results.sent_megabytes(metrics)
    # (8 + 0) / 8, then (4 + 0.8) / 8 more; 4 (1.6 + 0.4) / 8, then 3 (0.8) / 8 more.
    np.testing.assert_allclose(up, [1.0, 1.6])
    np.testing.assert_allclose(down, [1.0, 1.3])
    assert results.initial_megabytes(bits=16_000_000, clients=5) == 10.0


def test_traffic_of_cohorts_has_what_brings_clients_up_to_date():
    metrics = made_up_runs.metrics(
        [1, 2],
        [None, 1.0],
        uplink_bits=[8_000_000, 8_000_000],
        downlink_bits=[2_000_000, 2_000_000],
        clients=[2, 2],
        joined_bits=[16_000_000, 0],
        catch_up_bits=[0, 800_000],
        catch_up_request_bits=[0, 1_600_000],
    )
    up, down = results.sent_megabytes(metrics)
    # (2 (2) + 16) / 8, then (2 (2) + 0.8) / 8 more.
    np.testing.assert_allclose(up, [1.0, 2.2])
    np.testing.assert_allclose(down, [2.5, 3.1])


@pytest.mark.parametrize(
    ("ends", "quarters"),
    [
        ([400.0, 1000.0], (100, 200, 300, 400)),
        ([18, 335, 334, 32, 343], (80, 160, 250, 330)),
        ([1037.0], (200, 500, 700, 1000)),
        ([5.73, 15.0], (1.4, 2.8, 4.2, 5.7)),
        ([0.012], (0.003, 0.006, 0.009, 0.012)),
    ],
)
def test_quarters_of_what_half_of_the_runs_reached_are_round(ends, quarters):
    found = results.quarters(ends)
    np.testing.assert_allclose(found, quarters)
    assert sum(end >= found[-1] for end in ends) >= len(ends) / 2


def test_runs_of_several_tasks_are_compared_by_what_all_measure():
    mae = Metric("mae", abs)
    kinds = {
        "classes": types.SimpleNamespace(measures=lambda: (ACCURACY, LOSS)),
        "numbers": types.SimpleNamespace(measures=lambda: (mae, LOSS)),
        "both": types.SimpleNamespace(measures=lambda: (mae, ACCURACY, LOSS)),
    }
    for names, expected in (
        (["classes", "classes"], (ACCURACY, LOSS)),
        (["both", "numbers"], (mae, LOSS)),
        (["classes", "numbers"], (LOSS,)),
    ):
        runs = [types.SimpleNamespace(task=kinds[name]) for name in names]
        assert results.measures_of(runs) == expected
