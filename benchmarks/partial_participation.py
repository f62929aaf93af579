"""Rounds of cohorts on FEMNIST, clients' states in a store, k by sign descent.

    python -m benchmarks.partial_participation --data_dir=DIR [--cache_dir=DIR] \
        [--clients=120] [--clients_per_round=10] [--rounds=300] [--store=disk]

Prints the median seconds of a round, with all that is done for its cohort; all bytes
that travelled, the dense models of the clients' first rounds and the catch-up of the
later ones apart; the test accuracy at the end; and the largest memory of all processes
together, the TFF worker included.
"""

import contextlib
import pathlib
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import tensorflow_federated as tff
from absl import app, flags

import tasks
from benchmarks import memory as memory_lib
from benchmarks import report
from launch import evaluation
from tff_gs import learning, runtime

_DATA_DIR = flags.DEFINE_string("data_dir", None, "LEAF's FEMNIST.", required=True)
_CACHE_DIR = flags.DEFINE_string("cache_dir", None, "Where its compact form is kept.")
_CLIENTS = flags.DEFINE_integer("clients", 120, "N.", lower_bound=1)
_EXAMPLES = flags.DEFINE_integer(
    "min_examples", 90, "The fewest training examples of a client.", lower_bound=1
)
_COHORT = flags.DEFINE_integer("clients_per_round", 10, "A cohort.", lower_bound=1)
_ROUNDS = flags.DEFINE_integer("rounds", 300, "Rounds.", lower_bound=1)
_STORE = flags.DEFINE_enum(
    "store", "disk", ["disk", "memory"], "Where states are between rounds."
)
_STORE_DIR = flags.DEFINE_string(
    "store_dir", None, "The folder of the store's file; by default a temporary one."
)
_RATE = flags.DEFINE_float("learning_rate", 0.01, "eta.", lower_bound=0.0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the run.", lower_bound=0)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write the table as CSV.")


@contextlib.contextmanager
def _open_store(state_type: tff.Type) -> Iterator[runtime.ClientStore]:
    if _STORE.value == "memory":
        with runtime.MemoryStore() as store:
            yield store
        return
    with contextlib.ExitStack() as stack:
        folder = _STORE_DIR.value
        if folder is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
        path = pathlib.Path(folder) / "clients.states"
        store = stack.enter_context(runtime.DiskStore(path, state_type))
        if len(store.client_ids):
            raise app.UsageError(
                f"Expected no states of an earlier run in {path}, found those of "
                f"{len(store.client_ids)} clients."
            )
        yield store


def _run() -> dict[str, Any]:
    options = tasks.TaskOptions(
        data_dir=_DATA_DIR.value,
        cache_dir=_CACHE_DIR.value,
        clients=_CLIENTS.value,
        min_examples=_EXAMPLES.value,
    )
    task = tasks.build("femnist", options)
    model = task.build_model(_SEED.value)
    process = learning.build_sparsified_fed_sgd(
        model,
        learning_rate=_RATE.value,
        participation=learning.PartialParticipation(),
        seed=_SEED.value,
    )
    cohort_of = runtime.build_cohort_fn(
        range(len(task.clients)), _COHORT.value, seed=_SEED.value
    )
    evaluate = evaluation.build_evaluate(model, process.objective, task.test)
    state_type = process.next.type_signature.parameter.clients
    sent = dict.fromkeys(("up", "down", "catch-up", "first"), 0)
    seconds = []
    memory = memory_lib.PeakMemory()
    memory.start()
    with runtime.execution_context(), _open_store(state_type) as store:
        state = process.initialize()
        for number in range(_ROUNDS.value):
            started = time.perf_counter()
            ids = cohort_of(number)
            clients = [task.clients[client] for client in ids]
            output = runtime.run_round(
                process,
                state,
                store,
                ids,
                [(client.features, client.labels) for client in clients],
            )
            state, metrics = output.state, output.metrics
            seconds.append(time.perf_counter() - started)
            sent["up"] += int(metrics["uplink_bits"] + metrics["report_bits"])
            sent["up"] += int(metrics["catch_up_request_bits"])
            sent["down"] += len(ids) * int(
                metrics["downlink_bits"] + metrics["probe_downlink_bits"]
            )
            sent["catch-up"] += int(metrics["catch_up_bits"])
            sent["first"] += output.joined_bits
            print(
                f"round {number + 1}: {seconds[-1]:.2f} s, k {metrics['k']}, "
                f"loss {metrics['training_loss']:.3f}, "
                f"{metrics['catch_up_dense']} of {metrics['clients']} dense",
                flush=True,
            )
        kept = len(store.client_ids)
    accuracy = evaluate(state).accuracy
    return {
        "store": _STORE.value,
        "N": len(task.clients),
        "cohort": _COHORT.value,
        "rounds": _ROUNDS.value,
        "round s": report.median(seconds),
        **{f"{name} MB": bits / 8e6 for name, bits in sent.items()},
        "clients seen": kept,
        "accuracy": accuracy,
        "peak MB": memory.stop() / memory_lib.MEGABYTE,
    }


def main(argv: list[str]) -> None:
    """Prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only, found {argv[1]!r}.")
    report.show([_run()], _OUTPUT.value)


if __name__ == "__main__":
    app.run(main)
