"""What launch.report says of directories that are no runs, or not whole."""

import json

import pytest

from launch.reporting import recorded
from tests.launch import recorded_runs


@pytest.fixture(name="run")
def _run(tmp_path):
    return recorded_runs.write(tmp_path / "run")


def _change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="latin-1")


def _error(path):
    with pytest.raises(ValueError, match=r"^Expected .*[.?]$") as caught:
        recorded.read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_is_read(run):
    found = recorded.read(run)
    assert found.rounds == 4
    assert found.columns["test_accuracy"] == [0.25, None, 0.5, 0.75]
    assert found.columns["k"] == [10] * 4
    assert found.contributed == [0, 4, 8, 12]
    assert (found.dimension, found.initial_bits) == (1000, 32_000)
    assert found.count_rows()[3]["uplink_bits_max"] == 1200
    assert found.count_rows()[3]["catch_up_bits"] == 0


def test_a_run_that_is_not_complete(tmp_path):
    path = recorded_runs.write(tmp_path / "run", complete=False)
    (path / "clients.csv").unlink()
    found = recorded.read(path)
    assert not found.is_complete
    assert (found.initial_bits, found.contributed) == (None, None)
    assert found.dimension == 1000


def test_numbers_that_are_none(tmp_path):
    rounds = [{"training_loss": "nan"}, {"training_loss": "inf"}]
    path = recorded_runs.write(tmp_path / "run", rounds=rounds)
    found = recorded.read(path).columns["training_loss"]
    assert found == [None, None, 2.25, 2.25]


def test_what_is_no_run(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name in ("none", "file", "empty"):
        assert _error(tmp_path / name) == (
            f"Expected the directory of a run, found {tmp_path / name} without a "
            "metrics.csv that has a round."
        )


def test_a_comparison_is_no_run(tmp_path):
    recorded_runs.write(tmp_path / "c" / "dense" / "seed_0")
    assert _error(tmp_path / "c").endswith(f"did you mean {tmp_path}/c/*/seed_*?")


def test_torn_rows(run):
    metrics = run / "metrics.csv"
    metrics.write_text(metrics.read_text()[:-30])
    assert "line 5 of" in _error(run)
    assert _error(run).endswith("found fewer.")


def test_rows_that_are_too_long(run):
    _change(run / "metrics.csv", "\n1,", "\n1,2,")
    assert "line 2 of" in _error(run)
    assert _error(run).endswith("found more.")


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("uplink_bits_max", "something", "found round, k, k_probe, uplink_bits, some"),
        ("1200", "-5", "uplink_bits_max to be a whole number from 0 on in row 1 of"),
        ("1200", "much", "uplink_bits_max to be a whole number from 0 on in row 1 of"),
        ("\n2,", "\n3,", "Expected rounds 1, 2, 3 and so on in"),
        ("0.75", "\xff", "Expected CSV text in"),
    ],
)
def test_other_tables(run, old, new, found):
    _change(run / "metrics.csv", old, new)
    assert found in _error(run)


def test_flags_that_are_wrong(run):
    _change(run / "flags.txt", "--batch_size=32", "--batch_size=0")
    assert "Flag --batch_size=0: expected a whole number" in _error(run)
    (run / "flags.txt").unlink()
    assert "flags.txt (No such file or directory)." in _error(run)


@pytest.mark.parametrize(
    "result",
    [
        *("", "[]", "{}", '{"initial_bits": "4"}', '{"initial_bits": -4}'),
        *('{"initial_bits": 4, "checksums": []}', "{" * 100_000, "\xff"),
    ],
)
def test_results_that_are_none(run, result):
    (run / "result.json").write_text(result, encoding="latin-1")
    assert _error(run).startswith("Expected the result of a run in ")


def test_tables_that_have_changed(run):
    result = json.loads((run / "result.json").read_text())
    changed = {**result, "checksums": {"metrics.csv": "00000000"}}
    (run / "result.json").write_text(json.dumps(changed))
    assert _error(run).endswith("as the run left it, found that it has changed.")
