"""Certificates as docs/several_machines.md has them made."""

import pathlib
import re
import subprocess

_PAGE = pathlib.Path(__file__).parents[1] / "docs" / "several_machines.md"


def make(folder, name="cluster.pem", *, changes=()):
    """Runs the page's command, some of its words replaced; returns the file."""
    (command,) = re.findall(
        r"```bash\n( *openssl .*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    for old, new in (("cluster.pem", name), *changes):
        assert old in command
        command = command.replace(old, new)
    subprocess.run(
        ["bash", "-ec", command], cwd=folder, check=True, capture_output=True
    )
    return folder / name
