"""The programs as a whole; each of the long runs is made once, for all tests."""

import json
import os
import signal
import time

import pandas as pd
import psutil
import pytest
from PIL import Image

from launch import compare, regret
from launch.comparison import command, preset
from tff_gs.controllers.registry import CONTROLLERS

_SMALL = ("--clients=5", "--rounds=2", "--eval_every=1", "--batch_size=8")
_PRESET = """
title = "Learned, replayed, failed"
[flags]
controller = "fixed"
[runs.needs_failed]
controller = "replay"
replay_file = "{run:failed}/metrics.csv"
[runs.learned]
label = "the one"
k = 50
[runs.replayed]
controller = "replay"
replay_file = "{run:learned}/metrics.csv"
[runs.failed]
k = 20000
"""
_SECONDS = 600


@pytest.fixture(name="compare", scope="module")
def _compare(start, finish):
    def run(*arguments):
        return finish(start(*arguments, module="launch.compare"))

    return run


@pytest.fixture(name="compared", scope="module")
def _compared(compare, tmp_path_factory):
    """A comparison where one run fails, with the command that made it."""
    directory = tmp_path_factory.mktemp("compare")
    (directory / "mine.toml").write_text(_PRESET)
    arguments = (
        f"--preset={directory / 'mine.toml'}",
        f"--output_dir={directory / 'c'}",
        *_SMALL,
    )
    return compare(*arguments)._replace(directory=directory / "c"), arguments


def _times(directory):
    return {path: path.stat().st_mtime_ns for path in directory.rglob("seed_*/*")}


def test_the_others_go_on_where_a_run_fails(compared):
    run, _ = compared
    assert run.code == 1
    failed = (
        "Expected k to be a count (int) in [1, 13706] or a fraction (float) in (0, 1]"
    )
    assert run.err.splitlines()[1] == "2 of 4 runs failed:"
    assert run.err.splitlines()[2].startswith(f"  failed, seed 0: {failed}")
    assert run.err.splitlines()[3] == (
        "  needs_failed, seed 0: Not run, because it needs failed, seed 0, which "
        "failed."
    )
    for name in ("learned", "replayed"):
        result = json.loads((run.directory / name / "seed_0/result.json").read_text())
        assert result["rounds"] == 2
        assert result["dimension"] == 13706
        assert result["flags"]["clients"] == "5"
    assert f"failed, seed 0 failed: {failed}" in run.out
    assert "learned, seed 0: accuracy " in run.out


def test_a_replay_has_the_k_of_the_run_that_it_needs(compared):
    directory = compared[0].directory
    learned, replayed = (
        (directory / name / "seed_0/metrics.csv").read_bytes()
        for name in ("learned", "replayed")
    )
    assert learned == replayed
    assert b",50," in learned


def test_the_table_is_printed_and_left_as_csv_and_markdown(compared):
    run, _ = compared
    table = (run.directory / "comparison.md").read_text()
    assert table in run.out
    assert table.startswith("# Learned, replayed, failed\n")
    found = pd.read_csv(run.directory / "comparison.csv")
    assert found["method"].tolist() == ["needs_failed", "the one", "replayed", "failed"]
    assert found["runs"].tolist() == [0, 1, 1, 0]
    metrics = pd.read_csv(run.directory / "learned/seed_0/metrics.csv")
    one = found.set_index("method").loc["the one"]
    assert (one["rounds"], one["final_k"]) == (2, 50)
    assert one["time"] == pytest.approx(metrics["time"].iloc[-1])
    last = [name for name in found if name.startswith("loss_at_")][-1]
    assert one[last] in metrics["test_loss"].tolist()
    # A first download of all weights as 32-bit numbers, by each of five clients.
    assert one["megabytes_down"] > 5 * 4 * 13706 / 1e6
    with Image.open(run.directory / "comparison.png") as image:
        image.verify()


def test_the_same_command_repeats_no_complete_run(compare, compared):
    run, arguments = compared
    before = _times(run.directory)
    again = compare(*arguments, "--only=learned,replayed")
    assert again.code == 0, again.err
    assert again.out.startswith("2 of 2 runs are complete already.\n")
    assert "begins" not in again.out
    assert _times(run.directory) == before


def test_changed_flags_are_refused(compare, compared):
    run, arguments = compared
    before = _times(run.directory)
    changed = compare(*arguments, "--rounds=3")
    assert changed.code == 2
    assert changed.out == ""
    assert changed.err == (
        f"Expected the complete run learned, seed 0 in {run.directory}/learned/seed_0 "
        "to have rounds=3, found rounds=2: choose another --output_dir, or move that "
        "run away.\n"
    )
    assert _times(run.directory) == before


def test_dry_run_shows_what_there_is_to_do(compare, compared):
    run, arguments = compared
    shown = compare(*arguments, "--dry_run", "--seeds=0")
    assert shown.code == 0
    assert "learned, seed 0 (complete), in " in shown.out
    assert "failed, seed 0 (to do), in " in shown.out
    assert "--k=20000" in shown.out
    assert not (run.directory / "failed/seed_0").exists()


def test_ctrl_c_ends_the_run_and_says_how_to_continue(start, finish, tmp_path):
    process = start(
        "--run=long: --k=5",
        "--controller=fixed",
        *_SMALL,
        "--rounds=100000",
        f"--output_dir={tmp_path / 'c'}",
        module="launch.compare",
    )
    timing = tmp_path / "c/long/seed_0/timing.csv"
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if timing.exists() and timing.read_text().count("\n") > 2:
            os.kill(process.pid, signal.SIGINT)
            break
        time.sleep(0.1)
    run = finish(process)
    assert run.code == 130
    assert run.err.strip() == (
        "Interrupted; complete runs are kept, and the same command continues."
    )
    log = (tmp_path / "c/long/seed_0.log").read_text()
    assert "Interrupted after round " in log.splitlines()[-1]
    assert not (tmp_path / "c/long/seed_0/result.json").exists()
    assert not _is_at_work(tmp_path)


def _is_at_work(directory):
    """Whether a process has the directory in its command line."""
    processes = psutil.process_iter(["cmdline"])
    lines = [" ".join(process.info["cmdline"] or ()) for process in processes]
    return any(str(directory) in line for line in lines)


@pytest.fixture(name="regretted", scope="module")
def _regretted(start, finish, tmp_path_factory):
    """A fixed k that reaches a loss within its budget, and a rule that does not."""
    directory = tmp_path_factory.mktemp("regret") / "r"
    process = start(
        "--k_grid=0.5",
        "--run=tiny: --controller=fixed --k=1",
        "--clients=5",
        "--target_loss=2.28",
        "--time_budget=8",
        "--comm_time=1",
        "--eval_every=1",
        "--batch_size=8",
        f"--output_dir={directory}",
        module="launch.regret",
    )
    return finish(process, directory)


def test_a_run_ends_when_its_target_is_reached(regretted):
    assert regretted.code == 0, regretted.err
    metrics = pd.read_csv(regretted.directory / "k_0.5/seed_0/metrics.csv")
    losses = metrics["test_loss"].tolist()
    assert losses[-1] <= 2.28
    assert all(loss > 2.28 for loss in losses[:-1])
    assert metrics["time"].iloc[-1] < 8
    log = (regretted.directory / "k_0.5/seed_0.log").read_text()
    assert (
        f"target     a test loss of at most 2.28: reached in round {len(metrics)}, "
    ) in log


def test_a_run_that_misses_its_target_ends_with_its_budget(regretted):
    metrics = pd.read_csv(regretted.directory / "tiny/seed_0/metrics.csv")
    assert (metrics["test_loss"] > 2.28).all()
    assert metrics["time"].iloc[-1] >= 8 > metrics["time"].iloc[-2]
    log = (regretted.directory / "tiny/seed_0.log").read_text()
    assert "a test loss of at most 2.28: not reached\n" in log


def test_the_times_to_the_target_are_compared(regretted):
    table = pd.read_csv(regretted.directory / "regret.csv").set_index("method")
    metrics = pd.read_csv(regretted.directory / "k_0.5/seed_0/metrics.csv")
    fixed, tiny = table.loc["k = 0.5"], table.loc["tiny"]
    assert fixed["time"] == pytest.approx(metrics["time"].iloc[-1])
    assert (fixed["k"], fixed["ratio"], fixed["reached"]) == (6853, 1.0, 1)
    assert tiny[["time", "ratio"]].isna().all()
    assert tiny["reached"] == 0
    text = (regretted.directory / "regret.md").read_text()
    assert text in regretted.out
    assert "not reached" in text.partition("| tiny ")[2].splitlines()[0]
    with Image.open(regretted.directory / "regret.png") as image:
        image.verify()


@pytest.mark.parametrize("program", [compare, regret])
def test_help_names_every_flag(program, capsys):
    with pytest.raises(SystemExit) as end:
        program.main(["program", "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"--{name}" in shown for name in program._RUNS.flags)
    assert "repeat this option" not in shown
    assert "launch.train --help" in shown
    assert max(map(len, shown.partition("Runs\n")[2].splitlines())) <= 88


def test_presets_are_listed_with_their_titles(capsys):
    with pytest.raises(SystemExit) as end:
        compare.main(["compare", "--list"])
    assert end.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == preset.names()
    assert all(len(line.split()) > 2 for line in lines)


@pytest.fixture(name="fresh", autouse=True)
def _fresh():
    """Parses flags of a program, and forgets them after."""
    yield
    for program in (compare, regret):
        for name in program.FLAGS:
            program.FLAGS[name].unparse()
        program.FLAGS.unparse_flags()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Expected --preset=NAME or --run='NAME: FLAGS', found neither; --list"),
        (["--preset=foo"], "Expected as preset one of cifar10, "),
        (["--preset=rules", "--size=huge"], "Expected as a size of "),
        (["--size=quick"], "Expected --size with --preset only, found it without."),
        (["--preset=rules", "--only=foo"], "Expected as a run of "),
        (["--run=a"], "Expected --run as 'NAME: --flag=value ...', found 'a'."),
        (["--run=a b: --k=1"], "--run 'a b': expected as a run's name letters"),
        (
            ["--jbos=2"],
            "Expected a flag that exists, found --jbos: did you mean --jobs?",
        ),
        (["--run=a: --round=1"], "--run 'a': Expected a flag that exists, found --rou"),
        (["--run=a: --seed=1"], "--run 'a': expected seeds, found the flag seed."),
        (["--run=a: --k='1"], "--run 'a': No closing quotation"),
        (
            ["--run=a: --k=1", "--run=a: --k=2"],
            "Expected a name of its own for every run, found 'a' twice.",
        ),
        (["--run=a:", "--rounds=0"], "Flag --rounds=0: expected a whole number"),
        (["--run=a:", "--output=x"], "Expected a flag that exists, found --output: d"),
        (["--run=a:", "--seed=1"], "Expected the seeds as --seeds, found --seed."),
        (["--run=a:", "--seeds=1,1"], "Flag --seeds=1,1: expected different whole num"),
        (["--run=a:", "--at=5,1"], "Flag --at=5,1: expected ascending numbers above 0"),
        (["--run=a:", "--over=k"], "Flag --over=k: expected one of time, rounds, tra"),
        (["--run=a:", "--jobs=0"], "Flag --jobs=0: expected a whole number from 1 t"),
        (["--run=a:", "here"], "Expected either directories of runs or --run, found"),
        (["--rounds=3", "here"], "Expected flags only, found 'here'."),
    ],
)
def test_a_wrong_command_is_one_sentence(arguments, sentence, capsys):
    _is_refused(compare, arguments, sentence, capsys)


_REGRET = ["--k_grid=0.1", "--target_loss=2", "--time_budget=9"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (_REGRET[1:], "Expected --k_grid, the fixed k to compare with, found none."),
        (["--k_grid="], "Flag --k_grid=: expected counts or fractions of D with comm"),
        (
            ["--k_grid=0.1,0.1"],
            "Expected a name of its own for every run, found 'k_0.1'",
        ),
        (
            _REGRET[::2],
            "Expected --target_loss or --target_accuracy, found none of them.",
        ),
        (_REGRET[:2], "Expected --time_budget, the most time that a run may take"),
        (
            [*_REGRET, "--controllers=foo"],
            "command line, run 'foo': Flag --controller=foo: expected one of "
            f"{', '.join(CONTROLLERS)}.",
        ),
        (
            [*_REGRET, "--run=a: --target_loss=3"],
            "Expected the same cost, time_budget, target_loss, target_accuracy for all",
        ),
    ],
)
def test_a_wrong_command_of_regret_is_one_sentence(arguments, sentence, capsys):
    _is_refused(regret, arguments, sentence, capsys)


def _is_refused(program, arguments, sentence, capsys):
    try:
        code = program.main(["program", *arguments, "--output_dir=/nowhere/x"])
    except SystemExit as end:
        code = end.code
    said = capsys.readouterr()
    assert code == command.WRONG_INPUT
    assert said.err.startswith(sentence)
    assert len(said.err.splitlines()) == 1
    assert said.out == ""


def test_what_is_given_for_all_runs_wins_over_a_preset_and_not_over_a_run():
    others, _ = command.parse(
        [
            "c",
            "--preset=rules",
            "--run=mine: --clients=3",
            "--clients=2",
            "--",
            "--k=1",
        ],
        compare.FLAGS,
        str,
    )
    assert others == {"clients": "2", "k": "1"}
    chosen = command.build(compare.FLAGS, others)
    by_name = {method.name: method for method in chosen.methods}
    assert by_name["sign"].flags["clients"] == "2"
    assert by_name["mine"].flags == {"clients": "3", "k": "1"}
    assert chosen.flags["comm_time"] == "10"
    assert chosen.name == "rules-quick"


@pytest.mark.parametrize("arguments", [[], ["--dry_run"]])
def test_missing_data_are_one_sentence_before_anything(tmp_path, capsys, arguments):
    out = tmp_path / "out"
    command_line = ["compare", "--preset=methods", f"--data_dir={tmp_path / 'no'}"]
    assert compare.main([*command_line, f"--output_dir={out}", *arguments]) == 2
    said = capsys.readouterr()
    assert said.err == (
        f"run 'fab_top_k': Expected LEAF's .json files in {tmp_path / 'no'}/train, "
        "found none.\n"
    )
    assert said.out == ""
    assert not out.exists()
