"""The probe: what the clients report after an exchange, in one aggregation.

Han, Wang, Leung, ICDCS 2020, Section IV-E. Every client evaluates the loss of one
random example of its minibatch at w(m-1), at w(m) and at w'(m), the weights that
round m would have given with k'; the server averages with weights C_i / C.
"""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import growing
from tff_gs.encoders import encoder
from tff_gs.exchange import message_size
from tff_gs.exchange.answer import read_answer
from tff_gs.learning import objective as objective_lib


class ProbeInputs(NamedTuple):
    """What a client evaluates.

    Attributes:
      client_id: int32 scalar.
      contributed: int32 scalar, |J and J_i|.
      weight: float32 scalar, C_i.
      training_loss: float32 scalar, its minibatch's mean loss at w(m-1).
      examples: A batch of the probe examples.
      before: float32 [D], w(m-1).
      after: float32 [D], w(m).
      non_trainable: The model's other weights.
    """

    client_id: tf.Tensor
    contributed: tf.Tensor
    weight: tf.Tensor
    training_loss: tf.Tensor
    examples: Any
    before: tf.Tensor
    after: tf.Tensor
    non_trainable: Any


class ClientReport(NamedTuple):
    """What one client reports.

    Attributes:
      client_id: int32 scalar.
      contributed: int32 scalar, |J and J_i|.
      weight: float32 scalar, C_i.
      training_loss: float32 scalar, its minibatch's mean loss at w(m-1).
      losses: float32 [3], its probe examples' mean loss at w(m-1), w(m) and w'(m);
        [0] where nothing is probed.
    """

    client_id: tf.Tensor
    contributed: tf.Tensor
    weight: tf.Tensor
    training_loss: tf.Tensor
    losses: tf.Tensor


class Report(NamedTuple):
    """What the server knows from all reports.

    Attributes:
      client_ids: int32 [N], ascending.
      contributed: int32 [N], |J and J_i| in the order of `client_ids`.
      training_loss: float64 scalar, weighted by C_i / C.
      losses: float64 [3], likewise; [0] where nothing is probed.
      bits: int64 scalar, the size of all reports.
    """

    client_ids: tf.Tensor
    contributed: tf.Tensor
    training_loss: tf.Tensor
    losses: tf.Tensor
    bits: tf.Tensor


class _Contributions(NamedTuple):
    client_ids: tf.Tensor
    contributed: tf.Tensor


class _Sums(NamedTuple):
    contributions: _Contributions
    weight: tf.Tensor
    training_loss: tf.Tensor
    losses: tf.Tensor
    bits: tf.Tensor


def build_probe(
    objective: objective_lib.Objective,
    *,
    probes: bool,
    probe_encoder: encoder.Encoder,
    learning_rate: float,
) -> tff.Computation:
    """Builds the computation that closes a round.

    Args:
      objective: The model.
      probes: Whether the probe losses are wanted; without, the computation only
        collects the training loss and the contributed counts.
      probe_encoder: The encoder that wrote `Outcome.probe_message`.
      learning_rate: eta.

    Returns:
      `(message@SERVER, inputs@CLIENTS) -> Report@SERVER` with the probe message
      (uint8 [bytes]) and a `ProbeInputs` structure.
    """
    vector_type = tff.TensorType(np.float32, [objective.dimension])
    inputs_type = tff.to_type(
        ProbeInputs(
            client_id=tff.TensorType(np.int32),
            contributed=tff.TensorType(np.int32),
            weight=tff.TensorType(np.float32),
            training_loss=tff.TensorType(np.float32),
            examples=tff.types.tensorflow_to_type(objective.input_spec),
            before=vector_type,
            after=vector_type,
            non_trainable=objective.non_trainable_type,
        )
    )

    def losses(inputs: ProbeInputs, message: tf.Tensor) -> tf.Tensor:
        differences = read_answer(probe_encoder, message, objective.dimension)
        # w'(m) is w(m) but for the coordinates that k' changes.
        probed = tf.tensor_scatter_nd_update(
            inputs.after,
            differences.indices[:, tf.newaxis],
            tf.gather(inputs.before, differences.indices)
            - learning_rate * differences.values,
        )
        return tf.stack(
            [
                objective.loss(weights, inputs.non_trainable, inputs.examples)
                for weights in (inputs.before, inputs.after, probed)
            ]
        )

    @tff.tensorflow.computation(inputs_type, tff.TensorType(np.uint8, [None]))
    def evaluate(inputs: ProbeInputs, message: tf.Tensor) -> ClientReport:
        return ClientReport(
            inputs.client_id,
            inputs.contributed,
            inputs.weight,
            inputs.training_loss,
            losses(inputs, message) if probes else tf.zeros([0], tf.float32),
        )

    @tff.tensorflow.computation
    def zero() -> _Sums:
        none = _Contributions(growing.empty(tf.int32), growing.empty(tf.int32))
        nought = tf.constant(0.0, tf.float64)
        losses = tf.zeros([3 if probes else 0], tf.float64)
        return _Sums(none, nought, nought, losses, tf.constant(0, tf.int64))

    sums_type = zero.type_signature.result

    @tff.tensorflow.computation(sums_type, evaluate.type_signature.result)
    def accumulate(sums: _Sums, report: ClientReport) -> _Sums:
        weight = tf.cast(report.weight, tf.float64)
        return _Sums(
            growing.concat(
                sums.contributions,
                _Contributions([report.client_id], [report.contributed]),
            ),
            sums.weight + weight,
            sums.training_loss + weight * tf.cast(report.training_loss, tf.float64),
            sums.losses + weight * tf.cast(report.losses, tf.float64),
            sums.bits + message_size.size_in_bits(report),
        )

    @tff.tensorflow.computation(sums_type, sums_type)
    def merge(first: _Sums, second: _Sums) -> _Sums:
        return _Sums(
            growing.concat(first.contributions, second.contributions),
            first.weight + second.weight,
            first.training_loss + second.training_loss,
            first.losses + second.losses,
            first.bits + second.bits,
        )

    @tff.tensorflow.computation(sums_type)
    def report(sums: _Sums) -> Report:
        client_ids, contributed = sums.contributions
        order = tf.argsort(client_ids, stable=True)
        return Report(
            client_ids=tf.gather(client_ids, order),
            contributed=tf.gather(contributed, order),
            training_loss=sums.training_loss / sums.weight,
            losses=sums.losses / sums.weight,
            bits=sums.bits,
        )

    @tff.federated_computation(
        tff.FederatedType(tff.TensorType(np.uint8, [None]), tff.SERVER),
        tff.FederatedType(inputs_type, tff.CLIENTS),
    )
    def probe(message: tff.Value, inputs: tff.Value) -> tff.Value:
        reports = tff.federated_map(
            evaluate, (inputs, tff.federated_broadcast(message))
        )
        return tff.federated_aggregate(reports, zero(), accumulate, merge, report)

    return probe
