"""Runs that were killed or interrupted, and go on from their last checkpoint."""

import json
import shutil

import pandas as pd
import pytest

from launch import run_directory
from launch.comparison import standing


@pytest.fixture(name="killed", scope="module")
def _killed(small_run, train_until_killed, tmp_path_factory):
    """The small run, killed after round 5; it has a checkpoint of round 4."""
    directory = tmp_path_factory.mktemp("killed") / "run"
    train_until_killed(
        f"--flagfile={small_run.directory / 'flags.txt'}",
        "--checkpoint_every=2",
        directory=directory,
    )
    return directory


@pytest.fixture(name="resumed", scope="module")
def _resumed(killed, train, tmp_path_factory):
    directory = tmp_path_factory.mktemp("resumed") / "run"
    shutil.copytree(killed, directory)
    # What a kill in the middle of writing leaves.
    (directory / "checkpoints" / "round_6_temp1234").mkdir()
    (directory / "checkpoints" / ".unfinished" / "round_6").mkdir(parents=True)
    (directory / ".clients.csv.new").write_text("cli")
    with (directory / "metrics.csv").open("a") as file:
        file.write("6,123")
    run = train(f"--resume={directory}")
    return run._replace(directory=directory)


def test_a_kill_leaves_rounds_and_a_checkpoint(killed):
    assert _checkpoints(killed) == ["round_2", "round_4"]
    assert pd.read_csv(killed / "metrics.csv")["round"].tolist() == [1, 2, 3, 4, 5]
    assert not (killed / "result.json").exists()


def _checkpoints(directory):
    return sorted(path.name for path in (directory / "checkpoints").iterdir())


def test_a_killed_run_goes_on_as_if_it_had_not_been(resumed, small_run):
    assert resumed.code == 0, resumed.err
    for name in ("metrics.csv", "clients.csv"):
        assert resumed.read(name) == small_run.read(name), name
    results = [json.loads(run.read("result.json")) for run in (resumed, small_run)]
    for result in results:
        result["flags"].pop("checkpoint_every")
    assert results[0] == results[1]
    timing = pd.read_csv(resumed.directory / "timing.csv")
    assert timing["round"].tolist() == list(range(1, 8))


def test_a_resumed_run_says_where_it_goes_on(resumed):
    assert resumed.err.splitlines()[0] == "goes on after round 4"
    assert resumed.out.startswith("digits: 7 rounds of 6 clients in ")
    assert " s, after round 4, D = " in resumed.out


def test_a_resumed_run_leaves_two_checkpoints_and_one_file_of_events(resumed):
    assert _checkpoints(resumed.directory) == ["round_6", "round_7"]
    assert not (resumed.directory / ".clients.csv.new").exists()
    assert len(list((resumed.directory / "events").iterdir())) == 1
    flags = (resumed.directory / "flags.txt").read_text()
    assert "--resume" not in flags
    assert "--checkpoint_every=2\n" in flags


def test_an_interrupted_run_goes_on_with_another_limit(
    interrupted_run, train, tmp_path
):
    directory = tmp_path / "run"
    shutil.copytree(interrupted_run.directory, directory)
    rounds = len(pd.read_csv(directory / "metrics.csv"))
    run = train(f"--resume={directory}", f"--rounds={rounds + 2}")
    assert run.code == 0, run.err
    metrics = (directory / "metrics.csv").read_bytes()
    assert metrics.startswith(interrupted_run.read("metrics.csv"))
    table = pd.read_csv(directory / "metrics.csv")
    assert table["round"].tolist() == list(range(1, rounds + 3))
    assert (table["k"] == 137).all()
    assert json.loads((directory / "flags.json").read_text())["rounds"] == str(
        rounds + 2
    )


def test_a_damaged_checkpoint_is_one_sentence_and_nothing_is_lost(
    killed, train, tmp_path
):
    directory = tmp_path / "run"
    shutil.copytree(killed, directory)
    for number in (2, 4):
        file = directory / f"checkpoints/round_{number}/saved_model.pb"
        file.write_bytes(file.read_bytes()[:1000])
    before = _contents(directory)
    run = train(f"--resume={directory}")
    assert run.code == 2
    assert run.err.endswith(
        "round_4 as they were written, found saved_model.pb changed.\n"
    )
    assert len(run.err.splitlines()) == 1
    assert _contents(directory) == before


def _contents(directory):
    files = (path for path in directory.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files}


def test_without_a_checkpoint_there_is_nothing_to_go_on_from(killed, train, tmp_path):
    directory = tmp_path / "run"
    directory.mkdir()
    shutil.copy(killed / "flags.txt", directory)
    run = train(f"--resume={directory}")
    assert run.code == 2
    assert run.err.startswith(f"Expected a checkpoint in {directory / 'checkpoints'}")
    assert len(run.err.splitlines()) == 1
    assert run_directory.RunDirectory(directory).last_checkpoint() is None


def test_a_comparison_goes_on_with_a_killed_run(
    killed, small_run, start, finish, tmp_path
):
    directory = tmp_path / "c" / "one" / "seed_0"
    shutil.copytree(killed, directory)
    arguments = [
        f"--{n}={v}" for n, v in json.loads(small_run.read("flags.json")).items()
    ]
    arguments.remove("--seed=0")
    heading = standing._HEADING
    directory.with_name("seed_0.flags.txt").write_text(f"{heading}\n")
    process = start(
        "--run=one:",
        "--seeds=0",
        *arguments,
        f"--output_dir={tmp_path / 'c'}",
        module="launch.compare",
    )
    run = finish(process)
    assert run.code == 0, run.err
    assert "[1/1] one, seed 0: goes on\n" in run.out
    assert (directory / "metrics.csv").read_bytes() == small_run.read("metrics.csv")
    assert not (directory / "checkpoints").exists()
