"""Runs over several workers, some of which are lost on the way."""

import random
import re
import signal
import socket
import time

import numpy as np
import psutil
import pytest

from tests import certificates
from tests.launch import waiting

_SMALL = ("--clients=6", "--rounds=7", "--eval_every=3", "--batch_size=16")
_EVERY_TWO = (*_SMALL, "--checkpoint_every=2", "--worker_patience=4")


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        return holder.getsockname()[1]


def _workers(process):
    """The TFF workers that a program has started, the oldest first."""
    children = psutil.Process(process.pid).children()
    found = [child for child in children if child.name() == "worker_binary"]
    return sorted(found, key=lambda child: child.create_time())


def _assert_same(directory, expected):
    for name in ("metrics.csv", "clients.csv"):
        assert (directory / name).read_bytes() == expected.read(name), name


@pytest.fixture(name="machines")
def _machines(start):
    """Two machines: the programs that lend them, and their addresses."""
    ports = [_free_port(), _free_port()]
    lenders = [start(f"--port={port}", module="launch.worker") for port in ports]
    for lender in lenders:
        while "Listening" not in lender.stdout.readline():
            assert lender.poll() is None
    yield lenders, [f"127.0.0.1:{port}" for port in ports]
    for lender in lenders:
        lender.kill()
        lender.communicate()


def test_one_hangs_and_one_is_switched_off(
    start, finish, machines, small_run, tmp_path
):
    (one, other), addresses = machines
    directory = tmp_path / "run"
    workers = f"--workers={','.join(addresses)}"
    process = start(*_EVERY_TWO, workers, f"--output_dir={directory}")
    waiting.for_rows(process, directory, 2)
    _workers(one)[0].send_signal(signal.SIGSTOP)
    waiting.for_rows(process, directory, 4)
    other.kill()
    run = finish(process)
    assert run.code == 0, run.err
    assert re.search(
        rf"The worker at {addresses[0]} did not answer for 4 seconds.* That was in "
        "round [234]; the run goes on from its last checkpoint with those that answer",
        run.err,
    )
    assert f"Going on without the worker at {addresses[1]}." in run.err
    assert "Traceback" not in run.err
    _assert_same(directory, small_run)


def test_no_worker_is_left(start, finish, train, machines, small_run, tmp_path):
    lenders, addresses = machines
    directory = tmp_path / "run"
    workers = f"--workers={','.join(addresses)}"
    process = start(*_EVERY_TWO, workers, f"--output_dir={directory}")
    waiting.for_rows(process, directory, 3)
    for lender in lenders:
        lender.kill()
    run = finish(process)
    assert run.code == 1, run.err
    last = run.err.splitlines()[-1]
    assert last.startswith(f"Expected a worker at {' and '.join(addresses)}, found ")
    assert last.endswith(f"Go on: python -m launch.train --resume={directory}")
    resumed = train(f"--resume={directory}", "--workers=2")
    assert resumed.code == 0, resumed.err
    _assert_same(directory, small_run)


def test_an_address_without_a_worker(train, tmp_path):
    address = f"127.0.0.1:{_free_port()}"
    run = train(
        *_SMALL,
        f"--workers={address}",
        "--worker_patience=1",
        directory=tmp_path / "run",
    )
    assert run.code == 1
    assert run.err.splitlines()[-1].startswith(
        f"Expected a worker at {address}, found none that answers within 1 seconds"
    )
    assert not (tmp_path / "run").exists()


def test_only_who_has_the_certificate_gets_a_worker(start, tmp_path):
    """Imports TensorFlow."""
    from tff_gs import runtime

    certificate = certificates.make(tmp_path)
    port = _free_port()
    lender = start(
        f"--port={port}", f"--certificate={certificate}", module="launch.worker"
    )
    workers = [f"127.0.0.1:{port}"]
    try:
        while "Listening" not in lender.stdout.readline():
            assert lender.poll() is None
        with runtime.execution_context(workers=workers, certificate=certificate) as own:
            assert own.place([1, 2, 3], np.int32).fetch([2, 0]) == [3, 1]
        with (
            pytest.raises(runtime.WorkerNotReachedError, match="none that answers"),
            runtime.execution_context(workers=workers, patience=2.0),
        ):
            pass
    finally:
        lender.kill()
        lender.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_workers_are_lost_at_random_moments(start, finish, small_run, tmp_path, number):
    draw = random.Random(number)
    directory = tmp_path / "run"
    process = start(*_EVERY_TWO, "--workers=2", f"--output_dir={directory}")
    waiting.for_rows(process, directory, draw.randrange(1, 6))
    time.sleep(draw.random() * 0.3)
    how = draw.choice([signal.SIGKILL, signal.SIGSTOP])
    draw.choice(_workers(process)).send_signal(how)
    run = finish(process)
    assert run.code == 0, run.err
    assert "Traceback" not in run.err
    _assert_same(directory, small_run)
