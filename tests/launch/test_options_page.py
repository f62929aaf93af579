import pathlib

from launch import options_page
from tests import fresh_python

_PAGE = pathlib.Path(__file__).parents[2] / "docs" / "options.md"


def test_the_page_is_what_the_parts_say():
    found = _PAGE.read_text(encoding="utf-8")
    assert found == options_page.page(), (
        "Type: python -m launch.options_page > docs/options.md"
    )


def test_it_needs_no_tensorflow_and_may_have_own_parts():
    code = """
import sys
from launch import options_page
sys.argv = ["options_page", "--plugins=examples.own_parts"]
options_page.run()
print([m for m in sys.modules if m.startswith("tensorflow")])
"""
    printed = fresh_python.printed(code)
    assert (
        "| `--period` | whole number | 10 | at least 1 | rounds for which k stays | "
        "`halving` |\n" in printed
    )
    assert "| `line` | mae, loss | 0.1 | 50 | 5 |\n" in printed
    assert printed.endswith("[]\n")
