"""Every tutorial runs, and prints what it says."""

import pytest

from tests.docs import pages

_TUTORIALS = sorted((pages.ROOT / "docs" / "tutorials").glob("[0-9]*.md"))


@pytest.mark.parametrize("page", _TUTORIALS, ids=lambda page: page.stem)
def test_it_prints_what_it_says(page, tmp_path):
    blocks = pages.read(page)
    assert any(block.printed for block in blocks)
    for block, printed in zip(blocks, pages.run(blocks, tmp_path), strict=True):
        pages.check(block, printed)


def test_a_page_that_says_something_else_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "```python\nprint(1 + 1, 'is two')\n```\n\n```text\n3 is ...\n```\n"
    )
    (block,) = pages.read(page)
    (printed,) = pages.run([block], tmp_path)
    with pytest.raises(AssertionError, match="line 1 printed:\n2 is two"):
        pages.check(block, printed)
