import json
import pathlib

import pytest

from launch import run_directory
from launch.comparison import preset, standing
from tests.launch import made_up_runs

_LEARN = made_up_runs.method("learn", "--rounds=9")
_REPLAY = made_up_runs.method(
    "replay", "--controller=replay", "--replay_file={run:learn}/metrics.csv"
)


def test_a_run_comes_after_what_it_needs_seed_by_seed():
    other = made_up_runs.method("other", "--k_min=7")
    runs = made_up_runs.make_runs(
        pathlib.Path("c"), other, _REPLAY, _LEARN, seeds=(4, 0), flags={"rounds": "9"}
    )
    assert [str(run) for run in runs] == [
        *("other, seed 4", "learn, seed 4", "replay, seed 4"),
        *("other, seed 0", "learn, seed 0", "replay, seed 0"),
    ]
    replay = runs[2]
    assert replay.directory == pathlib.Path("c/replay/seed_4")
    assert replay.needs == (pathlib.Path("c/learn/seed_4"),)
    assert replay.arguments == [
        "--rounds=9",
        "--controller=replay",
        "--replay_file=c/learn/seed_4/metrics.csv",
        "--seed=4",
    ]
    assert replay.completed["learning_rate"] == "0.2"


def test_runs_left_out_are_made_where_others_need_them():
    other = made_up_runs.method("other")
    chosen = made_up_runs.make_preset(_REPLAY, other, _LEARN).only(["replay"])
    assert [method.name for method in chosen.methods] == ["replay", "learn"]


def test_runs_that_need_each_other_are_one_sentence():
    circle = [
        made_up_runs.method(name, f"--replay_file={{run:{needed}}}/metrics.csv")
        for name, needed in [("a", "b"), ("b", "c"), ("c", "b")]
    ]
    with pytest.raises(
        ValueError, match=r"^test: .* in a circle, found b -> c -> b\.$"
    ):
        made_up_runs.make_runs(pathlib.Path("c"), *circle)
    alone = made_up_runs.method("a", "--replay_file={run:a}/metrics.csv")
    with pytest.raises(ValueError, match="found a -> a"):
        made_up_runs.make_runs(pathlib.Path("c"), alone)


def test_a_run_that_is_needed_and_does_not_exist_is_one_sentence():
    with pytest.raises(
        ValueError,
        match=r"^test, run 'replay': expected \{run:NAME\} with NAME one of replay, "
        r"found \{run:learn\}\.$",
    ):
        made_up_runs.make_runs(pathlib.Path("c"), _REPLAY)


@pytest.mark.parametrize(
    ("flag", "text", "sentence"),
    [
        ("round", "5", "Expected a flag that exists, found --round: did you mean"),
        (
            "rounds",
            "0",
            "Flag --rounds=0: expected a whole number from 1 to 2147483647.",
        ),
        ("controller", "best", "Flag --controller=best: expected one of fixed, "),
    ],
)
def test_wrong_flags_are_said_with_the_run(flag, text, sentence):
    method = preset.Method(name="a", label="a", flags={flag: text})
    with pytest.raises(ValueError, match=f"^test, run 'a': {sentence}"):
        made_up_runs.make_runs(pathlib.Path("c"), method)


@pytest.fixture(name="run")
def _run(tmp_path):
    return made_up_runs.make_runs(tmp_path / "c", _LEARN)[0]


def _leave(run, **result):
    made_up_runs.leave(run, made_up_runs.metrics([1.0], [1.0]), **result)


def test_a_run_is_complete_with_its_result(run):
    assert not standing.is_complete(run)
    run.directory.mkdir(parents=True)
    assert not standing.is_complete(run)
    run.directory.rmdir()
    _leave(run)
    assert standing.is_complete(run)


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"rounds": "8"}, r"to have rounds=9, found rounds=8: choose another"),
        ({"k": "8"}, r"to have no k, found k=8: choose another"),
        ({"batch_size": None}, r"to have batch_size=32, found no batch_size: choose"),
    ],
)
def test_a_complete_run_with_other_flags_is_refused(run, change, shown):
    found = {**run.completed, **change}
    _leave(run, flags={name: v for name, v in found.items() if v is not None})
    with pytest.raises(ValueError, match=f"complete run learn, seed 0 in .* {shown}"):
        standing.is_complete(run)


def test_where_a_cache_or_the_comparison_lies_does_not_matter(tmp_path):
    learn, run = made_up_runs.make_runs(tmp_path / "here", _LEARN, _REPLAY)
    elsewhere = {"replay_file": "there/learn/seed_0/metrics.csv", "cache_dir": "x"}
    _leave(run, flags={**run.completed, **elsewhere})
    assert standing.is_complete(run)
    other = {"replay_file": "there/other/seed_0/metrics.csv"}
    path = run.directory / "result.json"
    path.write_text(json.dumps({"flags": {**run.completed, **other}}))
    with pytest.raises(ValueError, match="to have replay_file="):
        standing.is_complete(run)
    assert not standing.is_complete(learn)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"flags": 1}', "\0"])
def test_a_result_that_is_none_is_one_sentence(run, text):
    run.directory.mkdir(parents=True)
    (run.directory / "result.json").write_text(text)
    with pytest.raises(
        ValueError, match=r"the result of a run in .*result\.json, found"
    ):
        standing.is_complete(run)


def test_an_attempt_with_a_checkpoint_and_the_same_flags_goes_on(run):
    files = run_directory.RunDirectory(run.directory)
    standing.prepare(run)
    assert not standing.is_resumable(run)
    files.create({**run.completed, "checkpoint_every": "7"})
    assert not standing.is_resumable(run)
    (files.checkpoints / "round_7").mkdir(parents=True)
    assert standing.is_resumable(run)
    files.reopen({**run.completed, "rounds": "8"})
    assert not standing.is_resumable(run)
    files.reopen(run.completed)
    assert standing.is_resumable(run)
    standing.remove_checkpoints(run)
    assert not standing.is_resumable(run)


def test_what_an_earlier_attempt_left_is_cleared_away(run):
    standing.prepare(run)
    assert not run.directory.exists()
    file = standing.flagfile(run)
    assert file.read_text().splitlines()[1:] == run.arguments
    (run.directory / "events").mkdir(parents=True)
    (run.directory / "metrics.csv").write_text("round\n")
    standing.prepare(run)
    assert not run.directory.exists()
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_what_no_attempt_left_stays(run, tmp_path):
    def refused():
        with pytest.raises(ValueError, match="something else, which is left as it is"):
            standing.prepare(run)

    precious = run.directory / "precious.txt"
    run.directory.mkdir(parents=True)
    precious.write_text("x")
    refused()
    standing.flagfile(run).write_text("--rounds=3\n")
    refused()
    assert precious.read_text() == "x"
    precious.unlink()
    run.directory.rmdir()
    standing.prepare(run)
    # Whoever put a link there meant another place.
    target = tmp_path / "target"
    target.mkdir()
    run.directory.symlink_to(target)
    refused()
    assert target.is_dir()
