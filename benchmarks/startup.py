"""Where the time goes from the start of the default run to its first round.

    python -m benchmarks.startup [--quick] [--output=startup.csv]

A row for each step, in its order: importing TensorFlow Federated, reading the data,
building the process (tracing), starting the worker, the initial values, the first
round (compiling, and loading it into the worker), and a later round beside it.
"""

import time
from typing import Any

from absl import app, flags

_QUICK = flags.DEFINE_bool("quick", False, "Is quick in any case: one run.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write the table as CSV.")


class _Steps:
    def __init__(self):
        self.rows: list[dict[str, Any]] = []
        self._since = time.perf_counter()

    def done(self, step: str) -> None:
        now = time.perf_counter()
        self.rows.append({"step": step, "seconds": now - self._since})
        self._since = time.perf_counter()


def main(argv: list[str]) -> None:
    """Prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only, found {argv[1]!r}.")
    steps = _Steps()
    import tensorflow_federated  # noqa: F401

    steps.done("import tensorflow_federated")
    import tasks

    task = tasks.TASKS["digits"]()
    examples = task.load().clients
    steps.done("data")
    from tff_gs import learning, runtime

    process = learning.build_sparsified_fed_sgd(task.build_model(0), learning_rate=0.2)
    steps.done("build the process")
    with runtime.execution_context() as context:
        steps.done("start the worker")
        data = context.place(
            [(client.features, client.labels) for client in examples],
            process.next.type_signature.parameter.data,
        )
        state = process.initialize()
        state, clients, _ = process.initialize_clients(
            state, list(range(len(examples)))
        )
        steps.done("place data, initial values")
        state, clients, *_ = process.next(state, clients, data)
        steps.done("first round")
        total = sum(row["seconds"] for row in steps.rows)
        process.next(state, clients, data)
        steps.done("(a later round)")
    from benchmarks import report

    report.show(
        [*steps.rows, {"step": "to the first round", "seconds": total}], _OUTPUT.value
    )


if __name__ == "__main__":
    app.run(main)
