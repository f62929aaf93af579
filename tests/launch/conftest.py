"""Runs of the program, each made once for all tests of this folder."""

import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import pytest

_ROOT = pathlib.Path(__file__).parents[2]
# Far beyond what a run takes, so that a hanging one fails.
_SECONDS = 600
SMALL = (
    "--clients=6",
    "--rounds=7",
    "--eval_every=3",
    "--batch_size=16",
)


# Ends as `kill -9` does, when the files have what round 5 came to.
_KILLED = """
import os, signal
from launch import recorder, train

record = recorder.Recorder.record

async def record_and_die(self, value, key):
    await record(self, value, key)
    if key == 5:
        os.kill(os.getpid(), signal.SIGKILL)

recorder.Recorder.record = record_and_die
train.run()
"""


class Run(NamedTuple):
    directory: pathlib.Path
    code: int
    out: str
    err: str

    def read(self, name):
        return (self.directory / name).read_bytes()


def start(*arguments, module="launch.train"):
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process, directory=None):
    try:
        out, err = process.communicate(timeout=_SECONDS)
    finally:
        process.kill()
    return Run(directory, process.returncode, out, err)


def train(*arguments, directory=None):
    if directory is not None:
        arguments = (*arguments, f"--output_dir={directory}")
    return finish(start(*arguments), directory)


def train_until_killed(*arguments, directory):
    """Runs the program, which is killed after round 5."""
    run = subprocess.run(
        [sys.executable, "-c", _KILLED, *arguments, f"--output_dir={directory}"],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    assert run.returncode == -9, run.stderr


@pytest.fixture(name="train_until_killed", scope="session")
def _train_until_killed():
    return train_until_killed


@pytest.fixture(name="start", scope="session")
def _start():
    return start


@pytest.fixture(name="finish", scope="session")
def _finish():
    return finish


@pytest.fixture(name="train", scope="session")
def _train():
    return train


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    return train(*SMALL, directory=tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="session")
def repeated_run(small_run, tmp_path_factory):
    """The small run again, from the flags that it left."""
    flags = f"--flagfile={small_run.directory / 'flags.txt'}"
    return train(flags, directory=tmp_path_factory.mktemp("runs") / "repeated")


@pytest.fixture(scope="session")
def paper_run(tmp_path_factory):
    """The paper's method and rule."""
    directory = tmp_path_factory.mktemp("runs") / "paper"
    return train(
        *SMALL, "--sparsifier=fab_top_k", "--controller=sign", directory=directory
    )


@pytest.fixture(scope="session")
def diverged_run(tmp_path_factory):
    return train(
        *SMALL,
        "--learning_rate=1e30",
        directory=tmp_path_factory.mktemp("runs") / "diverged",
    )


@pytest.fixture(scope="session")
def interrupted_run(tmp_path_factory):
    """A run over links, with another seed and fixed k, interrupted after rounds."""
    directory = tmp_path_factory.mktemp("runs") / "interrupted"
    process = start(
        *SMALL,
        "--rounds=100000",
        "--seed=1",
        "--controller=fixed",
        "--k=0.01",
        "--cost=links",
        f"--output_dir={directory}",
    )
    timing = directory / "timing.csv"
    deadline = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if timing.exists() and timing.read_text().count("\n") > 5:
            # As a terminal does: to the program and its worker.
            os.killpg(process.pid, signal.SIGINT)
            break
        time.sleep(0.1)
    return finish(process, directory)
