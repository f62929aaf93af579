"""Comparisons on a machine that misbehaves."""

import io
import os
import signal
import subprocess
import sys

import pytest

from launch import compare, run_directory, screen
from launch.comparison import command, results, runner, standing
from tests.launch import made_up_runs

_METHOD = made_up_runs.method("a", "--k=100", "--controller=fixed")


def _session(build, capsys):
    code = command.run(compare.FLAGS, build, report=lambda *arguments: "")
    return code, capsys.readouterr().err.strip().splitlines()


@pytest.fixture(name="flags", autouse=True)
def _flags():
    compare.FLAGS(["compare"])
    yield
    compare.FLAGS.unparse_flags()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_a_signal_ends_a_comparison_as_ctrl_c_does(number, code, capsys):
    found, said = _session(lambda: os.kill(os.getpid(), number), capsys)
    assert found == code
    assert said == [
        "Interrupted; complete runs are kept, and the same command continues."
    ]


def test_what_the_system_refuses_is_one_sentence(capsys, tmp_path):
    found, said = _session(lambda: (tmp_path / "none").read_text(), capsys)
    assert found == 2
    assert said == [
        f"Expected files that can be read and written, found {tmp_path}/none: No such "
        "file or directory."
    ]


@pytest.mark.parametrize("name", ["metrics.csv", "clients.csv"])
def test_a_table_that_is_not_as_its_run_left_it_is_named(tmp_path, name):
    (run,) = made_up_runs.make_runs(tmp_path / "c", _METHOD)
    # The last row is torn; what is left of it can be read.
    made_up_runs.leave(run, made_up_runs.metrics([1, 2], [1.0, 0.5]))
    files = run_directory.RunDirectory(run.directory)
    result = standing.read_result(run)
    files.finish(result)
    assert len(results.collect([run.method], [run])[0].results) == 1
    path = run.directory / name
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ValueError, match=rf"found: {name} is not as the run left it\."):
        results.collect([run.method], [run])


@pytest.mark.parametrize("is_full", [True, False])
def test_a_run_that_found_no_room_is_not_thrown_away(tmp_path, monkeypatch, is_full):
    (run,) = made_up_runs.make_runs(tmp_path / "c", _METHOD)
    refused = "Expected a checkpoint, found none."
    full = screen.error_sentence(OSError(28, "No space left on device", "/x"), {})
    started = []

    class Popen(subprocess.Popen):
        def __init__(self, command, **options):
            started.append(command)
            code = f"import sys; print({full if is_full else refused!r}); sys.exit(2)"
            super().__init__([sys.executable, "-c", code], **options)

    monkeypatch.setattr(runner.subprocess, "Popen", Popen)
    monkeypatch.setattr(standing, "is_resumable", lambda run: True)
    standing.prepare(run)
    run.directory.mkdir(parents=True)
    (run.directory / "metrics.csv").write_text("round\n1\n")
    failures = runner.execute([run], stream=io.StringIO())
    assert (run.directory / "metrics.csv").exists() == is_full
    assert [failure.sentence for failure in failures] == [full if is_full else refused]
    assert f"--resume={run.directory}" in started[0]
    # It is made anew, and refused once more, where its checkpoint is of no use.
    assert len(started) == (1 if is_full else 2)
