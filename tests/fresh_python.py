"""Code in a Python of its own, which has imported nothing yet."""

import pathlib
import subprocess
import sys

_ROOT = pathlib.Path(__file__).resolve().parents[1]


def printed(code: str) -> str:
    """What `code` prints, run at the root of the repository; it must succeed."""
    return run(code).stdout


def run(code: str) -> subprocess.CompletedProcess:
    """The same, with what it says of errors."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=_ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
