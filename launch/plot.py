"""Draws the picture of a run again, without running anything.

    python -m launch.plot RUN [RUN ...]

Each RUN is the directory of a run, complete or not. Its summary.png is written again,
from metrics.csv and clients.csv.
"""

import sys
from collections.abc import Sequence

from launch import command_line, existing, screen


def main(argv: Sequence[str]) -> int:
    """Runs the program; returns its exit code."""
    if command_line.informs(argv, __doc__.strip):
        return 0
    try:
        for path in _paths(argv):
            screen.say(str(_draw(existing.read(path))))
    except ValueError as error:
        screen.say_error(str(error))
        return command_line.WRONG_INPUT
    except OSError as error:
        screen.say_error(screen.error_sentence(error, {}))
        return command_line.WRONG_INPUT
    return 0


def _paths(argv: Sequence[str]) -> Sequence[str]:
    for word in argv[1:]:
        if word.startswith("-"):
            raise ValueError(f"Expected directories of runs, found the flag {word}.")
    if not argv[1:]:
        raise ValueError(
            "Expected the directory of a run, found none: python -m launch.plot RUN"
        )
    return argv[1:]


def _draw(run: existing.ExistingRun) -> object:
    """Draws the picture; returns where it is."""
    # Not before it is needed: pandas and matplotlib take a second.
    from launch import summary_plot

    captions = summary_plot.captions(
        run.options, run.flags, dimension=run.dimension, clients=run.clients
    )
    files = run.files
    summary_plot.draw(files.metrics, files.clients, files.plot, captions)
    return files.plot


def run() -> None:
    """Runs the program on the command line; the entry point of the package."""
    sys.exit(main(sys.argv))


if __name__ == "__main__":
    run()
