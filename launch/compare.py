r"""Makes several runs of launch.train, and compares them in one table and picture.

    python -m launch.compare --list
    python -m launch.compare --preset=methods --data_dir=DIR
    python -m launch.compare --preset=rules --size=paper --data_dir=DIR --seeds=0,1,2
    python -m launch.compare --preset=mine.toml --time_budget=500 --learning_rate=0.05
    python -m launch.compare --run="small: --k=100" --run="large: --k=0.1" \
        --controller=fixed --rounds=50
    python -m launch.compare RUN RUN --output_dir=DIR

Flags of launch.train may be given too, and hold for all runs: they win over those of
a preset. Every run has a directory of its own. A run that is complete is not repeated:
after Ctrl-C, or when a run has failed, the same command continues. If directories of
complete runs are given in place of that, nothing is run: they are compared.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from launch import flag_types, topic
from launch.comparison import command, plan, preset
from tff_gs import _files

if TYPE_CHECKING:
    from launch.comparison import results

FLAGS = absl_flags.FlagValues()
_RUNS = command.define(FLAGS)
_TABLE = topic.Topic(
    "Table and picture", values=FLAGS, choices={"Compared over": preset.OVER}
)
_TABLE.define(
    "at",
    flag_types.ascending(),
    "the times, rounds or megabytes at which the table shows what was measured; by "
    "default the preset's, or the quarters of what half of the runs have reached",
)
_TABLE.define(
    "over",
    flag_types.choice(preset.OVER),
    "what to compare over; by default what the preset says, or time",
)
_HELP_END = (
    "Flags of launch.train, for all runs: see python -m launch.train --help, and\n"
    "docs/comparisons.md for how to write a preset and what the table says.\n"
)


def main(argv: Sequence[str]) -> int:
    """Runs the program; returns its exit code."""
    given = command.parse(argv, FLAGS, _help_text, takes_runs=True)
    if given.directories:
        return command.report_existing(FLAGS, given.directories, _report)
    return command.run(FLAGS, lambda: command.build(FLAGS, given.flags), _report)


def _report(
    chosen: preset.Preset,
    runs: Sequence[plan.Run],
    lines: Sequence["results.Line"],
    comparison: pathlib.Path,
) -> str:
    # Not before they are needed: pandas and matplotlib take a second.
    from launch.comparison import plots, results, table

    over = results.build_abscissa(FLAGS.over or chosen.over, runs)
    # Those of the preset are in its own unit.
    at = FLAGS.at or (chosen.at if FLAGS.over in (None, chosen.over) else None)
    if at is None:
        at = table.choose_positions(lines, over)
    measures = results.measures_of(runs)
    text = table.render(lines, over, at, measures, title=chosen.title)
    numbers = table.build(lines, over, at, measures)
    csv = numbers.to_csv(index=False, lineterminator="\n")
    _files.write_atomically(comparison / "comparison.csv", csv)
    _files.write_atomically(comparison / "comparison.md", text)
    plots.draw_comparison(
        lines,
        over,
        comparison / "comparison.png",
        measures,
        title=chosen.title,
        loss_label=results.label_of_loss(runs),
    )
    files = "comparison.csv, comparison.md, comparison.png"
    return f"{text}\nIn {comparison}/: {files}\n"


def _help_text() -> str:
    topics = "\n\n".join(own.help_text() for own in (_RUNS, _TABLE))
    presets = "\n".join(f"  {line}" for line in command.list_presets().splitlines())
    return f"{__doc__.strip()}\n\n{topics}\n\nPresets\n{presets}\n\n{_HELP_END}"


def run() -> None:
    """Runs the program on the command line; the entry point of the package."""
    sys.exit(main(sys.argv))


if __name__ == "__main__":
    run()
