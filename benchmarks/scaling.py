"""How time and memory grow with the number of clients and with the model.

    python -m benchmarks.scaling [--quick] [--output=scaling.csv]

Each setting runs in a process of its own, so that one's memory is not another's.
A row gives the median seconds of a round, and the peak memory of the program and its
worker together, sampled while the rounds run. Below the table stands the straight
line that fits the time over N (least squares of the relative errors), and how far the
rounds lie from it.
"""

import json
import subprocess
import sys
import time
from typing import Any

import numpy as np
from absl import app, flags

from benchmarks import memory as memory_lib
from benchmarks import report

_QUICK = flags.DEFINE_bool("quick", False, "Few clients and few rounds only.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write the table as CSV.")
_ONE = flags.DEFINE_string("one", None, "Used by the program itself: N,side,rounds.")


def _run_one(clients: int, side: int, rounds: int) -> dict[str, Any]:
    """One setting, in this process."""
    from benchmarks import setting
    from tff_gs import runtime as runtime_lib
    from tff_gs.controllers import fixed

    memory = memory_lib.PeakMemory()
    memory.start()
    chosen = setting.paper_setting(clients, side)
    dimension = chosen.objective.dimension
    with runtime_lib.execution_context() as runtime:
        run = setting.Rounds(chosen, fixed.FixedK(k=0.01), runtime)
        run()
        middle, times = 0, []
        for number in range(rounds):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
            if number == rounds // 2:
                middle = memory.peak
        return {
            "N": clients,
            "D": dimension,
            "rounds": rounds,
            "round s": report.median(times),
            "peak MB": memory.stop() / memory_lib.MEGABYTE,
            "of it in the second half MB": (memory.peak - middle) / memory_lib.MEGABYTE,
        }


def _in_a_process(clients: int, side: int, rounds: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.scaling"]
    finished = subprocess.run(
        [*command, f"--one={clients},{side},{rounds}"],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(finished.stdout.splitlines()[-1])


def main(argv: list[str]) -> None:
    """Prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only, found {argv[1]!r}.")
    if _ONE.value:
        print(json.dumps(_run_one(*(int(part) for part in _ONE.value.split(",")))))
        return
    rounds = 3 if _QUICK.value else 10
    numbers = (5, 10) if _QUICK.value else (10, 50, 100, 156, 250, 500)
    over_clients = [_in_a_process(clients, 28, rounds) for clients in numbers]
    sides = (28,) if _QUICK.value else (16, 28, 40, 56)
    over_model = [_in_a_process(10, side, rounds) for side in sides]
    endurance = [] if _QUICK.value else [_in_a_process(20, 28, 200)]
    report.show([*over_clients, *over_model, *endurance], _OUTPUT.value)
    times = np.array([row["round s"] for row in over_clients])
    slope, start = np.polyfit(numbers, times, 1, w=1 / times)
    off = np.abs(np.polyval((slope, start), numbers) / times - 1).max()
    print(
        f"Seconds of a round over N: {start:.3f} + {slope:.4f} N; "
        f"no median lies more than {off:.0%} off."
    )


if __name__ == "__main__":
    app.run(main)
