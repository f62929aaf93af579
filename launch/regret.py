r"""How much longer a rule for k takes to a target than the best fixed k in hindsight.

    python -m launch.regret --k_grid=0.002,0.01,0.05,0.2 \
        --controllers=sign,elasticity --target_accuracy=0.8 --time_budget=300
    python -m launch.regret --k_grid=0.005,0.02 --target_loss=0.8 --time_budget=300 \
        --run="slow: --controller=log_sign --step_scale=0.1"
    python -m launch.regret --preset=rules --k_grid=0.002,0.01,0.05 --data_dir=DIR \
        --target_loss=2.6 --time_budget=1000 --seeds=0,1

Every fixed k of the grid and every rule is a run of launch.train that ends when the
target is reached, or with the time budget. Flags of launch.train hold for all runs.
As in launch.compare a run that is complete is not repeated: the same command continues.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from launch import flag_types, topic, train_flags
from launch.comparison import command, plan, preset
from launch.targets import Target
from tff_gs import _files

if TYPE_CHECKING:
    from launch.comparison import results

FLAGS = absl_flags.FlagValues()
_METHODS = topic.Topic("Fixed k and rules", values=FLAGS)
_METHODS.define(
    "k_grid",
    flag_types.amounts(),
    "the fixed k, as counts or fractions of D such as 100,0.01,0.1",
)
_METHODS.define(
    "controllers",
    flag_types.names(),
    "rules for k by their names, such as sign,value; for one with flags of its own "
    "use --run, or a preset, all of whose runs are taken",
)
_RUNS = command.define(FLAGS)
_HELP_END = (
    "Flags of launch.train, for all runs: see python -m launch.train --help. Needed\n"
    "are --time_budget and a target, such as --target_accuracy or --target_loss.\n"
)


def main(argv: Sequence[str]) -> int:
    """Runs the program; returns its exit code."""
    given = command.parse(argv, FLAGS, _help_text)
    return command.run(FLAGS, lambda: _build(given.flags), _report, _check)


def _build(others: Mapping[str, str]) -> preset.Preset:
    """The rules of the command line, after a run for each k of the grid."""
    if FLAGS.k_grid is None:
        raise ValueError("Expected --k_grid, the fixed k to compare with, found none.")
    chosen = command.build(FLAGS, others)
    rules = [
        preset.Method(name=name, label=name, flags={**others, "controller": name})
        for name in FLAGS.controllers or ()
    ]
    fixed = [
        preset.Method(
            name=_name(k),
            label=f"k = {k}",
            flags={**others, "controller": "fixed", "k": str(k)},
        )
        for k in FLAGS.k_grid
    ]
    return dataclasses.replace(
        chosen,
        name=f"regret-{chosen.name}",
        methods=command.distinct([*fixed, *chosen.methods, *rules]),
    )


def _name(k: flag_types.Amount) -> str:
    return f"k_{k}"


def _check(runs: Sequence[plan.Run]) -> None:
    """Raises ValueError unless all runs have one target and time budget."""
    limits = ("cost", "time_budget", *train_flags.TARGETS.flags)
    if len({tuple(run.completed.get(name) for name in limits) for run in runs}) > 1:
        raise ValueError(
            f"Expected the same {', '.join(limits)} for all runs, found different ones."
        )
    if not _wanted(runs[0]):
        known = [train_flags.target_flag(m.name) for m in runs[0].task.measures()]
        raise ValueError(
            f"Expected {' or '.join(f'--{name}' for name in reversed(known))}, found "
            "none of them."
        )
    if "time_budget" not in runs[0].completed:
        raise ValueError(
            "Expected --time_budget, the most time that a run may take, found none."
        )


def _wanted(run: plan.Run) -> tuple[Target, ...]:
    """What a run is made to reach."""
    bounds = {
        measure: run.completed.get(train_flags.target_flag(measure.name))
        for measure in reversed(run.task.measures())
    }
    return tuple(Target(m, float(bound)) for m, bound in bounds.items() if bound)


def _report(
    chosen: preset.Preset,
    runs: Sequence[plan.Run],
    lines: Sequence["results.Line"],
    comparison: pathlib.Path,
) -> str:
    # Not before they are needed: pandas and matplotlib take a second.
    from launch.comparison import plots, regret, results

    completed = runs[0].completed
    wanted = _wanted(runs[0])
    reaches = regret.measure(lines, set(map(_name, FLAGS.k_grid)), wanted)
    time_label = results.label_of_time(runs)
    text = regret.render(
        reaches,
        wanted,
        time_label=time_label,
        time_budget=f"{float(completed['time_budget']):g}",
    )
    csv = regret.build(reaches).to_csv(index=False, lineterminator="\n")
    _files.write_atomically(comparison / "regret.csv", csv)
    _files.write_atomically(comparison / "regret.md", text)
    title = f"Time to {regret.describe(wanted)}"
    plots.draw_regret(
        reaches, comparison / "regret.png", title=title, time_label=time_label
    )
    return f"{text}\nIn {comparison}/: regret.csv, regret.md, regret.png\n"


def _help_text() -> str:
    topics = "\n\n".join(own.help_text() for own in (_METHODS, _RUNS))
    return f"{__doc__.strip()}\n\n{topics}\n\n{_HELP_END}"


def run() -> None:
    """Runs the program on the command line; the entry point of the package."""
    sys.exit(main(sys.argv))


if __name__ == "__main__":
    run()
