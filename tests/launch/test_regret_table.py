import math

import numpy as np
import pytest
from PIL import Image

from launch.comparison import plots, regret, results
from tests.launch import made_up_runs

_WANTED = made_up_runs.wanted(loss=2.0, accuracy=None)
_TIME = "normalised time"


def _line(comparison, name, k, *runs):
    """A line whose runs have the given losses, evaluated every 10."""
    method = made_up_runs.method(name, label=name)
    made = made_up_runs.make_runs(comparison, method, seeds=range(len(runs)))
    for run, losses in zip(made, runs, strict=True):
        times = [10.0 * number for number in range(1, len(losses) + 1)]
        made_up_runs.leave(run, made_up_runs.metrics(times, losses, k=k))
    return results.collect((method,), made)[0]


@pytest.fixture(name="reaches", scope="module")
def _reaches(tmp_path_factory):
    comparison = tmp_path_factory.mktemp("regret")
    lines = [
        _line(comparison, "k_0.5", 500, [3.0, 2.5, 1.0, 1.0], [3.0, 2.0]),
        _line(comparison, "k_20", 20, [3.0, 2.0], [2.0, 2.0]),
        _line(comparison, "k_1", 1, [3.0, 2.9], [3.0, 2.0]),
        _line(comparison, "sign", 30, [3.0, 2.5, 1.9], [2.5, 2.5, 2.0]),
        _line(comparison, "value", 30, [3.0, 2.5], [2.5, 2.5]),
    ]
    # One more run of value did not become complete.
    lines[-1] = lines[-1]._replace(runs=3)
    return regret.measure(lines, {"k_0.5", "k_20", "k_1"}, _WANTED)


def test_fixed_k_ascend_and_rules_follow(reaches):
    assert [(r.label, r.is_fixed) for r in reaches] == [
        ("k_1", True),
        ("k_20", True),
        ("k_0.5", True),
        ("sign", False),
        ("value", False),
    ]


def test_the_numbers_of_the_table(reaches):
    found = regret.build(reaches).set_index("method")
    # Means of 20 and 10, of 30 and 20, of 30 and 30.
    assert found["time"].loc[["k_20", "k_0.5", "sign"]].tolist() == [15, 25, 30]
    assert found["ratio"].loc[["k_20", "k_0.5", "sign"]].tolist() == [1, 5 / 3, 2]
    # A mean over the seeds that got there would be a number that nobody measured.
    assert np.isnan(found.loc["k_1", ["time", "ratio"]].astype(float)).all()
    assert found.loc["k_1", "time_min"] == 20
    assert found["reached"].tolist() == [1, 2, 2, 2, 0]
    assert found["runs"].tolist() == [2, 2, 2, 2, 2]
    assert found["k"].tolist()[:3] == [1, 20, 500]


def test_the_table_as_markdown(reaches):
    text = regret.render(reaches, _WANTED, time_label=_TIME, time_budget="100")
    heading, _, header, _, *rows = text.splitlines()
    assert heading == "# Time to a test loss of at most 2"
    assert made_up_runs.cells(header) == ["method", "k", "time to target", "ratio"]
    assert [made_up_runs.cells(row) for row in rows[:5]] == [
        ["k_1", "1", "not reached by 1 of 2", "-"],
        ["k_20", "20", "15.0 (10.0 to 20.0)", "1.000"],
        ["k_0.5", "500", "25.0 (20.0 to 30.0)", "1.667"],
        ["sign", "-", "30.0 (30.0 to 30.0)", "2.000"],
        ["value", "-", "2 of 3 runs complete", "-"],
    ]
    caption = text.splitlines()[-1]
    assert "'not reached': not by 100." in caption
    assert "best fixed k in hindsight, k_20." in caption
    assert "end of the grid" not in caption


def test_the_best_at_the_end_of_the_grid_is_said(reaches):
    text = regret.render(reaches[1:], _WANTED, time_label=_TIME, time_budget="100")
    assert "at the end of the grid; a wider grid may hold a better one" in text


def test_without_a_fixed_k_that_reached_it_there_is_no_ratio(reaches):
    others = [r for r in reaches if r.label in ("k_1", "sign")]
    assert regret.best_fixed(others) is None
    text = regret.render(others, _WANTED, time_label=_TIME, time_budget="100")
    assert "No fixed k reached it with every seed" in text
    assert np.isnan(regret.build(others)["ratio"]).all()


def test_one_run_that_did_not_reach_it_is_no_number():
    missed = regret.Reach("sign", math.nan, [math.nan], 1)
    text = regret.render([missed], _WANTED, time_label=_TIME, time_budget="100")
    row = made_up_runs.cells(text.splitlines()[4])
    assert row == ["sign", "-", "not reached", "-"]
    assert regret.build([missed])["time"].isna().all()


@pytest.mark.parametrize("labels", [("k_1", "sign"), ("value",), None])
def test_a_picture_is_drawn(reaches, labels, tmp_path):
    shown = [r for r in reaches if labels is None or r.label in labels]
    plots.draw_regret(shown, tmp_path / "r.png", title="A test", time_label=_TIME)
    with Image.open(tmp_path / "r.png") as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert (pixels != 255).any(axis=2).mean() > 0.005
