"""The page's own functions, called in node."""

import json
import shutil
import subprocess

from launch.reporting import page

_CALLS = """
const inputs = JSON.parse(require("fs").readFileSync(0, "utf8"));
console.log(JSON.stringify(inputs.map(([name, ...given]) => eval(name)(...given))));
"""


def missing():
    """Why the functions cannot be called; None if they can."""
    return None if shutil.which("node") else "no node (Debian: apt-get install nodejs)"


def call(*calls, scripts=("airtime.js", "numbers.js", "svg.js", "link_view.js")):
    """What functions return: each call is a name and its arguments."""
    code = "\n".join((page.ASSETS / name).read_text() for name in scripts)
    run = subprocess.run(
        ["node", "-e", f"{code}\n{_CALLS}"],
        input=json.dumps(calls),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)
