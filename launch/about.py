"""What a run is made with and on: versions, machine, command line."""

import datetime
import os
import pathlib
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import tff_gs

_PACKAGES = ("tensorflow", "tensorflow-federated", "numpy")
_GIT_SECONDS = 5.0


def version() -> str:
    """The version, with the commit if it runs from a checkout."""
    commit = _commit()
    return f"tff_gs {tff_gs.__version__}{f' ({commit})' if commit else ''}"


def describe(argv: Sequence[str]) -> dict[str, Any]:
    """What a start of a program is noted with; without importing TensorFlow.

    Args:
      argv: Its command line.
    """
    return {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join([*_program(argv), *argv[1:]]),
        "tff_gs": tff_gs.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        **{name.replace("-", "_"): _installed(name) for name in _PACKAGES},
        "host": platform.node(),
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)),
    }


def _program(argv: Sequence[str]) -> list[str]:
    """How the program was started."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    if spec is not None and spec.name:
        return ["python", "-m", spec.name.removesuffix(".__main__")]
    return [pathlib.Path(argv[0]).name]


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout that the package lies in, "-dirty" if changed."""
    root = pathlib.Path(tff_gs.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", os.fspath(root), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
