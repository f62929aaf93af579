import numpy as np
import pandas as pd
import pytest
from PIL import Image

from launch.comparison import plots, preset, results, table
from tasks import ACCURACY, LOSS
from tests.launch import made_up_runs

_MEASURES = (ACCURACY, LOSS)

_A = made_up_runs.method("a", "--batch_size=1", label="A | a")
_B = made_up_runs.method("b", "--batch_size=2", label="B")
_C = made_up_runs.method("c", "--batch_size=3", label="C")
_HIDDEN = made_up_runs.method("hidden", shown=False)
_METHODS = (_A, _B, _HIDDEN, _C)


@pytest.fixture(name="runs", scope="module")
def _runs(tmp_path_factory):
    """Two seeds of A; one of two of B, which ends early; none of C."""
    comparison = tmp_path_factory.mktemp("comparison")
    runs = made_up_runs.make_runs(comparison, *_METHODS, seeds=(0, 1))
    by_name = {str(run): run for run in runs}
    for seed, losses in [(0, [3.0, 2.0, 1.0]), (1, [3.5, 2.5, 1.5])]:
        accuracies = [0.1, 0.3 + 0.1 * seed, 0.5]
        made_up_runs.leave(
            by_name[f"a, seed {seed}"],
            made_up_runs.metrics([100, 200, 300], losses, accuracies),
        )
        made_up_runs.leave(
            by_name[f"hidden, seed {seed}"], made_up_runs.metrics([1], [1.0])
        )
    made_up_runs.leave(
        by_name["b, seed 1"],
        made_up_runs.metrics([110, 220], [None, 1.25], k=[50, 70]),
        contributed=(0, 0, 0, 5000),
    )
    return runs


@pytest.fixture(name="time")
def _time(runs):
    return results.build_abscissa("time", runs)


@pytest.fixture(name="lines")
def _lines(runs):
    return results.collect(_METHODS, runs)


def test_lines_are_of_what_is_shown_in_the_order_of_the_preset(lines):
    assert [(line.label, len(line.results), line.runs) for line in lines] == [
        ("A | a", 2, 2),
        ("B", 1, 2),
        ("C", 0, 2),
    ]
    # Over three rounds, ascending.
    np.testing.assert_allclose(
        lines[0].results[0].contributed, np.array([10, 20, 30, 40]) / 3
    )


def test_the_numbers_of_the_table(lines, time):
    found = table.build(lines, time, (100.0, 250.0), _MEASURES).set_index("method")
    a, b, c = found.loc["A | a"], found.loc["B"], found.loc["C"]
    assert a["accuracy_at_100"] == 0.1
    assert a["accuracy_at_250"] == pytest.approx(0.35)
    assert (a["accuracy_at_250_min"], a["accuracy_at_250_max"]) == (0.3, 0.4)
    assert a["loss_at_250"] == 2.25
    assert (a["loss_at_250_min"], a["loss_at_250_max"]) == (2.0, 2.5)
    # 4 clients, 800 bits of all of them up and 1600 to each down, three rounds; each
    # first got 32,000 bits.
    assert a["megabytes_up"] == pytest.approx(3 * 100 / 1e6)
    assert a["megabytes_down"] == pytest.approx(4 * (3 * 200 + 4000) / 1e6)
    assert (a["rounds"], a["time"], a["final_k"], a["runs"]) == (3, 300, 100, 2)
    # At 100 B was not evaluated, and at 250 it had ended.
    assert np.isnan(b[["loss_at_100", "loss_at_250", "loss_at_250_min"]]).all()
    assert (b["rounds"], b["final_k"], b["runs"]) == (2, 70, 1)
    assert c["runs"] == 0
    assert c.drop("runs").isna().all()


def test_one_run_a_method_has_no_spread(runs, time):
    lines = results.collect((_A,), [run for run in runs if run.seed == 0])
    found = table.build(lines, time, (200.0,), _MEASURES)
    assert [name for name in found if name.startswith("loss")] == ["loss_at_200"]
    text = table.render(lines, time, (200.0,), _MEASURES, title="T")
    assert " 30.0% | " in text
    assert "least to largest" not in text


def test_the_table_as_markdown(lines, time):
    text = table.render(lines, time, (250.0,), _MEASURES, title="A test")
    heading, _, header, _, *rows = text.splitlines()
    assert heading == "# A test"
    assert made_up_runs.cells(header) == [
        *("method", "accuracy at 250", "loss at 250"),
        *("rounds", "MB up", "MB down", "final k"),
    ]
    assert [made_up_runs.cells(row) for row in rows[:3]] == [
        [
            *("A \\| a", "35.0% (30.0% to 40.0%)", "2.250 (2.000 to 2.500)"),
            *("3", "0.0003", "0.0184", "100"),
        ],
        ["B (1 of 2 runs)", "-", "-", "2", "0.0002", "0.0176", "70"],
        ["C (0 of 2 runs)", "-", "-", "-", "-", "-", "-"],
    ]
    caption = text.splitlines()[-1]
    assert "given values of: normalised time (1 is a round of comp" in caption
    assert "the last evaluation at or before it" in caption
    assert "Means over the seeds" in caption
    assert "-: a run ended before it" in caption


def test_markdown_keeps_its_columns():
    assert table.markdown(["x", "y"], [["a|b", "1"]]) == (
        "| x    |   y |\n| ---- | --: |\n| a\\|b |   1 |\n"
    )


def test_the_unit_of_time_is_said_where_it_is_one(tmp_path):
    first = made_up_runs.method("first")
    second = made_up_runs.method("second", "--cost=links")
    runs = made_up_runs.make_runs(tmp_path, first, second)
    assert results.label_of_time(runs[:1]).startswith("normalised time")
    assert results.label_of_time(runs[1:]) == "time (seconds)"
    assert results.label_of_time(runs) == "time (each run in its own unit)"
    assert (
        results.build_abscissa("time", runs).label == "time (each run in its own unit)"
    )


def test_methods_are_compared_over_rounds(runs, lines):
    rounds = results.build_abscissa("rounds", runs)
    assert rounds.label == "rounds"
    found = table.build(lines, rounds, (2.0, 3.0), _MEASURES).set_index("method")
    assert found.loc["A | a", "loss_at_2"] == 2.25
    # B has two rounds, of which the second was evaluated.
    assert found.loc["B", "loss_at_2"] == 1.25
    assert np.isnan(found.loc["B", "loss_at_3"])


def test_methods_are_compared_over_what_was_sent(runs, lines):
    traffic = results.build_abscissa("traffic", runs)
    # 4 clients got 32,000 bits each; then, a round, 800 of all up, 1600 to each down.
    np.testing.assert_allclose(
        traffic.positions(lines[0].results[0]), [0.0169, 0.0178, 0.0187]
    )
    found = table.build(lines, traffic, (0.0168, 0.0178, 0.018), _MEASURES)
    found = found.set_index("method")
    losses = found.loc["A | a", ["loss_at_0.0168", "loss_at_0.0178", "loss_at_0.018"]]
    np.testing.assert_array_equal(losses.astype(float), [np.nan, 2.25, 2.25])


def test_by_default_methods_are_compared_where_one_has_a_value(runs, lines):
    # Two of three runs have three rounds; none was evaluated before its first.
    rounds = results.build_abscissa("rounds", runs)
    assert table.choose_positions(lines, rounds) == (1.5, 2.2, 3.0)
    # Of one run alone, that was not evaluated until its end.
    assert table.choose_positions([lines[1]], rounds) == (2.0,)


def test_all_that_a_preset_may_compare_over_is_there(runs):
    for over in preset.OVER:
        assert results.build_abscissa(over, runs).label


def test_a_run_whose_files_are_gone_is_one_sentence(tmp_path):
    runs = made_up_runs.make_runs(tmp_path, _A)
    made_up_runs.leave(runs[0], made_up_runs.metrics([1], [1.0]))
    (runs[0].directory / "clients.csv").unlink()
    with pytest.raises(ValueError, match="Expected the files of a complete run in"):
        results.collect((_A,), runs)


@pytest.mark.parametrize(
    ("names", "over"),
    [
        (("a", "b", "c"), "time"),
        (("a", "b", "c"), "rounds"),
        (("a", "b", "c"), "traffic"),
        (("b",), "time"),
        (("a",), "time"),
    ],
)
def test_a_picture_is_drawn(lines, runs, names, over, tmp_path):
    shown = [line for line in lines if line.name in names]
    path = tmp_path / "c.png"
    over = results.build_abscissa(over, runs)
    plots.draw_comparison(shown, over, path, _MEASURES, title="T", loss_label="nats")
    with Image.open(tmp_path / "c.png") as image:
        assert image.format == "PNG"
        pixels = np.asarray(image.convert("RGB"))
    assert pixels.shape[0] > 900
    assert pixels.shape[1] > 1200
    # Each of the four panels shows something.
    for half in np.array_split(pixels, 2):
        for panel in np.array_split(half, 2, axis=1):
            assert (panel != 255).any(axis=2).mean() > 0.01


def test_runs_that_share_the_loss_alone_are_drawn_and_listed(lines, time, tmp_path):
    path = tmp_path / "c.png"
    plots.draw_comparison(lines[:2], time, path, (LOSS,), title="", loss_label="loss")
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    top, _ = np.array_split(pixels, 2)
    left, right = np.array_split(top, 2, axis=1)
    assert (left != 255).any(axis=2).mean() > 0.01
    assert (right != 255).any(axis=2).mean() < 0.001
    text = table.render(lines, time, (200.0,), (LOSS,), title="T")
    columns = made_up_runs.cells(text.splitlines()[2])
    assert [name.strip() for name in columns[:3]] == ["method", "loss at 200", "rounds"]
    assert "\nLoss on the test data at given values of:" in text


def test_a_method_has_one_colour_whichever_others_are_complete(lines, time, tmp_path):
    """The second line is drawn in its own colour though the first has no run."""
    first = lines[0]._replace(results=[])
    shown, path = [first, lines[1]], tmp_path / "c.png"
    plots.draw_comparison(shown, time, path, _MEASURES, title="", loss_label="nats")
    with Image.open(tmp_path / "c.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    colours = {
        tuple(colour) for colour in pd.DataFrame(pixels).drop_duplicates().values
    }
    assert (0xD5, 0x5E, 0x00) in colours
    assert (0x00, 0x72, 0xB2) not in colours
