"""Files beside the code: what they say of it, and of each other."""

import pathlib
import re
import tomllib

import pytest

import tff_gs

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def _read(name):
    return (_ROOT / name).read_text(encoding="utf-8")


def _project():
    return tomllib.loads(_read("pyproject.toml"))


def test_one_version():
    assert _project()["project"]["dynamic"] == ["version"]
    source = _project()["tool"]["setuptools"]["dynamic"]["version"]
    assert source == {"attr": "tff_gs.__version__"}
    assert f"\nversion: {tff_gs.__version__}\n" in _read("CITATION.cff")
    assert f"\n## {tff_gs.__version__} - 20" in _read("CHANGELOG.md")


def test_type_checkers_may_read_the_package():
    assert (_ROOT / "tff_gs" / "py.typed").is_file()
    assert _project()["tool"]["setuptools"]["package-data"]["tff_gs"] == ["py.typed"]


def test_hooks_download_nothing():
    repositories = re.findall(r"repo: *(\S+)", _read(".pre-commit-config.yaml"))
    assert repositories == ["local"]


@pytest.mark.parametrize(
    "page",
    [*_PAGES, *(f"docs/{page.name}" for page in sorted((_ROOT / "docs").glob("*.md")))],
)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", _read(page)):
        if link.startswith("http"):
            continue
        path, _, heading = link.partition("#")
        target = (_ROOT / page).parent / path if path else _ROOT / page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE)
            anchors = [re.sub(r"[^\w\- ]", "", t.lower()) for t in titles]
            assert heading in [anchor.replace(" ", "-") for anchor in anchors], link
