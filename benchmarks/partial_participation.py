r"""Rounds of cohorts, as launch.train runs them: time, memory, bytes, accuracy.

    python -m benchmarks.partial_participation --data_dir=DIR [--cache_dir=DIR] \
        [--clients_per_round=10] [--client_store=disk] [--output=cohorts.csv]
    python -m benchmarks.partial_participation --quick

Takes the flags of launch.train; by default 300 rounds of 10 of FEMNIST's 120
writers. `--quick`: few rounds of the digits. Prints the median seconds of a
round, with all that is done for its cohort; all bytes that travelled, and of those down
the dense models of the clients' first rounds and the catch-up of the later ones; the
test accuracy at the end; and the largest memory of all processes together, the TFF
worker included.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import pandas as pd
from absl import app
from absl import flags as absl_flags

from benchmarks import memory as memory_lib
from benchmarks import report
from launch import flags, run_directory, train
from launch.comparison import results

_OUTPUT = absl_flags.DEFINE_string("output", None, "Where to write the table as CSV.")
_QUICK = absl_flags.DEFINE_bool("quick", False, "A few rounds of the digits only.")

_FULL = {
    "task": "femnist",
    "clients": "120",
    "min_examples": "90",
    "clients_per_round": "10",
    "rounds": "300",
    "eval_every": "300",
    "checkpoint_every": "0",
}
_SHORT = {
    "task": "digits",
    "clients_per_round": "5",
    "rounds": "10",
    "eval_every": "10",
    "checkpoint_every": "0",
}
_BITS_A_MEGABYTE = 8e6


def _measure(directory: run_directory.RunDirectory, peak: int) -> dict[str, Any]:
    metrics, timing = pd.read_csv(directory.metrics), pd.read_csv(directory.timing)
    result = json.loads(directory.result.read_text(encoding="utf-8"))
    up, down = results.sent_megabytes(metrics)
    used = result["flags"]
    return {
        "store": used.get("client_store", "by default"),
        "N": result["clients"],
        "cohort": metrics["clients"].iloc[0],
        "rounds": len(metrics),
        "round s": report.median(timing["round_seconds"].tolist()),
        "up MB": up.iloc[-1],
        "down MB": down.iloc[-1],
        "first MB": _sum(metrics, "joined_bits") / _BITS_A_MEGABYTE,
        "catch-up MB": _sum(metrics, "catch_up_bits") / _BITS_A_MEGABYTE,
        "clients seen": _sum(metrics, "joined"),
        "accuracy": result["test_accuracy"],
        "peak MB": peak / memory_lib.MEGABYTE,
    }


def _sum(metrics: pd.DataFrame, column: str) -> int:
    """0 without the column: nobody joins later where all clients take part."""
    return metrics[column].sum() if column in metrics else 0


def _parse(argv: Sequence[str]) -> list[str]:
    """Checks the flags; `main` reads them once more, behind its own defaults."""
    try:
        flags.read(argv, absl_flags.FLAGS)
    except ValueError as error:
        sys.exit(str(error))
    return list(argv)


def main(argv: list[str]) -> None:
    """Runs the rounds, and prints the table."""
    defaults = _SHORT if _QUICK.value else _FULL
    arguments = [f"--{name}={text}" for name, text in defaults.items()]
    with tempfile.TemporaryDirectory() as folder:
        # What is given comes last, and counts.
        own = f"--output_dir={folder}/run"
        options = flags.parse([argv[0], *arguments, own, *argv[1:]])
        memory = memory_lib.PeakMemory()
        memory.start()
        code = train.main(options)
        peak = memory.stop()
        if code:
            sys.exit(code)
        directory = run_directory.RunDirectory(options.output_dir)
        report.show([_measure(directory, peak)], _OUTPUT.value)


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
