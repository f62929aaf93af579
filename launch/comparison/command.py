"""What `launch.compare` and `launch.regret` do alike, from command line to report."""

import dataclasses
import pathlib
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from absl import flags as absl_flags

from launch import (
    command_line,
    flag_types,
    flags,
    interruption,
    screen,
    topic,
)
from launch.comparison import gathered, plan, preset, runner, standing

if TYPE_CHECKING:
    from launch.comparison import results

WRONG_INPUT = 2
# Each is a process of half a gigabyte.
_MOST_JOBS = 1024


def define(values: absl_flags.FlagValues) -> topic.Topic:
    """Defines what the programs share; returns it as a topic of the help."""
    runs = topic.Topic("Runs", values=values)
    _define_runs(runs)
    runs.define(
        "output_dir",
        flag_types.text("a directory"),
        "where the results go, NAME/seed_SEED for each run; the same command "
        "continues there and repeats no complete run",
    )
    runs.define(
        "jobs",
        flag_types.whole_number(1, _MOST_JOBS),
        "runs to have at work at a time",
        "1",
    )
    runs.define_switch("dry_run", "show the runs and make none")
    runs.define_switch("list", "show the presets and make no run")
    return runs


def _define_runs(runs: topic.Topic) -> None:
    """Which runs there are."""
    runs.define(
        "preset",
        flag_types.text("a name or the path of a .toml file"),
        "what to run: the name of a preset (--list shows them) or a file like theirs",
    )
    runs.define(
        "size",
        flag_types.text("the name of a size"),
        "how large to run the preset, such as quick or paper; by default the first "
        "that it has",
    )
    runs.define(
        "run",
        flag_types.text("NAME: FLAGS"),
        "a run of your own, as 'NAME: --flag=value ...', in addition to those of the "
        "preset; may be given several times, and its flags win over all others",
        repeated=True,
    )
    runs.define(
        "only",
        flag_types.names(),
        "the names of the runs to make, of those that there are",
    )
    runs.define(
        "seeds", flag_types.whole_numbers(), "the seeds, in place of the preset's"
    )


def paths(values: absl_flags.FlagValues) -> dict[str, str]:
    """The programs' flags that take a path, and have one."""
    found = {name: values[name].value for name in ("output_dir", "preset")}
    return {name: path for name, path in found.items() if path is not None}


def list_presets() -> str:
    """The presets that come with the package, a line each."""
    known = preset.names()
    width = max(map(len, known))
    return "".join(f"{name:<{width}}  {preset.load(name).title}\n" for name in known)


class CommandLine(NamedTuple):
    """What is given beside a program's own flags.

    Attributes:
      flags: Flags of `launch.train`, as text.
      directories: Those of runs that are there already.
    """

    flags: dict[str, str]
    directories: Sequence[str] = ()


def parse(
    argv: Sequence[str],
    values: absl_flags.FlagValues,
    help_text: Callable[[], str],
    *,
    takes_runs: bool = False,
) -> CommandLine:
    """Reads a command line; help, the list of presets and errors end the program.

    Args:
      argv: The program's name and its arguments.
      values: Where the program's own flags are defined.
      help_text: Gives the help.
      takes_runs: Whether directories of runs may be given in place of flags.
    """
    if command_line.informs(argv, help_text):
        sys.exit(0)
    try:
        others = _read(argv, values, takes_runs=takes_runs)
        if values["list"].value:
            screen.say(list_presets().rstrip("\n"))
            sys.exit(0)
        return others
    except ValueError as error:
        screen.say_error(str(error))
        sys.exit(WRONG_INPUT)


def _read(
    argv: Sequence[str], values: absl_flags.FlagValues, *, takes_runs: bool
) -> CommandLine:
    values.set_gnu_getopt(True)
    try:
        _, *others = values(list(argv), known_only=True)
    except absl_flags.Error as error:
        raise ValueError(command_line.sentence(error)) from None
    if takes_runs and others and not any(word.startswith("-") for word in others):
        return CommandLine({}, others)
    given = flags.given([word for word in others if word != "--"], values)
    if "seed" in given:
        raise ValueError("Expected the seeds as --seeds, found --seed.")
    if "resume" in given:
        raise ValueError(
            "Expected no --resume, found it: the same command again goes on with the "
            "runs that are not complete."
        )
    return CommandLine(given)


def build(values: absl_flags.FlagValues, others: Mapping[str, str]) -> preset.Preset:
    """The preset that the command line means, its size chosen.

    Args:
      values: The program's own flags, parsed.
      others: Flags of `launch.train` for all runs: they win over those of a preset.

    Raises:
      ValueError: In one sentence, if a preset, a size or a run is unknown or wrong.
    """
    own = [_method(text, others) for text in values["run"].value or ()]
    if values["preset"].value is None:
        if values["size"].value is not None:
            raise ValueError("Expected --size with --preset only, found it without.")
        chosen = preset.Preset(
            source="command line", name="comparison", title="Comparison", methods=()
        )
    else:
        chosen = preset.load(values["preset"].value)
        if values["size"].value or chosen.sizes:
            chosen = chosen.sized(values["size"].value or next(iter(chosen.sizes)))
    methods = [
        dataclasses.replace(method, flags={**method.flags, **others})
        for method in chosen.methods
    ]
    return dataclasses.replace(
        chosen,
        methods=distinct([*methods, *own]),
        seeds=values["seeds"].value or chosen.seeds,
    )


def distinct(methods: Sequence[preset.Method]) -> tuple[preset.Method, ...]:
    """The methods; ValueError if two have one name or label."""
    for key in ("name", "label"):
        seen = [getattr(method, key) for method in methods]
        for value in seen:
            if seen.count(value) > 1:
                raise ValueError(
                    f"Expected a {key} of its own for every run, found {value!r} twice."
                )
    return tuple(methods)


def make_runs(chosen: preset.Preset, values: absl_flags.FlagValues) -> list[plan.Run]:
    """The runs of a preset, in the directory of the command line.

    Raises:
      ValueError: In one sentence, if there is no run or its flags are wrong.
    """
    if not chosen.methods:
        raise ValueError(
            "Expected --preset=NAME or --run='NAME: FLAGS', found neither; --list "
            "shows the presets."
        )
    if values["only"].value:
        chosen = chosen.only(values["only"].value)
    directory = values["output_dir"].value or f"runs/{chosen.name}"
    return plan.make(chosen, pathlib.Path(directory))


def _method(text: str, others: Mapping[str, str]) -> preset.Method:
    """The method that a --run names."""
    name, colon, words = text.partition(":")
    name = name.strip()
    if not colon:
        raise ValueError(f"Expected --run as 'NAME: --flag=value ...', found {text!r}.")
    try:
        preset.check_name(name)
        given = flags.given(shlex.split(words))
        preset.check_flags(given)
    except ValueError as error:
        raise ValueError(f"--run {name!r}: {error}") from None
    return preset.Method(name=name, label=name, flags={**others, **given})


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
      build: Gives what to run; ValueError if the command line is wrong.
      report: From the preset, its runs, what is complete of them and their directory
        to what is printed; writes files.
      check: Raises ValueError if the program has no use for such runs.

    Returns:
      The program's exit code.
    """
    try:
        with interruption.raised():
            chosen = build()
            runs = make_runs(chosen, values)
            check(runs)
            # One sentence, not one for each run; and nothing is written.
            for one in runs:
                if not standing.is_complete(one):
                    one.check_files()
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


def report_existing(
    values: absl_flags.FlagValues,
    directories: Sequence[str],
    report: Callable[
        [preset.Preset, Sequence[plan.Run], Sequence["results.Line"], pathlib.Path],
        str,
    ],
) -> int:
    """The report alone, of runs that are there; see `run`."""
    try:
        with interruption.raised():
            chosen, runs = gathered.gather(directories, values)
            comparison = runs[0].comparison
            with runner.lock(comparison):
                _report(report, chosen, runs, comparison)
    except (ValueError, OSError, KeyboardInterrupt) as error:
        return _end(error, values)
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
        screen.say_error(screen.error_sentence(error, paths(values)))
    else:
        screen.say_error(str(error))
    return WRONG_INPUT


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
