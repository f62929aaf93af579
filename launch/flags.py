"""Reads the flags of `launch.train`, from a command line or an earlier run."""

import copy
import dataclasses
import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from absl import flags

import tasks
from launch import (
    command_line,
    flag_types,
    plugins,
    populations,
    run_directory,
    targets,
    train_flags,
    worker_flags,
)
from launch.options import (
    MethodOptions,
    ParticipationOptions,
    RunOptions,
    TrainingOptions,
    WorkerOptions,
)
from tff_gs.configuration import options_of
from tff_gs.controllers.registry import CONTROLLERS
from tff_gs.registry import Registry

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")

# What flags.txt does not hold.
_OF_ONE_START = ("output_dir", "resume")


def parse(argv: Sequence[str], values: flags.FlagValues | None = None) -> RunOptions:
    """The options that the command line means.

    Args:
      argv: The program's name and the flags.
      values: Where the flags' values go; by default the flags of this program.

    Raises:
      ValueError: In one sentence, if a flag is unknown or its value is wrong, or if
        something is not a flag.
    """
    values = values or flags.FLAGS
    read(argv, values)
    if values.resume is not None:
        _take_over(values)
    for name, default in dataclasses.asdict(tasks.TASKS[values.task].defaults).items():
        if name != "rounds" or values.time_budget is None:
            values.set_default(name, str(default))
    output_dir_given = values.output_dir is not None
    if not output_dir_given:
        now = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
        values.set_default("output_dir", f"runs/{values.task}-{now}")
    participation = _collect(ParticipationOptions, values)
    populations.check_options(participation)
    machines = _collect(WorkerOptions, values)
    worker_flags.check(machines)
    parts = {
        flag: parts.build(values[flag].value, _given(parts, values), flag=flag)
        for flag, parts, _ in train_flags.PARTS
    }
    return RunOptions(
        task=parts["task"],
        method=_collect(MethodOptions, values, sparsifier=parts["sparsifier"]),
        controller=parts["controller"],
        cost=parts["cost"],
        training=_collect(TrainingOptions, values, targets=_targets(values)),
        participation=participation,
        machines=machines,
        output_dir=values.output_dir,
        output_dir_given=output_dir_given,
        checkpoint_every=values.checkpoint_every,
        resumed=values.resume is not None,
    )


def _targets(values: flags.FlagValues) -> tuple[targets.Target, ...]:
    """The targets that are given; ValueError if the task does not measure one."""
    measures = {m.name: m for m in tasks.TASKS[values.task].measures()}
    given = {
        name: values[flag].value
        for flag in train_flags.TARGETS.flags
        if values[flag].value is not None
        for name in [flag.removeprefix(train_flags.target_flag(""))]
    }
    for name in given:
        if name not in measures:
            known = ", ".join(f"--{train_flags.target_flag(own)}" for own in measures)
            raise ValueError(
                f"Expected for --task={values.task} a target of what it measures "
                f"({known}), found --{train_flags.target_flag(name)}."
            )
    return tuple(targets.Target(measures[name], given[name]) for name in given)


def load_plugins(argv: Sequence[str]) -> None:
    """Loads the plugins that a command line names; their options become flags.

    Args:
      argv: Flags, also those of other programs.

    Raises:
      ValueError: In one sentence, if a plugin cannot be loaded, or an option of its
        parts can be no flag.
    """
    plugins.load_installed()
    plugins.load(plugins.named_by(argv))
    train_flags.define_parts()


def read(
    argv: Sequence[str], values: flags.FlagValues, others: Iterable[str] = ()
) -> None:
    """Reads flags into `values`, after plugins are loaded.

    Args:
      argv: The program's name and the flags.
      values: Where the flags are defined.
      others: Flags that the program has beside those, and that may have been meant.

    Raises:
      ValueError: As `parse` does.
    """
    load_plugins(argv)
    try:
        rest = values(list(argv))
    except flags.UnrecognizedFlagError as error:
        known = [name for topic in train_flags.TOPICS for name in topic.flags]
        sentence = command_line.unknown_flag(error, [*others, *known])
        raise ValueError(sentence) from None
    except flags.Error as error:
        raise ValueError(command_line.sentence(error)) from None
    if len(rest) > 1:
        raise ValueError(f"Expected flags only, found {rest[1]!r}.")


def used(values: flags.FlagValues | None = None) -> dict[str, str]:
    """The flags that repeat the run, as text: defaults included.

    Without `output_dir` and `resume`.
    """
    text = _as_text(values or flags.FLAGS, lambda flag: flag.value is not None)
    return {name: text[name] for name in text if name not in _OF_ONE_START}


def plugins_used() -> Sequence[str]:
    """The plugins that the run's flags name."""
    return flags.FLAGS.plugins or ()


def paths(values: flags.FlagValues | None = None) -> dict[str, str]:
    """The flags that take a path, and have one."""
    values = values or flags.FLAGS
    found = {name: values[name].value for name in train_flags.path_flags()}
    return {name: path for name, path in found.items() if path is not None}


def _take_over(values: flags.FlagValues) -> None:
    """Completes the flags given by those of the run that is resumed."""
    directory_of_run = run_directory.RunDirectory(values.resume)
    path = directory_of_run.flags
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"Expected the directory of a run as resume, found {values.resume} "
            f"without a {path.name} that can be read."
        ) from error
    given_flags = _as_text(values, lambda flag: flag.present)
    directory = given_flags.pop("resume")
    try:
        _read_anew(lines, values)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    recorded = _as_text(values, lambda flag: flag.present)
    _check_recorded(recorded, directory_of_run)
    for name, text in given_flags.items():
        found = directory if name == "output_dir" else recorded.get(name)
        if _is_fixed(name, recorded) and text != found:
            has = "no such flag" if found is None else f"--{name}={found}"
            raise ValueError(
                f"Expected flags of the run that is resumed, which has {has}, found "
                f"--{name}={text}."
            )
    taken = {**recorded, **given_flags, "resume": directory, "output_dir": directory}
    _read_anew([f"--{name}={text}" for name, text in taken.items()], values)


def _is_fixed(name: str, recorded: Mapping[str, str]) -> bool:
    """Whether a run that is resumed must have the flag that it began with."""
    if name == "rounds":
        return _counts_rounds(recorded.get("controller"))
    return not train_flags.may_change(name)


def _counts_rounds(rule: str | None) -> bool:
    """Whether a rule chooses its constants by the number of rounds."""
    if rule is None or rule not in CONTROLLERS:
        return False
    return "horizon" in (option.name for option in options_of(CONTROLLERS[rule]))


def _check_recorded(
    recorded: Mapping[str, str], directory: run_directory.RunDirectory
) -> None:
    """Raises ValueError unless flags.txt is as the last checkpoint knows it."""
    if not recorded:
        raise ValueError(
            f"Expected the flags of a run in {directory.flags}, found none."
        )
    notes = directory.saved_notes()
    check_saved(notes.get("flags", {}), recorded, directory)
    plugins.require_unchanged(
        notes.get("plugins", {}),
        f"the run in {directory.path} was made",
        "put it back, or begin another run",
    )


def check_saved(
    saved: Mapping[str, str],
    recorded: Mapping[str, str],
    directory: run_directory.RunDirectory,
) -> None:
    """Raises ValueError unless a checkpoint is of the run that its directory says.

    Args:
      saved: The flags that were noted with the checkpoint; empty: not noted.
      recorded: Those of flags.txt.
      directory: Where both are.
    """
    for name in dict.fromkeys([*saved, *recorded] if saved else ()):
        found, wanted = recorded.get(name), saved.get(name)
        if found != wanted and (_is_fixed(name, saved) or found is None):
            raise ValueError(
                f"Expected in {directory.flags} {_shown(name, wanted)}, which the last "
                f"checkpoint was written with, found {_shown(name, found)}."
            )


def _shown(name: str, text: str | None) -> str:
    return f"no --{name}" if text is None else f"--{name}={text}"


def _read_anew(arguments: Sequence[str], values: flags.FlagValues) -> None:
    """Reads flags as if none had been given."""
    for topic in train_flags.TOPICS:
        for name in topic.flags:
            values[name].unparse()
    read(["", *arguments], values)


def given(arguments: Sequence[str], others: Iterable[str] = ()) -> dict[str, str]:
    """What `arguments` give, flag by flag as text; see `parse` for the errors.

    For a program that runs this one, and itself has none of its flags.

    Args:
      arguments: Flags of this program.
      others: Those of the other one, which may have been meant.
    """
    # Before the copy is made, so that it has their flags.
    load_plugins(arguments)
    values = fresh()
    read(["", *arguments], values, others)
    return _as_text(values, lambda flag: flag.present)


def completed(given_flags: Mapping[str, str]) -> dict[str, str]:
    """What `used` is for a run with the flags given; see `parse` for the errors."""
    arguments = [f"--{name}={text}" for name, text in given_flags.items()]
    load_plugins(arguments)
    values = fresh()
    parse(["", *arguments], values)
    return used(values)


def fresh() -> flags.FlagValues:
    """The flags of this program as they are defined, with no value given to them."""
    return copy.deepcopy(flags.FLAGS)


def _as_text(
    values: flags.FlagValues, condition: Callable[[flags.Flag], bool]
) -> dict[str, str]:
    serializer = flag_types.Serializer()
    return {
        name: serializer.serialize(values[name].value)
        for topic in train_flags.TOPICS
        for name in topic.flags
        if condition(values[name])
    }


def help_text() -> str:
    """The help: all flags, topic by topic, with the names that they take."""
    blocks = [topic.help_text() for topic in train_flags.TOPICS]
    blocks.append(
        "--flagfile=FILE reads flags from a file, such as the flags.txt of an earlier\n"
        "run; --helpfull adds the flags of absl."
    )
    return "\n\n".join(blocks) + "\n"


def _collect(options: type[Options], values: flags.FlagValues, **known: Any) -> Options:
    """The dataclass `options`, each other field from the flag of its name."""
    names = [field.name for field in dataclasses.fields(options)]
    found = {name: values[name].value for name in names if name not in known}
    return options(**found, **known)


def _given(parts: Registry, values: flags.FlagValues) -> dict[str, Any]:
    """The options of `parts` that flags give."""
    found = {name: values[name].value for name in parts.options()}
    return {name: value for name, value in found.items() if value is not None}
