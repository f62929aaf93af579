import os
import pathlib
import signal
import subprocess
import sys
import time

import psutil
import pytest

from tests import fresh_python

_COUNTED_FORKS = """
import os
from tff_gs import runtime
from tff_gs.runtime import _worker

forks = []
os.register_at_fork(before=lambda: forks.append(1))
with runtime.execution_context():
    pass
print(len(forks))
"""

_LASTING = """
import time
from tff_gs import runtime
with runtime.execution_context():
    print("ready", flush=True)
    time.sleep(600)
"""


def _worker_of(parent):
    children = psutil.Process(parent).children()
    return next((c.pid for c in children if c.name() == "worker_binary"), None)


def _listening(process):
    connections = psutil.Process(process).connections(kind="inet")
    return [each for each in connections if each.status == psutil.CONN_LISTEN]


def test_a_worker_starts_without_a_fork_that_runs_handlers():
    # gRPC's handlers abort the forked child of a program with busy channels.
    assert fresh_python.run(_COUNTED_FORKS).stdout == "0\n"


def test_a_worker_ends_with_a_program_that_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", _LASTING], stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout.readline() == "ready\n"
            worker = _worker_of(program.pid)
            assert worker is not None
            # Neither is reached by the network.
            assert _listening(program.pid) == _listening(worker) == []
        finally:
            program.kill()
    while pathlib.Path(f"/proc/{worker}").exists():
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("binary", "ending"),
    [("/bin/false", "exit code 1"), ("killed", "signal 6 (SIGABRT)")],
)
def test_a_worker_that_ends_while_it_starts(monkeypatch, tmp_path, binary, ending):
    from tff_gs.runtime import _worker, _worker_process, worker_errors

    if binary == "killed":
        binary = tmp_path / binary
        binary.write_text(f"#!/bin/sh\necho no memory\nkill -{signal.SIGABRT:d} $$\n")
        binary.chmod(0o700)
    monkeypatch.setattr(_worker_process, "_binary", lambda: binary)
    with (
        pytest.raises(worker_errors.WorkerError) as raised,
        _worker.running_worker(
            max_concurrent_computation_calls=1, environment=os.environ
        ),
    ):
        pass
    assert ending in str(raised.value)
    if ending.startswith("signal"):
        assert "no memory" in str(raised.value)
