"""Where the data that is not part of the project lies, or a skip."""

import os
import pathlib

import pytest

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_DATA = pathlib.Path(
    os.environ.get("TFF_GS_SHARED_DATA", _ROOT.parent / "shared" / "data")
)


def shared_data(name: str) -> pathlib.Path:
    """The path of `name` in the shared data; skips the test where it is absent."""
    path = _DATA / name
    if not path.exists():
        pytest.skip(f"needs {name} of the shared data, which is not on this machine")
    return path
