"""Shows how far a run is, and in what condition its files are; changes nothing.

    python -m launch.inspect RUN_DIR
    python -m launch.inspect RUN_DIR --json

RUN_DIR is the output_dir of a run of launch.train, which may be at work.
"""

import pathlib
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags as absl_flags

from launch import command_line, inspection, screen, topic

FLAGS = absl_flags.FlagValues()
_OWN = topic.Topic("Flags", values=FLAGS)
_OWN.define_switch("json", "print JSON, with all flags and all columns of a row")

_WIDTH = 80
_INDENT = 14
# What the last round is shown by; all columns are in metrics.csv.
_SHOWN = ("k", "training_loss", "clients", "non_finite")
# What of a start is a version, in about.json.
_VERSIONS = (
    *("tff_gs", "commit", "python", "tensorflow", "tensorflow_federated", "numpy"),
)


def main(argv: Sequence[str]) -> int:
    """Runs the program; returns its exit code."""
    try:
        found = inspection.inspect(_run_directory(argv))
    except ValueError as error:
        screen.say_error(str(error))
        return command_line.WRONG_INPUT
    except OSError as error:
        screen.say_error(screen.error_sentence(error, {}))
        return command_line.WRONG_INPUT
    screen.say(found.as_json() if FLAGS.json else _text(found))
    return 0


def _run_directory(argv: Sequence[str]) -> pathlib.Path:
    others = command_line.parse(argv, _OWN, __doc__)
    if len(others) != 1:
        raise ValueError(
            "Expected the directory of one run, as in python -m launch.inspect "
            f"runs/mine, found {' '.join(others) or 'none'}."
        )
    return pathlib.Path(others[0])


def _text(found: inspection.Inspection) -> str:
    last, evaluated = found.last_round, found.last_evaluation
    entries = {
        "rounds": f"{found.rounds}{_of(found.flags.get('rounds'))}",
        "time": _time(found),
        "written": str(found.written or ""),
        "last round": _cells({name: last[name] for name in _SHOWN if name in last}),
        "test": _test(evaluated),
        "checkpoints": [_checkpoint(each) for each in found.checkpoints] or "none",
        "made with": _made_with(found.starts),
        "workers": found.flags.get("workers", ""),
        "flags": " ".join(f"--{name}={text}" for name, text in found.flags.items()),
        "go on": [found.resume] if found.resume else "",
    }
    lines = [f"{found.directory}: {found.state}"]
    for name, entry in entries.items():
        lines.extend(_entry(name, entry))
    return "\n".join(lines)


def _entry(name: str, entry: str | Sequence[str]) -> list[str]:
    """The lines of an entry; a list is not wrapped; none if it is empty."""
    lines = list(entry)
    if isinstance(entry, str):
        lines = textwrap.wrap(
            entry, _WIDTH - _INDENT, break_long_words=False, break_on_hyphens=False
        )
    heads = [f"  {name}", *[""] * len(lines)]
    return [
        head.ljust(_INDENT) + line for head, line in zip(heads, lines, strict=False)
    ]


def _time(found: inspection.Inspection) -> str:
    if not found.last_round:
        return ""
    limit = _of(found.flags.get("time_budget"))
    return f"{found.last_round['time']:,.1f}{limit}, in {found.seconds:,.0f} s"


def _made_with(starts: Sequence[Mapping[str, Any]]) -> str:
    """The versions of the last start."""
    last = starts[-1] if starts else {}
    return _cells({name: last[name] for name in _VERSIONS if last.get(name)})


def _of(limit: str | None) -> str:
    return "" if limit is None else f" of {limit}"


def _test(row: Mapping[str, Any]) -> str:
    shown = {name: row[name] for name in row if name.startswith("test_")}
    return f"{_cells(shown)}, after round {row['round']}" if shown else ""


def _cells(values: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{name} {value:.6g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )


def _checkpoint(found: inspection.Checkpoint) -> str:
    reason = "" if found.reason is None else f": {found.reason}"
    return f"{found.name}, {found.size / 1e6:.1f} MB, {found.condition}{reason}"


def run() -> None:
    """Runs the program on the command line; the entry point of the package."""
    sys.exit(main(sys.argv))


if __name__ == "__main__":
    run()
