"""The page: its parts put into one file that needs no other."""

import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from launch.reporting import payload, recorded

ASSETS = pathlib.Path(__file__).parent / "assets"
#: In this order: what a script uses comes before it.
SCRIPTS = (
    *("airtime.js", "numbers.js", "svg.js", "chart.js", "controls.js"),
    *("link_view.js", "round_view.js", "rule_view.js", "page.js"),
)
_MARK = re.compile(r"@(STYLE|DATA|SCRIPT)@")
MOST_BYTES = 2_000_000
# Of rounds and evaluations of each run: as many as the page has room for.
_MOST_ROUNDS = (2000, 1000, 500, 200, 100, 50)


def render(runs: Sequence[recorded.RecordedRun]) -> str:
    """The HTML of a page that shows some runs.

    Args:
      runs: The runs, at least one.

    Raises:
      ValueError: In one sentence, if they do not fit on one page.
    """
    for most_rounds in _MOST_ROUNDS:
        text = _fill_in(payload.build(runs, most_rounds))
        if len(text.encode()) < MOST_BYTES:
            return text
    raise ValueError(
        f"Expected runs that fit on a page of {MOST_BYTES / 1e6:g} MB, found "
        f"{len(runs)} that do not: give fewer."
    )


def _fill_in(content: Mapping[str, Any]) -> str:
    parts = {
        "STYLE": _read("page.css"),
        "DATA": _as_json(content),
        "SCRIPT": "\n".join(map(_read, SCRIPTS)),
    }
    # In one pass: no mark is looked for in what takes the place of another.
    return _MARK.sub(lambda mark: parts[mark[1]], _read("page.html"))


def _read(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _as_json(content: Mapping[str, Any]) -> str:
    """JSON in which no browser finds the end of a script, or a comment."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
