"""Federated averaging, plain and sparse: two arguments apart.

    python -m examples.sparse_fed_avg --rounds=30

trains TFF's own `build_weighted_fed_avg` on handwritten digits twice, first as it is,
then with a sparse aggregator and a sparse distributor, and prints what each sent.
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tasks import ClientData, digits
from tff_gs import aggregators, distributors, encoders, runtime

Process = tff.learning.templates.LearningProcess


def client_dataset(client: ClientData) -> tf.data.Dataset:
    """What a client trains on in a round: two epochs, in batches of 16."""
    examples = tf.data.Dataset.from_tensor_slices((client.features, client.labels))
    return examples.shuffle(len(client.labels), seed=0).repeat(2).batch(16)


def build_plain(model: tff.learning.models.FunctionalModel) -> Process:
    """Federated averaging as TFF has it."""
    return tff.learning.algorithms.build_weighted_fed_avg(
        model,
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(0.05),
        server_optimizer_fn=tff.learning.optimizers.build_sgdm(1.0),
    )


def build_sparse(
    model: tff.learning.models.FunctionalModel, weights_type: tff.Type, k: float
) -> Process:
    """The same, with k of the update sent up and k of the model's change sent down."""
    encoder = encoders.Encoder("auto", "quantised8")
    return tff.learning.algorithms.build_weighted_fed_avg(
        model,
        client_optimizer_fn=tff.learning.optimizers.build_sgdm(0.05),
        server_optimizer_fn=tff.learning.optimizers.build_sgdm(1.0),
        model_aggregator=aggregators.top_k_factory(k, uplink_encoder=encoder),
        model_distributor=distributors.build_sparse_broadcast_process(
            weights_type, k=k, downlink_encoder=encoder
        ),
    )


class Round(NamedTuple):
    """What a round sent, in bits a client, and the model after it."""

    uplink: float
    downlink: float
    weights: tff.learning.models.ModelWeights


def train(
    process: Process, data: Sequence[tf.data.Dataset], rounds: int, model_bits: int
) -> Iterator[Round]:
    """Runs the process; without measurements, a model of floats went each way."""
    state = process.initialize()
    for _ in range(rounds):
        output = process.next(state, data)
        state = output.state
        up, down = (output.metrics[part] for part in ("aggregator", "distributor"))
        yield Round(
            uplink=up["uplink_bits"] / len(data) if "uplink_bits" in up else model_bits,
            downlink=down["downlink_bits"] if down else model_bits,
            weights=process.get_model_weights(state),
        )


def accuracy(
    model: tff.learning.models.FunctionalModel,
    weights: tff.learning.models.ModelWeights,
    test: ClientData,
) -> float:
    """The share of the test examples that the model recognises."""
    logits = model.predict_on_batch(tuple(weights), test.features, training=False)
    return float(np.mean(np.argmax(logits, axis=1) == test.labels))


def main(
    arguments: Sequence[str] | None = None,
) -> dict[str, tuple[float, list[Round]]]:
    """Runs both programs and prints a line each; returns accuracies and rounds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="2 or more")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--k", type=float, default=0.1, help="fraction of the weights")
    flags = parser.parse_args(arguments)

    task = digits.Digits(clients=flags.clients)
    examples = task.load()
    data = [client_dataset(client) for client in examples.clients]
    model = task.build_model(0)
    model_bits = 32 * sum(tensor.size for tensor in model.initial_weights[0])

    plain = build_plain(model)
    weights_type = plain.get_model_weights.type_signature.result
    programs = {"plain": plain, "sparse": build_sparse(model, weights_type, flags.k)}

    print("kB of a client a round (first: the model itself, once)")
    print("program  accuracy      up  first down    down")
    results = {}
    for name, process in programs.items():
        with runtime.execution_context():
            rounds = list(train(process, data, flags.rounds, model_bits))
        results[name] = accuracy(model, rounds[-1].weights, examples.test), rounds
        up = np.mean([r.uplink for r in rounds]) / 8000
        first, *later = (r.downlink / 8000 for r in rounds)
        print(
            f"{name:7}  {results[name][0]:8.3f}  {up:6.2f}  {first:10.2f}  "
            f"{np.mean(later):6.2f}"
        )
    return results


if __name__ == "__main__":
    main()
