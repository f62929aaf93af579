"""Runs the code of a page and compares what it prints with what the page says.

A page is Markdown. Its blocks ```python are run one after another in one Python
process; a block ```text right after one is what that prints, in which `...` stands for
anything.
"""

import doctest
import json
import os
import pathlib
import re
import subprocess
import sys
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parents[2]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COMPARISON = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_RUN = """
import contextlib, io, json, sys
blocks, names, printed = json.load(sys.stdin), {"__name__": "page"}, []
for place, code in blocks:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(compile(code, place, "exec"), names)
    printed.append(out.getvalue())
json.dump(printed, sys.stdout)
"""


class Block(NamedTuple):
    """Code of a page, and what the page says it prints; "" if nothing is said."""

    place: str
    code: str
    printed: str


def read(page):
    """The blocks of code of a page."""
    text = page.read_text(encoding="utf-8")
    found = list(_BLOCK.finditer(text))
    blocks = []
    for match, following in zip(found, [*found[1:], None], strict=True):
        if match[1] != "python":
            continue
        printed = ""
        if following and following[1] == "text":
            between = text[match.end() : following.start()]
            printed = following[2] if not between.strip() else ""
        line = text.count("\n", 0, match.start()) + 1
        blocks.append(Block(f"{page.name}, line {line}", match[2], printed))
    return blocks


def run(blocks, directory):
    """What each block prints, run in `directory`."""
    done = subprocess.run(
        [sys.executable, "-c", _RUN],
        input=json.dumps([(block.place, block.code) for block in blocks]),
        cwd=directory,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "MPLBACKEND": "agg",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def check(block, printed):
    """Fails unless the block printed what the page says."""
    matches = doctest.OutputChecker().check_output(block.printed, printed, _COMPARISON)
    assert matches, f"{block.place} printed:\n{printed}\nnot:\n{block.printed}"
