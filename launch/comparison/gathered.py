"""Runs that are there already, as the runs of a comparison."""

import pathlib
import re
from collections.abc import Sequence

from absl import flags as absl_flags

from launch import existing
from launch.comparison import plan, preset

# What chooses which runs are made.
_OF_OTHERS = ("preset", "size", "run", "only", "seeds")
_SEED_DIRECTORY = re.compile(r"seed_\d+")


def gather(
    directories: Sequence[str], values: absl_flags.FlagValues
) -> tuple[preset.Preset, list[plan.Run]]:
    """The preset that the runs would be of, and the runs.

    Runs whose flags differ by the seed only are one line.

    Args:
      directories: Those of complete runs.
      values: The program's own flags, parsed.

    Raises:
      ValueError: In one sentence, if one of them is no complete run, or the same run
        comes twice, or flags choose other runs.
    """
    for name in _OF_OTHERS:
        if values[name].value is not None:
            raise ValueError(
                f"Expected either directories of runs or --{name}, found both."
            )
    lines: dict[tuple[tuple[str, str], ...], list[existing.ExistingRun]] = {}
    for directory in directories:
        run = _complete(directory)
        without_seed = {**run.flags, "seed": ""}
        lines.setdefault(tuple(without_seed.items()), []).append(run)
    names = _names([runs[0].files.path for runs in lines.values()])
    comparison = pathlib.Path(values["output_dir"].value or "runs/comparison")
    methods, made = [], []
    for name, runs in zip(names, lines.values(), strict=True):
        method = preset.Method(name=name, label=name, flags={})
        methods.append(method)
        seeds = [run.options.training.seed for run in runs]
        if len(set(seeds)) < len(seeds):
            raise ValueError(
                "Expected different runs, found runs with the same flags and seed: "
                f"{', '.join(str(run.files.path) for run in runs)}."
            )
        made += [
            _as_run(run, method, seed, comparison)
            for run, seed in zip(runs, seeds, strict=True)
        ]
    chosen = preset.Preset(
        source="command line",
        name="comparison",
        title="Comparison",
        methods=tuple(methods),
    )
    return chosen, made


def _complete(directory: str) -> existing.ExistingRun:
    run = existing.read(directory)
    if not run.is_complete:
        raise ValueError(
            f"Expected complete runs, found {directory} without a "
            f"{run.files.result.name}: python -m launch.train --resume={directory}"
        )
    return run


def _as_run(
    run: existing.ExistingRun,
    method: preset.Method,
    seed: int,
    comparison: pathlib.Path,
) -> plan.Run:
    return plan.Run(
        method=method,
        seed=seed,
        flags=run.flags,
        completed=run.flags,
        needs=(),
        directory=run.files.path,
        comparison=comparison,
    )


def _names(paths: Sequence[pathlib.Path]) -> list[str]:
    """What the lines are called: by their directories, as far as these differ."""
    short = [_short(path) for path in paths]
    return [
        name if short.count(name) == 1 else str(path)
        for name, path in zip(short, paths, strict=True)
    ]


def _short(path: pathlib.Path) -> str:
    path = path.resolve()
    # As launch.compare names the runs that it makes.
    return path.parent.name if _SEED_DIRECTORY.fullmatch(path.name) else path.name
