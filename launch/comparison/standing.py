"""Which runs are complete, and how to clear away what is not."""

import json
import os
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

from launch import plugins, run_directory, worker_flags
from launch.comparison import plan
from tff_gs import _files

# Where a run is computed and the files of a cache lie, and how often it is saved,
# changes no result.
_WITHOUT_EFFECT = (
    "cache_dir",
    "checkpoint_every",
    "client_store_dir",
    *worker_flags.MACHINES.flags,
)
_HEADING = "# Written by launch.compare, which made the directory beside this file."


def flagfile(run: plan.Run) -> pathlib.Path:
    """The file of flags that the run is started with."""
    return run.directory.with_name(f"{run.directory.name}.flags.txt")


def log(run: plan.Run) -> pathlib.Path:
    """The file of what the run says."""
    return run.directory.with_name(f"{run.directory.name}.log")


def read_result(run: plan.Run) -> dict[str, Any] | None:
    """What result.json holds; None if the run is not complete.

    Raises:
      ValueError: If the file is not what a run leaves.
    """
    path = run_directory.RunDirectory(run.directory).result
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(result["flags"], dict):
            return result
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise ValueError(f"Expected the result of a run in {path}, found something else.")


def is_complete(run: plan.Run) -> bool:
    """Whether the run is complete already, made with the flags that it should have.

    Raises:
      ValueError: If it is complete and was made with others.
    """
    result = read_result(run)
    if result is None:
        return False
    found = result["flags"]
    for name in dict.fromkeys([*run.completed, *found]):
        old, new = found.get(name), run.completed.get(name)
        if name not in _WITHOUT_EFFECT and not _same(old, new, run):
            raise ValueError(
                f"Expected the complete run {run} in {run.directory} to have "
                f"{_shown(name, new)}, found {_shown(name, old)}: choose another "
                "--output_dir, or move that run away."
            )
    _require_same_start(result, run)
    plugins.require_unchanged(
        result.get("plugins", {}),
        f"the complete run {run} in {run.directory} was made",
        "choose another --output_dir, or move that run away",
    )
    return True


def _require_same_start(result: Mapping[str, Any], run: plan.Run) -> None:
    """Raises ValueError if the model that the run started from is another one now."""
    model = run_directory.RunDirectory(run.completed.get("init_from", "")).weights
    noted = result.get("initial_model")
    if noted and model.is_file() and run_directory.checksum(model) != noted:
        raise ValueError(
            f"Expected {model} as the complete run {run} in {run.directory} started "
            "from it, found a changed one: choose another --output_dir, or move that "
            "run away."
        )


def _same(old: str | None, new: str | None, run: plan.Run) -> bool:
    if old == new:
        return True
    # What a run takes from another of the comparison is the same wherever the
    # comparison as a whole lies.
    prefix = f"{run.comparison}/"
    if old is None or new is None or not new.startswith(prefix):
        return False
    return f"/{old}".endswith(f"/{new.removeprefix(prefix)}")


def _shown(name: str, text: str | None) -> str:
    return f"no {name}" if text is None else f"{name}={text}"


def is_resumable(run: plan.Run) -> bool:
    """Whether an earlier attempt left a checkpoint, made with the run's flags."""
    files = run_directory.RunDirectory(run.directory)
    if not flagfile(run).is_file() or files.last_checkpoint() is None:
        return False
    # Not flags.json: this is the file that --resume reads, and that is written first.
    try:
        found = files.read_flags()
    except OSError:
        return False
    return all(
        name in _WITHOUT_EFFECT or _same(found.get(name), run.completed.get(name), run)
        for name in (*run.completed, *found)
    )


def remove_checkpoints(run: plan.Run) -> None:
    """Removes what only an incomplete run needs; many complete ones may be kept."""
    files = run_directory.RunDirectory(run.directory)
    shutil.rmtree(files.checkpoints, ignore_errors=True)
    files.client_states.unlink(missing_ok=True)


def prepare(run: plan.Run) -> None:
    """Clears away what an earlier attempt left, and writes the run's flagfile.

    Raises:
      ValueError: If there is a directory that no attempt made, or something cannot
        be written.
    """
    file = flagfile(run)
    check(run)
    try:
        if run.directory.exists():
            shutil.rmtree(run.directory)
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [_HEADING, *run.arguments]
        _files.write_atomically(file, "\n".join(lines) + "\n")
    except OSError as error:
        raise ValueError(
            f"Expected an output_dir that can be written, found {error.filename} "
            f"({error.strerror})."
        ) from error


def check(run: plan.Run) -> None:
    """Raises ValueError if there is a directory of the run that no attempt made."""
    if not os.path.lexists(run.directory):
        return
    file = flagfile(run)
    ours = (
        run.directory.is_dir()
        and not run.directory.is_symlink()
        and file.is_file()
        and file.read_text(encoding="utf-8").startswith(_HEADING)
    )
    if not ours:
        raise ValueError(
            f"Expected at {run.directory} nothing, or what an earlier launch.compare "
            "left, found something else, which is left as it is."
        )
