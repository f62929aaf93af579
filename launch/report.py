r"""Shows runs on one HTML page: on any link, and round by round.

    python -m launch.report runs/mine
    python -m launch.report runs/methods/*/seed_0 --output=methods.html

The page opens from the disk, without a network and without this program. It computes
the seconds of every round from the bits that were counted in it: docs/demo.md says what
is exact, and what is not.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags as absl_flags

from launch import command_line, flag_types, interruption, screen, topic
from tff_gs import _files

FLAGS = absl_flags.FlagValues()
_PAGE = topic.Topic("Page", values=FLAGS)
_PAGE.define(
    "output",
    flag_types.text("the path of an .html file"),
    "the page; one that is there is replaced",
    "report.html",
)
_SUFFIX = ".html"


def main(argv: Sequence[str]) -> int:
    """Runs the program; returns its exit code."""
    try:
        directories = _parse(argv)
        output = pathlib.Path(FLAGS.output)
        with interruption.raised():
            screen.say(write(directories, output))
    except ValueError as error:
        screen.say_error(str(error))
        return command_line.WRONG_INPUT
    except OSError as error:
        screen.say_error(screen.error_sentence(error, {"output": FLAGS.output}))
        return command_line.WRONG_INPUT
    except KeyboardInterrupt as error:
        screen.say_error("Interrupted; no page was written.")
        return interruption.exit_code(error)
    return 0


def write(directories: Sequence[pathlib.Path], output: pathlib.Path) -> str:
    """Writes the page of some runs.

    Args:
      directories: Of the runs, at least one.
      output: Where the page goes.

    Returns:
      What to tell the user, a line.

    Raises:
      ValueError: In one sentence, if a directory is no run, or the runs do not belong
        on one page.
      OSError: If the page cannot be written.
    """
    from launch.reporting import page, recorded

    text = page.render([recorded.read(path) for path in directories])
    _files.write_atomically(output, text)
    count = len(directories)
    shown = f"{count} run{'s' if count > 1 else ''}, {len(text.encode()) / 1000:.0f} kB"
    return f"{output}: {shown}. Open it in a browser: {output.absolute().as_uri()}"


def _parse(argv: Sequence[str]) -> list[pathlib.Path]:
    """Reads the command line; returns the directories."""
    words = command_line.parse(argv, _PAGE, __doc__)
    if not words:
        raise ValueError("Expected the directory of a run, or several, found none.")
    if pathlib.Path(FLAGS.output).suffix != _SUFFIX:
        raise ValueError(
            f"Expected --output as a file that ends in {_SUFFIX}, found "
            f"{FLAGS.output!r}."
        )
    # A pattern of the shell may name a run that is named already.
    return [pathlib.Path(word) for word in dict.fromkeys(words)]


def run() -> None:
    """Runs the program on the command line; the entry point of the package."""
    sys.exit(main(sys.argv))


if __name__ == "__main__":
    run()
