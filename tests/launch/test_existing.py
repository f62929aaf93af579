"""Programs on runs that are there already, without TensorFlow."""

import pandas as pd
import pytest

from launch import compare, plot
from tests import fresh_python


def _names(path):
    return {entry.name for entry in path.iterdir()}


@pytest.fixture
def copied(small_run, tmp_path):
    """Makes a copy of the small run, with another seed in its flags."""
    import shutil

    def copy(name, seed="0"):
        target = tmp_path / name
        shutil.copytree(small_run.directory, target)
        for file in ("flags.txt", "flags.json", "result.json"):
            text = (target / file).read_text()
            text = text.replace("--seed=0", f"--seed={seed}")
            text = text.replace('"seed": "0"', f'"seed": "{seed}"')
            (target / file).write_text(text)
        return target

    return copy


def test_the_picture_again(copied, capsys):
    run = copied("run")
    picture = (run / "summary.png").read_bytes()
    (run / "summary.png").unlink()
    assert plot.main(["plot", str(run)]) == 0
    assert capsys.readouterr().out == f"{run / 'summary.png'}\n"
    assert (run / "summary.png").read_bytes() == picture


def test_an_interrupted_run_has_a_picture(copied):
    run = copied("run")
    (run / "result.json").unlink()
    (run / "summary.png").unlink()
    assert plot.main(["plot", str(run)]) == 0
    assert (run / "summary.png").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Expected the directory of a run, found none"),
        (["--rounds=3"], "Expected directories of runs, found the flag --rounds=3."),
        (["/nowhere"], "Expected the directory of a run, found /nowhere without a"),
    ],
)
def test_what_is_no_run(arguments, sentence, capsys):
    assert plot.main(["plot", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith(sentence)
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("flags.txt", "--no_such_flag=1\n"),
        ("flags.txt", "--task=nothing\n"),
        ("about.json", "{}"),
        ("about.json", "[1]"),
        ("about.json", '{"dimension": "many", "clients": 3}'),
    ],
)
def test_damaged_runs(copied, capsys, file, content):
    run = copied("run")
    (run / "result.json").unlink()
    (run / file).write_text(content)
    assert plot.main(["plot", str(run)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"Expected the files of a run in {run}, found: ")
    assert error.count("\n") == 1


def test_two_seeds_are_one_line(copied, tmp_path, capsys):
    first, second = copied("a"), copied("b", seed="1")
    other = copied("c/seed_0")
    flags = (other / "flags.txt").read_text()
    (other / "flags.txt").write_text(flags.replace("--clients=6", "--clients=5"))
    out = tmp_path / "out"
    code = compare.main(
        ["compare", *map(str, (first, second, other)), f"--output_dir={out}"]
    )
    assert code == 0, capsys.readouterr().err
    table = pd.read_csv(out / "comparison.csv")
    assert table.iloc[:, 0].tolist() == ["a", "c"]
    assert _names(out) >= {"comparison.csv", "comparison.md", "comparison.png"}


def test_runs_that_cannot_be_compared(copied, capsys):
    first, second = copied("a"), copied("b")
    assert compare.main(["compare", str(first), str(second)]) == 2
    assert "Expected different runs" in capsys.readouterr().err
    (second / "result.json").unlink()
    assert compare.main(["compare", str(first), str(second)]) == 2
    assert "launch.train --resume=" in capsys.readouterr().err
    assert compare.main(["compare", "--preset=rules", str(first)]) == 2
    assert "Expected either directories of runs or --preset" in capsys.readouterr().err


def test_no_tensorflow(small_run, tmp_path):
    code = f"""
import sys
from launch import compare, plot
arguments = [{str(small_run.directory)!r}, {f"--output_dir={tmp_path}"!r}]
assert plot.main(["plot", arguments[0]]) == 0
assert compare.main(["compare", *arguments]) == 0
print([m for m in sys.modules if m.startswith("tensorflow")])
"""
    assert fresh_python.printed(code).endswith("[]\n")
