"""The worker's memory when every round has another number of clients.

    python -m benchmarks.cohort_sizes [--quick] [--output=cohort_sizes.csv]

Rounds of a tiny model: of one client, of 20, and of 1 to 40 clients in two orders, each
in a worker of its own. Nothing is kept of a round. A row gives the worker's resident
memory, threads and open files after the last round, and the ratio of the memory to that
of the rounds of 20.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import psutil
from absl import app, flags

from benchmarks import memory, report
from tasks import cnn
from tff_gs import learning, runtime

_QUICK = flags.DEFINE_bool("quick", False, "Few numbers of clients only.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write the table as CSV.")


def _usage(process: Any, data: Any, sizes: Sequence[int]) -> dict[str, Any]:
    """What the worker takes after a round of each number of clients."""
    known = set(psutil.Process().children())
    with runtime.execution_context():
        (worker,) = set(psutil.Process().children()) - known
        for clients in sizes:
            state = process.initialize()
            state, states, _ = process.initialize_clients(state, list(range(clients)))
            process.next(state, states, [data] * clients)
            # What lives in the worker keeps the executor of its number of clients.
            del state, states
        return {
            "MB": worker.memory_info().rss / memory.MEGABYTE,
            "threads": worker.num_threads(),
            "files": worker.num_fds(),
        }


def _rows() -> Iterator[dict[str, Any]]:
    rng = np.random.default_rng(0)
    process = learning.build_sparsified_fed_sgd(
        cnn.small_cnn((8, 8, 1), 10, 0), learning_rate=0.2, batch_size=4
    )
    data = (
        rng.random((6, 8, 8, 1), dtype=np.float32),
        rng.integers(0, 10, 6).astype(np.int32),
    )
    largest = 10 if _QUICK.value else 40
    settings = {
        "1, once": [1],
        f"{largest // 2}, {largest} times": [largest // 2] * largest,
        f"1 to {largest}, rising": list(range(1, largest + 1)),
        f"1 to {largest}, shuffled": (rng.permutation(largest) + 1).tolist(),
    }
    found = {name: _usage(process, data, sizes) for name, sizes in settings.items()}
    several = list(found.values())[1]["MB"]
    for name, usage in found.items():
        yield {"clients": name, **usage, "ratio": usage["MB"] / several}


def main(argv: list[str]) -> None:
    """Prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only, found {argv[1]!r}.")
    report.show(list(_rows()), _OUTPUT.value)


if __name__ == "__main__":
    app.run(main)
