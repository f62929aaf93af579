"""From the command line to complete runs: what both programs do alike."""

import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from launch import interruption, screen, system_errors
from launch.comparison import command, plan, preset, runner, standing

if TYPE_CHECKING:
    from launch.comparison import results


def run(
    values: absl_flags.FlagValues,
    build: Callable[[], preset.Preset],
    report: Callable[
        [preset.Preset, Sequence[plan.Run], Sequence["results.Line"], pathlib.Path],
        str,
    ],
    check: Callable[[Sequence[plan.Run]], None] = lambda runs: None,
) -> int:
    """Makes the runs, then the report; says what goes wrong.

    Args:
      values: The program's flags, parsed.
      build: Gives what to run; ValueError where the command line is wrong.
      report: From the preset, its runs, what is complete of them and their directory
        to what is printed; writes files.
      check: Raises ValueError where the program has no use for such runs.

    Returns:
      The program's exit code.
    """
    try:
        with interruption.raised():
            chosen = build()
            runs = command.make_runs(chosen, values)
            check(runs)
            if values["dry_run"].value:
                screen.say("".join(map(_describe, runs)).rstrip("\n"))
                return 0
            comparison = runs[0].comparison
            with runner.lock(comparison):
                failures = runner.execute(runs, jobs=values["jobs"].value)
                _report(report, chosen, runs, comparison)
    except (ValueError, OSError, KeyboardInterrupt) as error:
        return _end(error, values)
    if failures:
        listed = "".join(f"\n  {run}: {sentence}" for run, sentence in failures)
        screen.say_error(f"\n{len(failures)} of {len(runs)} runs failed:{listed}")
        return 1
    return 0


def _end(
    error: ValueError | OSError | KeyboardInterrupt, values: absl_flags.FlagValues
) -> int:
    """Says what ends the program; returns its exit code."""
    if isinstance(error, KeyboardInterrupt):
        screen.say_error(
            "\nInterrupted; complete runs are kept, and the same command continues."
        )
        return interruption.exit_code(error)
    if isinstance(error, OSError):
        screen.say_error(system_errors.sentence(error, command.paths(values)))
    else:
        screen.say_error(str(error))
    return command.WRONG_INPUT


def _report(
    report: Callable[..., str],
    chosen: preset.Preset,
    runs: Sequence[plan.Run],
    comparison: pathlib.Path,
) -> None:
    # Not before it is needed: pandas takes a while.
    from launch.comparison import results

    lines = results.collect(chosen.methods, runs)
    if any(line.results for line in lines):
        screen.say(f"\n{report(chosen, runs, lines, comparison)}".rstrip("\n"))


def _describe(run: plan.Run) -> str:
    state = "complete" if standing.is_complete(run) else "to do"
    return f"{run} ({state}), in {run.directory}:\n  {' '.join(run.arguments)}\n"
