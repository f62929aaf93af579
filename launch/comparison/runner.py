"""Makes the runs, each a process of `launch.train`, and says how far they are."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple, TextIO

from launch import screen
from launch.comparison import plan, standing
from tff_gs import _files

_POLL_SECONDS = 0.2
# A round in progress is finished before a run gives way to Ctrl-C.
_PATIENCE_SECONDS = 60.0
# The exit code of a run that cannot begin, or not go on from its checkpoint.
_WRONG_INPUT = 2
# With `-P` and the packages of this program imported first, a launch.py or tasks.py in
# the current directory stays out of the way; then the child finds what this program
# finds.
_CHILD = """
import json, sys
root, path = sys.argv.pop(1), json.loads(sys.argv.pop(1))
sys.path.insert(0, root)
import launch, tasks, tff_gs
sys.path[:] = path
from launch import train
train.run()
"""
_ROOT = pathlib.Path(__file__).resolve().parents[2]


class Failure(NamedTuple):
    """A run that did not become complete.

    Attributes:
      run: The run.
      sentence: Why, as the run itself says it.
    """

    run: plan.Run
    sentence: str


class _Active(NamedTuple):
    run: plan.Run
    process: subprocess.Popen
    log: IO[str]
    number: int
    started: float
    resumed: bool


@contextlib.contextmanager
def lock(comparison: pathlib.Path) -> Iterator[None]:
    """Holds the directory of a comparison, which is made if it is missing.

    Raises:
      ValueError: If another program holds it, or it cannot be written.
    """
    try:
        comparison.mkdir(parents=True, exist_ok=True)
        file = (comparison / ".lock").open("w")
    except OSError as error:
        raise ValueError(
            f"Expected an output_dir that can be written, found {comparison} "
            f"({error.strerror})."
        ) from error
    with file:
        _files.take(file, comparison, holder="another comparison")
        yield


def train_command(arguments: Sequence[str]) -> list[str]:
    """The command that runs this program's own `launch.train` with some arguments."""
    path = json.dumps([*map(str, sys.path)])
    return [sys.executable, "-P", "-c", _CHILD, str(_ROOT), path, *arguments]


def execute(
    runs: Sequence[plan.Run], *, jobs: int = 1, stream: TextIO | None = None
) -> list[Failure]:
    """Makes those of the runs that are not complete.

    Ctrl-C, or what `interruption.raised` makes of other signals, ends the runs at
    work, and is then raised on.

    Args:
      runs: The runs; one that another needs comes before it.
      jobs: How many to have at work at a time.
      stream: Where to say how far they are; by default standard output.

    Returns:
      The runs that failed, or needed one that did.

    Raises:
      ValueError: If a complete run was made with other flags, or something is in
        the way of a run; before the first run begins, unless it comes later.
    """
    complete = {run.directory for run in runs if standing.is_complete(run)}
    waiting = [run for run in runs if run.directory not in complete]
    for run in waiting:
        standing.check(run)
    return _Execution(
        waiting, complete, len(runs), screen.Patient(stream or sys.stdout)
    ).go(jobs)


class _Execution:
    def __init__(
        self,
        waiting: list[plan.Run],
        complete: set[pathlib.Path],
        total: int,
        stream: screen.Patient,
    ) -> None:
        self._waiting, self._complete, self._total = waiting, complete, total
        self._stream = stream
        self._active: list[_Active] = []
        self._failures: list[Failure] = []
        self._begun = len(complete)
        if complete:
            self._say(f"{len(complete)} of {total} runs are complete already.")

    def go(self, jobs: int) -> list[Failure]:
        try:
            while self._waiting or self._active:
                self._give_up()
                while len(self._active) < jobs and (run := self._next()):
                    self._start(run)
                self._collect()
                self._show_last_lines()
                time.sleep(_POLL_SECONDS)
        finally:
            self._stop()
        return self._failures

    def _next(self) -> plan.Run | None:
        for run in self._waiting:
            if self._complete.issuperset(run.needs):
                self._waiting.remove(run)
                return run
        return None

    def _give_up(self) -> None:
        """Fails the runs whose needs have failed."""
        failed = {failure.run.directory: failure.run for failure in self._failures}
        for run in list(self._waiting):
            for directory in run.needs:
                if directory in failed:
                    self._waiting.remove(run)
                    needed = failed[directory]
                    self._fail(
                        run, f"Not run, because it needs {needed}, which failed."
                    )
                    failed[run.directory] = run
                    break

    def _start(self, run: plan.Run, *, anew: bool = False) -> None:
        resumed = not anew and standing.is_resumable(run)
        if resumed:
            arguments = [f"--resume={run.directory}"]
        else:
            standing.prepare(run)
            arguments = [
                f"--flagfile={standing.flagfile(run)}",
                f"--output_dir={run.directory}",
            ]
        self._begun += 1
        log = standing.log(run).open("w", encoding="utf-8")
        process = subprocess.Popen(
            train_command(arguments),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # What it says comes into the log in the order in which it says it.
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            # Ctrl-C reaches this program alone, which passes it on.
            start_new_session=True,
        )
        active = _Active(run, process, log, self._begun, time.monotonic(), resumed)
        self._active.append(active)
        verb = "goes on" if resumed else "begins"
        self._say(f"[{self._begun}/{self._total}] {run}: {verb}")

    def _collect(self) -> None:
        for active in list(self._active):
            if active.process.poll() is None:
                continue
            self._active.remove(active)
            self._end(active)
            seconds = time.monotonic() - active.started
            result = standing.read_result(active.run)
            refused = active.process.returncode == _WRONG_INPUT and active.resumed
            # A disk that is full is no reason to throw away what there is.
            if refused and not screen.is_error_sentence(_last_line(active.run)):
                self._say(f"{active.run} does not go on: {_last_line(active.run)}")
                self._begun -= 1
                self._start(active.run, anew=True)
            elif active.process.returncode == 0 and result is not None:
                standing.remove_checkpoints(active.run)
                self._complete.add(active.run.directory)
                measured = ", ".join(
                    f"{measure.name} {result[measure.column]:{measure.form(3)}}"
                    for measure in active.run.task.measures()
                )
                self._say(
                    f"[{active.number}/{self._total}] {active.run}: {measured} "
                    f"after {result['rounds']} rounds, time {result['time']:.1f} "
                    f"({seconds:.0f} s)"
                )
            else:
                self._fail(active.run, _last_line(active.run) or "It said nothing.")

    def _fail(self, run: plan.Run, sentence: str) -> None:
        self._failures.append(Failure(run, sentence))
        self._say(f"{run} failed: {sentence}")

    def _stop(self) -> None:
        """Ends what is at work; nothing if all has ended."""
        for active in self._active:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(active.process.pid, signal.SIGINT)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        try:
            for active in self._active:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    active.process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            for active in self._active:
                self._end(active)

    def _end(self, active: _Active) -> None:
        """Ends all processes of a run, also a worker that it left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(active.process.pid, signal.SIGKILL)
        active.process.wait()
        active.log.close()

    def _say(self, line: str) -> None:
        clear = "\r\033[K" if self._stream.isatty() else ""
        print(f"{clear}{line}", file=self._stream, flush=True)

    def _show_last_lines(self) -> None:
        """In a terminal, how far the runs at work are, in a line that is replaced."""
        if self._stream.isatty() and self._active:
            lines = [f"{a.run}: {_last_line(a.run) or '...'}" for a in self._active]
            width = os.get_terminal_size(self._stream.fileno()).columns - 1
            print(
                f"\r\033[K{'   '.join(lines)[:width]}",
                end="",
                file=self._stream,
                flush=True,
            )


def _last_line(run: plan.Run) -> str:
    lines = standing.log(run).read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
