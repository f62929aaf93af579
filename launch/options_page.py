"""Writes docs/options.md: the parts and their options, as their classes say them.

python -m launch.options_page > docs/options.md
python -m launch.options_page --plugins=my_module   # with parts of your own
"""

import sys
from collections.abc import Iterable, Sequence

import tasks
from launch import flag_types, flags, screen, topic
from tff_gs.configuration import Option
from tff_gs.controllers.registry import CONTROLLERS
from tff_gs.costs.registry import COSTS
from tff_gs.encoders.registry import INDEX_CODES, VALUE_CODES
from tff_gs.registry import Registry
from tff_gs.sparsifiers.registry import SPARSIFIERS

_HEAD = """# Parts and their options

A part is chosen by a flag, and its options are flags too. An option that the chosen
part does not take is an error. In Python the same names are arguments of the part's
class: `--controller=sign --alpha=2` is `controllers.SignDescent(alpha=2)`. Words and
symbols are explained in [words.md](words.md).

A count of entries is a whole number from 1 on. A fraction of D is above 0 and at most
1; 1.0 is all.

The classes of the parts say all of this. To write this page again, type
`python -m launch.options_page > docs/options.md`. With `--plugins=my_module` it also
has the parts of that module
([how to write one](../CONTRIBUTING.md#parts-of-your-own)).
"""

_OPTIONS = ("option", "type", "default", "range", "meaning", "taken by")

_OF_TASKS = """What a task measures on its test data is a column `test_NAME` of
metrics.csv, and a target, `--target_NAME`. Some flags have another default with each
task:
"""


def page() -> str:
    """The page, as Markdown."""
    sections = (
        _HEAD,
        _section("Rules for k", "`--controller=NAME`", CONTROLLERS),
        _section("Sparsifiers", "`--sparsifier=NAME`", SPARSIFIERS),
        _codes("Index codes", "`--uplink_encoder=NAME+VALUE`", INDEX_CODES),
        _codes("Value codes", "`--uplink_encoder=INDEX+NAME`", VALUE_CODES),
        _section("Models of time", "`--cost=NAME`", COSTS),
        _section("Tasks", "`--task=NAME`", tasks.TASKS),
        _task_section(),
    )
    return "\n".join(sections)


def _section(title: str, flag: str, parts: Registry) -> str:
    """The parts of a kind, then their options."""
    options = list(_option_rows(parts))
    text = _table(_OPTIONS, options) if options else "None of them has an option.\n"
    return f"## {title}\n\n{flag}:\n\n{_names(parts)}\n{text}"


def _codes(title: str, flag: str, codes: Registry) -> str:
    """The codes of a kind, which have no flags beside their names."""
    return f"## {title}\n\n{flag}, likewise `--downlink_encoder`:\n\n{_names(codes)}"


def _names(parts: Registry) -> str:
    named = [(f"`{name}`", line) for name, line in parts.summaries.items()]
    return _table(("name", "what it is"), named)


def _option_rows(parts: Registry) -> Iterable[tuple[str, ...]]:
    """A row for each option, several if it is not the same in all parts."""
    for name, options in parts.options().items():
        taken: dict[tuple[str, ...], list[str]] = {}
        for part, option in options.items():
            taken.setdefault(_cells(option), []).append(part)
        for cells, names in taken.items():
            yield (f"`--{name}`", *cells, ", ".join(f"`{part}`" for part in names))


def _cells(option: Option) -> tuple[str, ...]:
    """Type, default, range and meaning."""
    default = "needed"
    if not option.required:
        given = option.default is not None or option.default_text
        default = topic.default_text(option) if given else "none"
    limits = "" if option.range is None else str(option.range)
    return flag_types.name_of(option), default, limits, option.help


def _task_section() -> str:
    """What tasks measure, and which defaults of other flags are theirs."""
    header = ("task", "measures", "`--learning_rate`", "`--rounds`", "`--eval_every`")
    rows = [
        (
            f"`{name}`",
            ", ".join(measure.name for measure in task.measures()),
            f"{task.defaults.learning_rate:g}",
            f"{task.defaults.rounds}",
            f"{task.defaults.eval_every}",
        )
        for name, task in tasks.TASKS.items()
    ]
    return f"{_OF_TASKS}\n{_table(header, rows)}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n"
        for line in lines
    ).replace("|  |", "| |")


def run() -> None:
    """Prints the page."""
    try:
        flags.load_plugins(sys.argv)
        flags.given(sys.argv[1:])
    except ValueError as error:
        screen.say_error(str(error))
        sys.exit(2)
    screen.say(page().rstrip("\n"))


if __name__ == "__main__":
    run()
