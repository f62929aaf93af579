"""The examples in docstrings: what they say is what happens."""

import doctest
import importlib
import pathlib

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_WITH_EXAMPLES = sorted(
    ".".join(path.relative_to(_ROOT).with_suffix("").parts)
    for package in ("tff_gs", "tasks", "launch")
    for path in (_ROOT / package).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)

# Public names whose docstring shows how they are used.
SHOWN = {
    "tff_gs.exchange": """
        ClipByNorm ClipByValue MessageBounds MomentumCorrection PartialParticipation
        SparseSgd
    """,
    "tff_gs.learning": """
        SparsifiedProcess build_objective check_client_ids check_data
        clients_from_client_data describe_refusals
    """,
    "tff_gs.programs": "CheckpointManager",
    "tff_gs.runtime": "DiskStore MemoryStore build_cohort_fn",
}


@pytest.mark.parametrize("name", _WITH_EXAMPLES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testmod(module, optionflags=options)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("package", SHOWN)
def test_central_names_have_an_example(package):
    module = importlib.import_module(package)
    for name in SHOWN[package].split():
        examples = doctest.DocTestParser().get_examples(getattr(module, name).__doc__)
        assert examples, name
