"""Files beside the code: what they say of it, and of each other."""

import pathlib
import re
import tomllib

import pytest

import tff_gs
from tests import fresh_python

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_PAGES = [
    *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
    *(f"docs/{page.name}" for page in sorted((_ROOT / "docs").glob("*.md"))),
]
_PROGRAMS = (
    *("train", "compare", "regret", "plot"),
    *("report", "demo", "inspect", "worker"),
)


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
    data = _project()["tool"]["setuptools"]["package-data"]["tff_gs"]
    assert "py.typed" in data


def test_hooks_download_nothing():
    repositories = re.findall(r"repo: *(\S+)", _read(".pre-commit-config.yaml"))
    assert repositories == ["local"]


@pytest.mark.parametrize("page", _PAGES)
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


# The list of changes also names what is gone.
@pytest.mark.parametrize("page", [page for page in _PAGES if page != "CHANGELOG.md"])
def test_names_and_paths_are_there(page):
    text = _read(page)
    packages = {
        name: getattr(tff_gs, name)
        for name in dir(tff_gs)
        if hasattr(getattr(tff_gs, name), "__path__")
    }
    public = rf"(?<![\w./])(?:tff_gs\.)?({'|'.join(packages)})\.(?!md\b)([A-Za-z]\w*)"
    for package, name in re.findall(public, text):
        assert name in dir(packages[package]), f"{package}.{name}"
    folders = "tff_gs|launch|tasks|tests|docs|benchmarks|examples"
    for path in re.findall(rf"`((?:{folders})/[\w./]*)`", text):
        assert (_ROOT / path).exists() or path == "tasks/NAME.py", path


def test_the_readme_names_no_file_of_the_library():
    assert re.findall(r"tff_gs/\w+|\b[a-z]\w*\.py\b", _read("README.md")) == []


def test_the_readme_names_the_defaults(helps):
    _, _, text = _read("README.md").partition("Everything else has a default: ")
    sentence, _, _ = text.partition(" Replace any of it")
    for flag, package, registry in (
        ("sparsifier", "sparsifiers", tff_gs.sparsifiers.SPARSIFIERS),
        ("controller", "controllers", tff_gs.controllers.CONTROLLERS),
    ):
        found = re.search(rf"^ *--{flag} [^\[]*\[(\w+)\]", helps["launch.train"], re.M)
        assert f"(`{package}.{registry[found[1]].__name__}`)" in sentence


def _commands(page):
    """The commands of a page that run a module, each as (module, its flags)."""
    for command in re.findall(r"python -m ((?:[^\n`|]|\\\n)+)", _read(page)):
        module, *_ = command.split()
        shown = command.partition("  # ")[0]
        yield module, re.findall(r"--(\w+)", shown)


@pytest.fixture(name="helps", scope="module")
def _helps():
    """What `--help` of each program says, with the parts of the example."""
    arguments = ["--help", "--plugins=examples.own_parts"]
    return {
        f"launch.{name}": fresh_python.printed(
            f"import sys; sys.argv = {[name, *arguments]}\n"
            f"from launch import {name}; {name}.run()"
        )
        for name in _PROGRAMS
    }


@pytest.mark.parametrize("page", _PAGES)
def test_commands_have_the_flags_that_pages_say(page, helps):
    for module, names in _commands(page):
        if module == "pytest":
            continue
        described = helps.get(module) or _read(module.replace(".", "/") + ".py")
        if "launch.train" in described:
            # Its flags may be given too.
            described += helps["launch.train"]
        for name in set(names) - {"help", "version"}:
            flag = rf"--{name}\b|\"{name}\""
            assert re.search(flag, described), f"{module} --{name}"
