"""How long a round takes, against the gradients that it computes.

    python -m benchmarks.round_time [--quick] [--output=round_time.csv]
    python -m benchmarks.round_time --threads [--output=threads.csv]

The floor is a `tf.function` that loops over the same clients and computes the same
minibatch gradients of the same model, nothing else; it runs in turn with the rounds.
A row gives the median seconds of both and their ratio, for FAB-top-k and FAB consensus,
with a fixed k, with `waiting` and with sign descent. With FAB-top-k it also gives the
shares of a round's parts: each part is timed alone, as a `tf.function` in this process,
times the number of clients; `runtime` is what is left of the round. Parts that the
worker overlaps can leave less than nothing there. `--threads` compares settings of the
worker instead.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from absl import app, flags

from benchmarks import report, setting
from tff_gs import runtime as runtime_lib
from tff_gs import sparse_vector
from tff_gs.controllers import controller as controller_lib
from tff_gs.controllers import fixed, sign_descent, waiting
from tff_gs.encoders.encoder import Encoder
from tff_gs.exchange import server_update
from tff_gs.sparsifiers import fab_consensus, fab_top_k, sparsifier

_QUICK = flags.DEFINE_bool("quick", False, "10 clients and few rounds only.")
_THREADS = flags.DEFINE_bool("threads", False, "Compare the worker's threads.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write the table as CSV.")
_CLIENTS = flags.DEFINE_multi_integer("clients", [10, 50, 156], "N.", lower_bound=1)
_SHARES = flags.DEFINE_multi_float("k", [0.002, 0.01, 0.1], "k as a share of D.")
_ENCODER = flags.DEFINE_string("encoder", "int32+float32", "The code, INDEX+VALUE.")
_ROUNDS = flags.DEFINE_integer("rounds", 12, "Rounds that are timed.", lower_bound=1)


def _rules(dimension: int, k: int) -> dict[str, controller_lib.Controller]:
    # An interval so narrow that a rule stays at k, but does all that it does.
    margin = max(2, k // 100)
    narrow = {"k_min": k - margin, "k_max": min(k + margin, dimension), "k_initial": k}
    return {
        "fixed": fixed.FixedK(k=k),
        "waiting": waiting.Waiting(**narrow),
        "sign": sign_descent.SignDescent(**narrow),
    }


_METHODS = {
    "FAB-top-k": setting.FAB_TOP_K,
    "FAB consensus": fab_consensus.FabConsensus(),
}


def _parts(chosen: setting.Setting, k: int, probes: bool) -> dict[str, Callable]:
    """The parts of a round for one client; of `select`, for all of them."""
    objective = chosen.objective
    dimension = objective.dimension
    method = fab_top_k.FabTopK().bind(dimension=dimension, probes=probes)
    code = Encoder(*chosen.encoder.split("+")).bind(dimension=dimension)
    weights, non_trainable = objective.initial_weights()
    server = server_update.SparseSgd(learning_rate=0.01).bind(dimension)
    replica = server_update.Replica(weights, server.initialize())
    batch = tuple(tf.constant(part[: setting.BATCH_SIZE]) for part in chosen.data[0])
    example = tuple(part[:1] for part in batch)
    _, gradient = objective.loss_and_gradient(weights, non_trainable, batch)
    seed = tf.constant([0, 0])
    count, probed = tf.constant(k), tf.constant(k - 1 if probes else 0)
    nothing = tf.zeros([0], tf.int32)
    sent = sparse_vector.gather(
        gradient, method.sparsify(gradient, count, nothing, seed)
    )
    message = code.encode(sent, seed).message
    upload = sparsifier.Upload(tf.constant(0), sent, tf.constant(1.0), count, probed)
    several = method.zero()
    for _ in range(2):
        several = method.accumulate(several, upload)
    total = tf.constant(2.0, tf.float64)

    def update() -> Any:
        kept = method.forget(sent.indices, sent.indices, nothing, tf.constant(0))
        residual = sparse_vector.put(
            gradient, sent.indices, tf.where(kept, 0.0, sent.values)
        )
        return server.step(replica, sent).weights[0] + residual[0]

    def probe() -> Any:
        changed = server.step(replica, sent).weights
        return objective.probe_losses(
            (weights, weights, changed), non_trainable, example
        )

    parts = {
        "top-k": lambda: method.sparsify(gradient + weights, count, nothing, seed),
        "encode": lambda: code.encode(sent, seed).message,
        "decode": lambda: code.decode(message, count),
        "aggregation": lambda: method.accumulate(several, upload),
        "selection": lambda: (
            method.select(method.report(several), total, count, probed, nothing).update
        ),
        "client update": update,
    }
    if probes:
        parts["probe"] = probe
    return {name: tf.function(part) for name, part in parts.items()}


def _shares(
    chosen: setting.Setting, k: int, probes: bool, floor: float, round_time: float
) -> dict[str, float]:
    clients = len(chosen.data)
    shares = {"gradient": floor / round_time}
    for name, part in _parts(chosen, k, probes).items():
        times = clients if name != "selection" else 1
        one = report.median(report.seconds(part, 7))
        shares[name] = times * one / round_time
    shares["runtime"] = 1.0 - sum(shares.values())
    return shares


def _round_times() -> Iterator[dict[str, Any]]:
    for clients in [10] if _QUICK.value else _CLIENTS.value:
        chosen = setting.paper_setting(clients, encoder=_ENCODER.value)
        floor = setting.gradient_floor(chosen)
        dimension = chosen.objective.dimension
        for share in [0.01] if _QUICK.value else _SHARES.value:
            k = max(1, int(share * dimension))
            for (method, sparsifier_), (name, rule) in itertools.product(
                _METHODS.items(), _rules(dimension, k).items()
            ):
                with runtime_lib.execution_context() as runtime:
                    rounds = setting.Rounds(chosen, rule, runtime, sparsifier_)
                    # Not the first elections, which ask for more than they need.
                    for _ in range(3):
                        rounds()
                    times = report.alternate(
                        {"round": rounds, "floor": floor},
                        3 if _QUICK.value else _ROUNDS.value,
                    )
                medians = {n: report.median(values) for n, values in times.items()}
                row = {
                    "N": clients,
                    "k/D": share,
                    "method": method,
                    "rule": name,
                    "round s": medians["round"],
                    "floor s": medians["floor"],
                    "ratio": medians["round"] / medians["floor"],
                }
                if method == "FAB-top-k":
                    probes = rule.bind(dimension).probes
                    row |= _shares(
                        chosen, k, probes, medians["floor"], medians["round"]
                    )
                print(row, flush=True)
                yield row


def _threads() -> Iterator[dict[str, Any]]:
    clients = 10 if _QUICK.value else 50
    chosen = setting.paper_setting(clients, encoder=_ENCODER.value)
    floor = setting.gradient_floor(chosen)
    for calls in (1, 2, 3, 4, 0):
        for threads in (None, 1, 2):
            with runtime_lib.execution_context(
                max_concurrent_computation_calls=calls, intra_op_threads=threads
            ) as runtime:
                rule = fixed.FixedK(k=0.01)
                rounds = setting.Rounds(chosen, rule, runtime)
                rounds()
                times = report.alternate(
                    {"round": rounds, "floor": floor},
                    3 if _QUICK.value else _ROUNDS.value,
                )
            medians = {n: report.median(values) for n, values in times.items()}
            yield {
                "concurrent calls": calls or "no limit",
                "intra-op threads": threads or "TensorFlow's",
                "round s": medians["round"],
                "ratio": medians["round"] / medians["floor"],
            }


def main(argv: list[str]) -> None:
    """Prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only, found {argv[1]!r}.")
    report.show(list(_threads() if _THREADS.value else _round_times()), _OUTPUT.value)


if __name__ == "__main__":
    app.run(main)
