"""How many bytes runs sent until they first reached given test accuracies.

    python -m benchmarks.bytes_to_accuracy [--targets=0.3,0.5] [--output=CSV] RUN ...

Every RUN is an output directory of `launch.train`. Counted are all messages of all
clients: up, down, the probe's and the reports; not the dense download by which each
client begins, which is the same in all runs. A method that sends no indices, such as
`send_all`, uses the value code only. An empty cell: the run did not get there.
"""

import json
import pathlib

import pandas as pd
from absl import app, flags

from benchmarks import report
from launch.comparison import results

_TARGETS = flags.DEFINE_list("targets", ["0.3", "0.4", "0.5"], "Test accuracies.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write the table as CSV.")


def _row(run: pathlib.Path, targets: list[float]) -> dict[str, object]:
    metrics = pd.read_csv(run / "metrics.csv")
    used = json.loads((run / "flags.json").read_text())
    up, down = results.sent_megabytes(metrics)
    row = {
        "run": "/".join(run.parts[-2:]),
        "method": used.get("sparsifier"),
        "uplink": used.get("uplink_encoder"),
        "downlink": used.get("downlink_encoder"),
        "last accuracy": metrics["test_accuracy"].dropna().iloc[-1],
    }
    for target in targets:
        reached = metrics.index[metrics["test_accuracy"] >= target]
        first = reached[0] if len(reached) else None
        row[f"MB up to {target:g}"] = None if first is None else up[first]
        row[f"MB down to {target:g}"] = None if first is None else down[first]
    return row


def main(argv: list[str]) -> None:
    """Prints the table."""
    if len(argv) < 2:
        raise app.UsageError("Expected the output directories of runs, found none.")
    targets = [float(target) for target in _TARGETS.value]
    runs = [pathlib.Path(run) for run in argv[1:]]
    report.show([_row(run, targets) for run in runs], _OUTPUT.value)


if __name__ == "__main__":
    app.run(main)
