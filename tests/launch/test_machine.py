"""Runs on a machine that misbehaves: signals, a worker that dies, a full disk, no home.

What is said is one sentence, nothing that was written is lost, and the run goes on.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import psutil
import pytest
from absl import flags as absl_flags
from absl.testing import flagsaver

from launch import flags, run_directory, screen
from launch import train as train_program
from tests.launch import waiting
from tff_gs import _sealed_folder

_SECONDS = 600
_SMALL = ("--clients=6", "--rounds=7", "--eval_every=3", "--batch_size=16")
_EVERY_TWO = (*_SMALL, "--checkpoint_every=2")


def _worker(process):
    children = psutil.Process(process.pid).children(recursive=True)
    (found,) = [child for child in children if "worker_binary" in child.name()]
    return found


def _names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_sigterm_and_sighup_are_as_ctrl_c(start, finish, tmp_path):
    directory = tmp_path / "run"
    rounds = 0
    arguments = (*_SMALL, "--rounds=100000", f"--output_dir={directory}")
    for number, code in ((signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        process = start(*arguments)
        waiting.for_rows(process, directory, rounds + 3)
        process.send_signal(number)
        run = finish(process)
        assert run.code == code, run.err
        rounds = len(pd.read_csv(directory / "metrics.csv"))
        assert run.err.splitlines()[-1] == (
            f"Interrupted after round {rounds}. Go on: python -m launch.train "
            f"--resume={directory}"
        )
        assert "Traceback" not in run.err
        assert f"round_{rounds}" in _names(directory / "checkpoints")
        arguments = (f"--resume={directory}",)


def test_sigterm_before_the_first_round_leaves_nothing(start, finish, tmp_path):
    directory = tmp_path / "new" / "run"
    process = start(*_SMALL, f"--output_dir={directory}")
    deadline = time.monotonic() + _SECONDS
    # From the import on; before it the system's own way ends the program.
    while "tensorflow" not in _maps(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.terminate()
    run = finish(process)
    assert run.code == 143
    assert run.err.startswith("Interrupted ")
    assert len(run.err.splitlines()) == 1
    assert _names(tmp_path) == []


def _maps(process):
    try:
        return pathlib.Path(f"/proc/{process.pid}/maps").read_text()
    except OSError:
        return ""


def test_a_worker_that_is_killed_is_started_again(start, finish, small_run, tmp_path):
    directory = tmp_path / "run"
    process = start(*_EVERY_TWO, f"--output_dir={directory}")
    waiting.for_rows(process, directory, 3)
    _worker(process).kill()
    run = finish(process)
    assert run.code == 0, run.err
    assert "the worker is started again" in run.err
    assert "goes on after round " in run.err
    for name in ("metrics.csv", "clients.csv"):
        assert (directory / name).read_bytes() == small_run.read(name), name


@pytest.fixture(name="small_disk")
def _small_disk(tmp_path):
    """A disk with room for two checkpoints, and a function that makes more."""
    if os.geteuid() != 0:
        pytest.skip("only the superuser mounts a file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    options = ["mount", "-t", "tmpfs", "-o"]
    mounted = subprocess.run(
        [*options, "size=1700k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets nobody mount a file system")

    def resize(size):
        resized = [*options, f"remount,size={size}", "tmpfs", str(disk)]
        subprocess.run(resized, check=True)

    try:
        yield disk, resize
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_run_goes_on_when_a_full_disk_has_room_again(train, small_run, small_disk):
    disk, resize = small_disk
    directory = disk / "runs" / "mine"
    run = train(*_EVERY_TWO, directory=directory)
    assert run.code == 2
    assert run.err.endswith(
        f": No space left on device (output_dir={directory}). Go on: python -m "
        f"launch.train --resume={directory}\n"
    )
    assert "Traceback" not in run.err
    assert _names(directory / "checkpoints") == ["round_1", "round_2"]
    metrics = directory / "metrics.csv"
    assert small_run.read("metrics.csv").startswith(metrics.read_bytes())
    # The row of round 2 is damaged too: the checkpoint before has all its rows.
    lines = metrics.read_text().splitlines(keepends=True)
    metrics.write_text("".join([*lines[:2], lines[2].replace("1", "2", 1)]))
    resize("20m")
    run = train(f"--resume={directory}")
    assert run.code == 0, run.err
    assert "Going on from round 1." in run.err
    for name in ("metrics.csv", "clients.csv"):
        assert (directory / name).read_bytes() == small_run.read(name), name


_FLAGS = "--task=digits\n--controller=fixed\n--k=7\n--rounds=7\n"


@pytest.fixture(name="checkpointed")
def _checkpointed(tmp_path):
    """The directory of a run with a checkpoint, as far as its flags go."""
    directory = run_directory.RunDirectory(tmp_path / "run")
    flags = dict(line[2:].split("=") for line in _FLAGS.splitlines())
    directory.create(flags)
    folder = directory.checkpoints / "round_4"
    folder.mkdir(parents=True)
    _sealed_folder.seal(folder, {"flags": flags})
    return directory


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda text: "", "Expected the flags of a run in "),
        (
            lambda text: text.replace("k=7", "k=8"),
            "--k=7, which the last checkpoint was written with, found --k=8.",
        ),
        (lambda text: text + "--alpha=2\n", "no --alpha, which the last checkpoint "),
        (lambda text: text.replace("--rounds=7\n", ""), "found no --rounds."),
    ],
)
def test_changed_flags_of_a_run_are_noticed(checkpointed, change, found):
    checkpointed.flags.write_text(change(_FLAGS))
    with pytest.raises(ValueError, match=re.escape(found)) as error:
        _parse_resume(checkpointed)
    assert len(str(error.value).splitlines()) == 1


def test_flags_that_may_change_are_taken_from_the_file(checkpointed):
    checkpointed.flags.write_text(_FLAGS.replace("rounds=7", "rounds=9"))
    assert _parse_resume(checkpointed).training.rounds == 9


def _parse_resume(directory):
    with flagsaver.flagsaver():
        try:
            return flags.parse(["train", f"--resume={directory.path}"])
        finally:
            absl_flags.FLAGS.unparse_flags()


# What Path.home() finds for a user that no data base knows.
_HOMELESS = """
import pwd

def nobody(*_):
    raise KeyError("no such user")

pwd.getpwuid = nobody
from launch import train
train.run()
"""


def test_a_user_without_a_home_trains(tmp_path):
    root = pathlib.Path(__file__).parents[2]
    kept = {n: v for n, v in os.environ.items() if n not in ("HOME", "XDG_CACHE_HOME")}

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-c", _HOMELESS, *arguments],
            cwd=tmp_path,
            env={**kept, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=False,
        )

    done = run(*_SMALL, "--rounds=1", f"--output_dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "run" / "result.json").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    asked = run("--task=emnist", f"--output_dir={tmp_path / 'other'}")
    assert asked.returncode == 2
    assert asked.stderr == (
        "Expected data_dir, the directory that holds emnist_all.sqlite, where there "
        "is no home directory, found none.\n"
    )


def test_a_package_with_which_no_checkpoint_can_be_written(tmp_path):
    found = tmp_path / "typing_extensions-4.12.2.dist-info"
    found.mkdir()
    (found / "METADATA").write_text("Name: typing_extensions\nVersion: 4.12.2\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from launch import train\ntrain.run()"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, f"--output_dir={tmp_path / 'run'}"],
        cwd=pathlib.Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr == (
        "Expected typing_extensions 4.5, found 4.12.2, with which TensorFlow cannot "
        "write a checkpoint: pip install -c constraints.txt typing_extensions\n"
    )
    assert not (tmp_path / "run").exists()


def test_constraints_are_the_versions_of_requirements():
    root = pathlib.Path(__file__).parents[2]
    required = re.findall(
        r"^[A-Za-z0-9._-]+==[^ ]+",
        (root / "requirements.txt").read_text(),
        re.MULTILINE,
    )
    assert (root / "constraints.txt").read_text().splitlines() == required
    assert "typing-extensions==4.5.0" in required


_ERRORS = [
    (
        PermissionError(13, "Permission denied", "/d/x/a"),
        "/d/x/a: Permission denied (d",
    ),
    (NotADirectoryError(20, "Not a directory", "/e"), "found /e: Not a directory."),
    (BrokenPipeError(32, "Broken pipe"), "the system says: Broken pipe."),
]


@pytest.mark.parametrize(("error", "found"), _ERRORS)
def test_what_the_system_refuses_is_one_sentence(error, found):
    paths = {"data_dir": "/d/x", "cache_dir": "/d", "output_dir": "relative"}
    sentence = screen.error_sentence(error, paths)
    assert found in sentence
    assert screen.is_error_sentence(sentence)
    assert len(sentence.splitlines()) == 1


_LONG = "x" * 300


@pytest.mark.parametrize(
    "arguments",
    [
        [f"--output_dir=/{_LONG}"],
        [f"--output_dir={__file__}/below"],
        ["--output_dir=/proc/nothing/here"],
        [f"--resume=/{_LONG}"],
        [f"--resume={__file__}"],
        ["--task=femnist", f"--data_dir=/{_LONG}"],
        ["--task=femnist", f"--data_dir={__file__}"],
        ["--task=cifar10", f"--data_dir=/{_LONG}"],
        ["--task=emnist", f"--data_dir=/{_LONG}"],
        ["--task=cifar100", f"--data_dir={__file__}"],
        ["--clients_per_round=2", f"--client_store_dir=/{_LONG}"],
        ["--clients_per_round=2", f"--client_store_dir={__file__}"],
        [f"--flagfile=/{_LONG}"],
        [f"--flagfile={pathlib.Path(__file__).parent}"],
        [f"--flagfile={sys.executable}"],
    ],
)
def test_a_path_that_cannot_be_used_is_one_sentence(
    arguments, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    # The context of this process is that of other tests too.
    monkeypatch.setattr(train_program, "_let_go_of_default_context", lambda: None)
    with flagsaver.flagsaver():
        try:
            options = train_program._parse(["train", *arguments])
        except SystemExit as end:
            code = end.code
        else:
            code = train_program.main(options)
        finally:
            absl_flags.FLAGS.unparse_flags()
    said = capsys.readouterr()
    assert code == 2
    assert len(said.err.splitlines()) == 1
    assert said.out == ""
    assert _names(tmp_path) == []
