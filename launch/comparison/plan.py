"""From a preset to the runs that it means, in an order in which they can be made."""

import dataclasses
import pathlib
from collections.abc import Mapping

import tasks
from launch import flags
from launch.comparison import preset as preset_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """One run of `launch.train`.

    Attributes:
      method: The method that it is a run of.
      seed: Its seed.
      flags: What it is started with, as text; `seed` included, `output_dir` not.
      completed: The same with every default.
      needs: The directories of the runs that must be complete before.
      directory: Where its results go.
      comparison: The directory of the comparison.
    """

    method: preset_lib.Method
    seed: int
    flags: Mapping[str, str]
    completed: Mapping[str, str]
    needs: tuple[pathlib.Path, ...]
    directory: pathlib.Path
    comparison: pathlib.Path

    def __str__(self) -> str:
        return f"{self.method.name}, seed {self.seed}"

    def check_files(self) -> None:
        """Raises ValueError if files that the run reads are missing."""
        try:
            flags.parse(["", *self.arguments], flags.fresh()).task.check_files()
        except ValueError as error:
            raise ValueError(f"run {self.method.name!r}: {error}") from None

    @property
    def task(self) -> type[tasks.Task]:
        """What is learned."""
        return tasks.TASKS[self.completed["task"]]

    @property
    def arguments(self) -> list[str]:
        """The command line, as the run's flagfile holds it."""
        return [f"--{name}={text}" for name, text in self.flags.items()]


def make(preset: preset_lib.Preset, comparison: pathlib.Path) -> list[Run]:
    """The runs of a preset: seed by seed, and within a seed in the preset's order.

    A run that another one refers to comes before it.

    Args:
      preset: What to compare; its sizes are not looked at.
      comparison: The directory of the comparison.

    Raises:
      ValueError: In one sentence, if the flags of a run are wrong, or a run refers
        to one that does not exist, or to itself by way of others.
    """
    methods = _ordered(preset)
    return [_run(m, seed, preset, comparison) for seed in preset.seeds for m in methods]


def _ordered(preset: preset_lib.Preset) -> list[preset_lib.Method]:
    by_name = {method.name: method for method in preset.methods}
    ordered: list[preset_lib.Method] = []

    def add(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            circle = " -> ".join((*path[path.index(name) :], name))
            raise ValueError(
                f"{preset.source}: expected runs that do not need each other in a "
                f"circle, found {circle}."
            )
        if name not in by_name:
            raise ValueError(
                f"{preset.source}, run {path[-1]!r}: expected {{run:NAME}} with NAME "
                f"one of {', '.join(by_name)}, found {{run:{name}}}."
            )
        for other in preset_lib.needed(_flags(by_name[name], preset)):
            add(other, (*path, name))
        if by_name[name] not in ordered:
            ordered.append(by_name[name])

    for method in preset.methods:
        add(method.name, ())
    return ordered


def _flags(method: preset_lib.Method, preset: preset_lib.Preset) -> Mapping[str, str]:
    return {**preset.flags, **method.flags}


def _run(
    method: preset_lib.Method,
    seed: int,
    preset: preset_lib.Preset,
    comparison: pathlib.Path,
) -> Run:
    def directory(name: str) -> pathlib.Path:
        return comparison / name / f"seed_{seed}"

    given = _flags(method, preset)
    filled = {
        flag: preset_lib.fill_in(text, lambda name: str(directory(name)))
        for flag, text in given.items()
    }
    filled["seed"] = str(seed)
    try:
        completed = flags.completed(filled)
    except ValueError as error:
        raise ValueError(f"{preset.source}, run {method.name!r}: {error}") from None
    return Run(
        method=method,
        seed=seed,
        flags=filled,
        completed=completed,
        needs=tuple(directory(name) for name in preset_lib.needed(given)),
        directory=directory(method.name),
        comparison=comparison,
    )
