"""Records what a run selects, for `benchmarks.wire_codes --selections`.

    python -m benchmarks.record_selections --output=selections.npz --data_dir=DIR
        [--clients=30] [--k=0.01] [--rounds=1,10,100,500]

Trains on FEMNIST with fixed k and writes the coordinates J that the server selected in
the given rounds, read off the change of its weights, and the sizes of the model's
tensors.
"""

import numpy as np
from absl import app, flags

from tasks import femnist
from tff_gs import learning, runtime, sparsifiers
from tff_gs.controllers import amount, fixed

_OUTPUT = flags.DEFINE_string("output", None, "The NPZ file.", required=True)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "LEAF FEMNIST.", required=True)
_CACHE_DIR = flags.DEFINE_string("cache_dir", None, "For the data's compact form.")
_CLIENTS = flags.DEFINE_integer("clients", 30, "N.", lower_bound=1)
_K = flags.DEFINE_string("k", "0.01", "A count, or a fraction of D.")
_ROUNDS = flags.DEFINE_list("rounds", ["1", "10", "100", "500"], "To be recorded.")


def main(argv: list[str]) -> None:
    """Runs the rounds and writes the file."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only, found {argv[1]!r}.")
    wanted = sorted(int(number) for number in _ROUNDS.value)
    task = femnist.Femnist(
        data_dir=_DATA_DIR.value, cache_dir=_CACHE_DIR.value, clients=_CLIENTS.value
    )
    examples = task.load().clients
    k = amount.parse_amount(_K.value)
    process = learning.build_sparsified_fed_sgd(
        task.build_model(0),
        controller=fixed.FixedK(k=k),
        sparsifier=sparsifiers.FabTopK(),
    )
    recorded = {"tensor_sizes": np.array(process.objective.tensor_sizes)}
    with runtime.execution_context() as context:
        data = context.place(
            [(client.features, client.labels) for client in examples],
            process.next.type_signature.parameter.data,
        )
        state = process.initialize()
        state, clients, _ = process.initialize_clients(
            state, list(range(len(examples)))
        )
        for number in range(1, wanted[-1] + 1):
            before = state.weights
            state, clients, *_ = process.next(state, clients, data)
            if number in wanted:
                changed = np.flatnonzero(state.weights != before)
                recorded[f"round_{number}"] = changed.astype(np.int32)
                print(f"round {number}: {len(changed)} coordinates", flush=True)
    np.savez_compressed(_OUTPUT.value, **recorded)


if __name__ == "__main__":
    app.run(main)
