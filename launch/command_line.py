"""Command lines of programs with a few flags, and what is said of wrong ones."""

import sys
from collections.abc import Callable, Iterable, Sequence

from absl import flags

from launch import about, screen, topic
from tff_gs import registry

#: The exit code of a program whose input is wrong.
WRONG_INPUT = 2


def parse(argv: Sequence[str], own: topic.Topic, doc: str) -> list[str]:
    """Reads the command line of a program with few flags; help ends the program.

    Args:
      argv: The program's name and its arguments.
      own: The program's flags.
      doc: What the program says of itself, before the help of the flags.

    Returns:
      The arguments that are no flags.

    Raises:
      ValueError: In one sentence, if a flag is unknown or its value is wrong.
    """
    if informs(argv, lambda: f"{doc.strip()}\n\n{own.help_text()}"):
        sys.exit(0)
    own.values.set_gnu_getopt(True)
    try:
        _, *others = own.values(list(argv))
    except flags.UnrecognizedFlagError as error:
        raise ValueError(unknown_flag(error, own.flags)) from None
    except flags.Error as error:
        raise ValueError(sentence(error)) from None
    return others


def informs(argv: Sequence[str], help_text: Callable[[], str]) -> bool:
    """Prints the help, or the version, if a command line asks for it.

    Args:
      argv: The program's name and its arguments.
      help_text: Gives the help.
    """
    words = {word.lstrip("-") for word in argv[1:] if word.startswith("-")}
    if words.intersection(topic.HELP):
        screen.say(help_text().rstrip("\n"))
        return True
    if "version" in words:
        screen.say(about.version())
        return True
    return False


def unknown_flag(error: flags.UnrecognizedFlagError, known: Iterable[str]) -> str:
    """An unknown flag as a sentence, with the one that may have been meant."""
    meant = registry.hint(error.flagname, list(known), "--")
    closest = meant if meant != "." else ": see --help."
    return f"Expected a flag that exists, found --{error.flagname}{closest}"


def sentence(error: flags.Error) -> str:
    """An error of absl as a sentence."""
    text = " ".join(str(error).split())
    text = text[0].upper() + text[1:]
    return text if text.endswith((".", "?")) else f"{text}."
