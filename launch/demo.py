"""Trains over slow links in some minutes, and shows it on one HTML page.

    python -m launch.demo
    python -m launch.demo --output_dir=DIR

On scikit-learn's handwritten digits, which need no download: dense updates, FAB-top-k
at a fixed k, and k learned with FAB-top-k and FAB consensus on links from HF radio to
LTE. All runs together take about two minutes on two idle cores. A run that is complete
is not repeated: after Ctrl-C the same command continues.
"""

import dataclasses
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags as absl_flags

from launch import report, screen
from launch.comparison import command, plan, preset

if TYPE_CHECKING:
    from launch.comparison import results

FLAGS = absl_flags.FlagValues()
_RUNS = command.define(FLAGS)
_PRESET = pathlib.Path(__file__).parent / "reporting" / "demo.toml"
_PAGE = "demo.html"
_DEFAULTS = {"preset": str(_PRESET), "output_dir": "demo", "jobs": "2"}
for _name, _text in _DEFAULTS.items():
    FLAGS.set_default(_name, _text)
# Of the flags that comparisons have.
_SHOWN = ["output_dir", "jobs", "only", "dry_run"]
_HELP_END = (
    "Flags of launch.train, for all runs, such as --clients=20: see\n"
    "python -m launch.train --help.\n"
)


def main(argv: Sequence[str]) -> int:
    """Runs the program; returns its exit code."""
    given = command.parse(argv, FLAGS, _help_text)
    return command.run(
        FLAGS, lambda: command.build(FLAGS, given.flags), _report, _announce
    )


def _announce(runs: Sequence[plan.Run]) -> None:
    """Says what is coming: the first run says nothing for a while."""
    if not FLAGS.dry_run:
        screen.say(f"Digits over slow links: {len(runs)} runs, then the page.")


def _report(
    chosen: preset.Preset,
    runs: Sequence[plan.Run],
    lines: Sequence["results.Line"],
    comparison: pathlib.Path,
) -> str:
    """Writes the page of the runs that are complete; says where it is."""
    del chosen
    complete = {(line.name, found.seed) for line in lines for found in line.results}
    directories = [
        run.directory for run in runs if (run.method.name, run.seed) in complete
    ]
    return report.write(directories, comparison / _PAGE)


def _help_text() -> str:
    shown = dataclasses.replace(_RUNS, flags=_SHOWN)
    return f"{__doc__.strip()}\n\n{shown.help_text()}\n\n{_HELP_END}"


def run() -> None:
    """Runs the program on the command line; the entry point of the package."""
    sys.exit(main(sys.argv))


if __name__ == "__main__":
    run()
