"""The example of a plugin, as the page on parts of one's own runs it."""

import csv
import pathlib
import re
import shlex
import subprocess
import sys

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_the_command_of_the_page_runs(tmp_path):
    page = (_ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^python (-m launch\.train --plugins=.*)$", page, re.M)
    run = subprocess.run(
        [
            sys.executable,
            *shlex.split(command),
            "--rounds=12",
            f"--output_dir={tmp_path / 'run'}",
        ],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    # Every five rounds; D = 12.
    assert [row["k"] for row in rows] == ["12"] * 5 + ["6"] * 5 + ["3"] * 2
    errors = [float(row["test_mae"]) for row in rows if row["test_mae"]]
    # The start is a random slope for each of 12 features.
    assert errors[-1] < 0.3 * errors[0]
