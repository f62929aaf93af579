"""Federated SGD over sparse messages, with a k that is learned on the way.

Han, Wang, Leung, ICDCS 2020, Algorithms 1 to 3: a round is one minibatch gradient at
every client (step 1), the sparse exchange (steps 2 to 5), the probe (step 6) and the
update of k (steps 6 to 8).
"""

import collections
import dataclasses
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs.controllers import controller as controller_lib
from tff_gs.costs import cost as cost_lib
from tff_gs.encoders import encoder, entropy
from tff_gs.exchange import client_state, message_size, sparse_exchange
from tff_gs.exchange import receipts as receipts_lib
from tff_gs.learning import minibatch, probe
from tff_gs.learning import objective as objective_lib
from tff_gs.sparsifiers import sparsifier as sparsifier_lib


class ServerState(NamedTuple):
    """The state of the server between rounds.

    Attributes:
      weights: float32 [D], w(m).
      non_trainable: The model's weights that training leaves alone.
      controller: The state of the rule for k.
      round: int32 scalar, m: rounds run so far.
      time: float64 scalar, the sum of theta over these rounds.
      seed: int32 [2], the seed of the run.
    """

    weights: Any
    non_trainable: Any
    controller: Any
    round: Any
    time: Any
    seed: Any


class Clients(NamedTuple):
    """The state of one client, CLIENTS-placed.

    Attributes:
      exchange: `tff_gs.exchange.client_state.ClientState`.
      non_trainable: The model's weights that training leaves alone.
    """

    exchange: Any
    non_trainable: Any


class RoundOutput(NamedTuple):
    """The result of one round.

    Attributes:
      state: `ServerState` at SERVER.
      clients: `Clients` at CLIENTS.
      metrics: What the round measured, at SERVER; see `SparsifiedFedSgd`.
    """

    state: Any
    clients: Any
    metrics: Any


@dataclasses.dataclass(frozen=True)
class SparsifiedFedSgd:
    """An iterative process with explicit client state.

    `metrics` of `next` is an ordered dict of

    * `round` int32, `k` int32, `k_probe` int32 (0: nothing was probed);
    * `time` float64: normalised time up to and with this round, `round_time`
      float64, `probe_time` float64 (theta(k'); NaN where nothing was probed);
    * `uplink_elements` int32 and `uplink_bits` int64, of all clients together,
      `uplink_bits_max` int64, of the client that sent most;
    * `downlink_elements` int32 and `downlink_bits` int64, for each client;
    * `uplink_estimate_error` float64: by which share the encoder's size estimate, which
      prices k', is off for the messages that were sent;
    * for uplink and downlink (`*`): `*_bits_per_index`, `*_bits_per_value` float64,
      averages over the messages, and `*_entropy_per_index` float64, log2 C(D, n) / n
      of their n entries: what a uniformly random choice of them needs;
    * `probe_downlink_elements` int32 and `probe_downlink_bits` int64: the message
      that tells each client what k' would have changed;
    * `report_bits` int64: losses and counts that all clients report after a round;
    * `kappa` int32, `contributed_min`, `contributed_median`, `contributed_max`:
      |J and J_i| over clients; `overlap` float64: how many clients sent a selected
      coordinate, on average;
    * `training_loss` float64, the clients' minibatch losses at w(m-1);
      `loss_before`, `loss_after`, `loss_probe` float64: L0, L1, L1' (NaN where
      nothing was probed); `sign` int32, the estimated sign of the derivative;
    * `clients` int32, and `refused` int32 [reasons], how many messages were refused
      by reason (`Encoder.ERRORS`; the first entry counts the accepted ones);
    * `client_ids` int32 [N] and `contributed` int32 [N].

    Attributes:
      objective: The model as a function of flat weights.
      initialize: `() -> ServerState@SERVER`.
      initialize_clients: `(state@SERVER, client_ids@CLIENTS) -> (Clients@CLIENTS,
        bits@SERVER)`; the one dense download, and its size in bits (int64) for each
        client. Ids are int32 and distinct.
      next: `(state@SERVER, clients@CLIENTS, data@CLIENTS) -> RoundOutput`; the data
        of a client is a structure like the model's batch that holds all its
        examples, at least one.
    """

    objective: objective_lib.Objective
    initialize: tff.Computation
    initialize_clients: tff.Computation
    next: tff.Computation

    def get_model_weights(self, state: ServerState) -> tff.learning.models.ModelWeights:
        """The model's weights in `state`, in the model's own structure."""
        return tff.learning.models.ModelWeights(
            tf.nest.map_structure(
                lambda tensor: tensor.numpy(), self.objective.unflatten(state.weights)
            ),
            state.non_trainable,
        )


class _LocalResult(NamedTuple):
    gradient: tf.Tensor
    weight: tf.Tensor
    training_loss: tf.Tensor
    probe_examples: Any


def build_sparsified_fed_sgd(
    model: objective_lib.Model,
    *,
    sparsifier: sparsifier_lib.Sparsifier,
    controller: controller_lib.Controller,
    cost: cost_lib.Cost,
    uplink_encoder: encoder.Encoder,
    downlink_encoder: encoder.Encoder,
    probe_encoder: encoder.Encoder,
    learning_rate: float = 0.01,
    batch_size: int = 32,
    probe_examples: int = 1,
    seed: int = 0,
) -> SparsifiedFedSgd:
    """Builds the process.

    Args:
      model: A `tff.learning.models.FunctionalModel`, or a function without arguments
        that builds a `tff.learning.models.VariableModel`.
      sparsifier: What clients send and what the server selects.
      controller: The rule for k.
      cost: How long a round takes.
      uplink_encoder: How clients write their messages.
      downlink_encoder: How the server writes the update.
      probe_encoder: How the server writes what differs at k' (exact values).
      learning_rate: eta, positive.
      batch_size: Examples of a minibatch; a client with fewer uses all it has.
      probe_examples: Random examples of its minibatch on which a client evaluates
        the probe losses; the paper's 1.
      seed: Fixes every random draw of the run.

    Raises:
      ValueError: If an argument is outside its range, or sparsifier and model differ
        in dimension.
    """
    objective = objective_lib.build_objective(model)
    if sparsifier.dimension != objective.dimension:
        raise ValueError(
            f"Expected a sparsifier for the model's {objective.dimension} weights, "
            f"found one for {sparsifier.dimension}."
        )
    if not learning_rate > 0.0:
        raise ValueError(f"Expected a positive learning_rate, found {learning_rate}.")
    if batch_size < 1:
        raise ValueError(f"Expected a batch_size of at least 1, found {batch_size}.")
    if not 1 <= probe_examples <= batch_size:
        raise ValueError(
            f"Expected probe_examples between 1 and the batch size {batch_size}, found "
            f"{probe_examples}."
        )
    exchange = sparse_exchange.build_sparse_exchange(
        sparsifier=sparsifier,
        uplink_encoder=uplink_encoder,
        downlink_encoder=downlink_encoder,
        probe_encoder=probe_encoder,
        learning_rate=learning_rate,
    )
    close_round = probe.build_probe(
        objective,
        probes=controller.probes,
        probe_encoder=probe_encoder,
        learning_rate=learning_rate,
    )

    @tff.tensorflow.computation
    def initial_state() -> ServerState:
        weights, non_trainable = objective.initial_weights()
        return ServerState(
            weights=weights,
            non_trainable=non_trainable,
            controller=controller.initialize(),
            round=tf.constant(0),
            time=tf.constant(0.0, tf.float64),
            seed=tf.constant([seed & 0x7FFFFFFF, seed >> 31], tf.int32),
        )

    state_type = initial_state.type_signature.result

    @tff.federated_computation
    def initialize() -> tff.Value:
        return tff.federated_eval(initial_state, tff.SERVER)

    data_type = tff.types.tensorflow_to_type(objective.input_spec)
    clients_type = tff.to_type(
        Clients(
            client_state.client_state_type(objective.dimension),
            objective.non_trainable_type,
        )
    )

    @tff.tensorflow.computation(state_type)
    def dense_download_bits(state: ServerState) -> tf.Tensor:
        return message_size.size_in_bits(
            (state.weights, state.non_trainable, state.seed)
        )

    @tff.federated_computation(
        tff.FederatedType(state_type, tff.SERVER),
        tff.FederatedType(np.int32, tff.CLIENTS),
    )
    def initialize_clients(state: tff.Value, client_ids: tff.Value) -> tff.Value:
        clients = Clients(
            exchange.initialize_clients(state.weights, state.seed, client_ids),
            tff.federated_broadcast(state.non_trainable),
        )
        return tff.federated_zip(clients), tff.federated_map(dense_download_bits, state)

    @tff.tensorflow.computation(clients_type, data_type)
    def local_gradient(client: Clients, data: Any) -> _LocalResult:
        examples = minibatch.count_examples(data)
        chosen = minibatch.minibatch_indices(
            client.exchange.seed, client.exchange.rounds, examples, batch_size
        )
        batch = minibatch.gather_examples(data, chosen)
        loss, gradient = objective.loss_and_gradient(
            client.exchange.weights, client.non_trainable, batch
        )
        draw = tf.random.stateless_uniform(tf.shape(chosen), client.exchange.round_seed)
        probed = tf.math.top_k(draw, tf.minimum(probe_examples, tf.size(chosen)))
        return _LocalResult(
            gradient=gradient,
            weight=tf.cast(examples, tf.float32),
            training_loss=loss,
            probe_examples=minibatch.gather_examples(batch, probed.indices),
        )

    @tff.tensorflow.computation(state_type)
    def decide(state: ServerState) -> tuple[controller_lib.Decision, tf.Tensor]:
        return (
            controller.decide(state.controller),
            tf.random.experimental.stateless_fold_in(state.seed, state.round),
        )

    decision_type, seed_type = decide.type_signature.result
    outcome_type = exchange.next.type_signature.result.outcome.member
    report_type = close_round.type_signature.result.member

    @tff.tensorflow.computation(
        state_type,
        tff.TensorType(np.float32, [objective.dimension]),
        decision_type,
        seed_type,
        outcome_type,
        report_type,
    )
    def finish_round(
        state: ServerState,
        weights: tf.Tensor,
        decision: controller_lib.Decision,
        round_seed: tf.Tensor,
        outcome: sparse_exchange.Outcome,
        report: probe.Report,
    ) -> tuple[ServerState, Any]:
        feedback = _feedback(
            decision, outcome, report, cost, uplink_encoder, downlink_encoder
        )
        rule = controller.update(state.controller, feedback, round_seed)
        updated = state._replace(
            weights=weights,
            controller=rule,
            round=state.round + 1,
            time=state.time + feedback.round_time,
        )
        metrics = _metrics(updated, decision, outcome, report, feedback, uplink_encoder)
        metrics["sign"] = controller.sign(rule)
        return updated, metrics

    @tff.federated_computation(
        tff.FederatedType(state_type, tff.SERVER),
        tff.FederatedType(clients_type, tff.CLIENTS),
        tff.FederatedType(data_type, tff.CLIENTS),
    )
    def next_fn(state: tff.Value, clients: tff.Value, data: tff.Value) -> RoundOutput:
        decided = tff.federated_map(decide, state)
        local = tff.federated_map(local_gradient, (clients, data))
        exchanged = exchange.next(
            state.weights,
            clients.exchange,
            local.gradient,
            local.weight,
            decided[0],
            decided[1],
        )
        inputs = probe.ProbeInputs(
            client_id=clients.exchange.client_id,
            contributed=exchanged.contributed,
            weight=local.weight,
            training_loss=local.training_loss,
            examples=local.probe_examples,
            before=clients.exchange.weights,
            after=exchanged.clients.weights,
            non_trainable=clients.non_trainable,
        )
        report = close_round(exchanged.outcome.probe_message, tff.federated_zip(inputs))
        finished = tff.federated_map(
            finish_round,
            (
                state,
                exchanged.weights,
                *(decided[i] for i in range(2)),
                exchanged.outcome,
                report,
            ),
        )
        return RoundOutput(
            state=finished[0],
            clients=tff.federated_zip(
                Clients(exchanged.clients, clients.non_trainable)
            ),
            metrics=finished[1],
        )

    return SparsifiedFedSgd(objective, initialize, initialize_clients, next_fn)


def _estimate_bits(code: encoder.Encoder, counts: tf.Tensor) -> tf.Tensor:
    """Expected sizes, float64 [n] bits, of messages of `counts` (int32 [n]) entries."""
    return tf.map_fn(code.estimate_bits, counts, fn_output_signature=tf.float64)


def _feedback(
    decision: controller_lib.Decision,
    outcome: sparse_exchange.Outcome,
    report: probe.Report,
    cost: cost_lib.Cost,
    uplink_encoder: encoder.Encoder,
    downlink_encoder: encoder.Encoder,
) -> controller_lib.Feedback:
    """What the rule for k learns from the round."""
    probed = decision.k_probe > 0
    elements = outcome.receipts.elements
    # An index-value pair is two numbers.
    pair = 2.0
    traffic = cost_lib.Traffic(
        client_ids=outcome.receipts.client_ids,
        uplink_units=pair * tf.cast(elements, tf.float64),
        uplink_bits=tf.cast(outcome.receipts.bits, tf.float64),
        downlink_units=pair * tf.cast(outcome.downlink_elements, tf.float64),
        downlink_bits=tf.cast(outcome.downlink_bits, tf.float64),
        probe_downlink_units=pair * tf.cast(outcome.probe_elements, tf.float64),
        probe_downlink_bits=tf.cast(
            message_size.size_in_bits(outcome.probe_message), tf.float64
        ),
        probed=probed,
    )
    unknown = tf.constant(np.nan, tf.float64)
    uplink_count = tf.minimum(elements, decision.k_probe)
    probe_time = cost.estimated_round_time(
        traffic,
        uplink_units=pair * tf.cast(uplink_count, tf.float64),
        uplink_bits=traffic.uplink_bits
        + _estimate_bits(uplink_encoder, uplink_count)
        - _estimate_bits(uplink_encoder, elements),
        downlink_units=pair * tf.cast(outcome.probe_count, tf.float64),
        downlink_bits=traffic.downlink_bits
        + downlink_encoder.estimate_bits(outcome.probe_count)
        - downlink_encoder.estimate_bits(outcome.downlink_elements),
    )
    losses = [unknown] * 3
    if report.losses.shape[0]:
        losses = tf.unstack(tf.where(probed, report.losses, unknown))
    return controller_lib.Feedback(
        cost.round_time(traffic),
        tf.where(probed, probe_time, unknown),
        *losses,
        report.training_loss,
    )


def _median(values: tf.Tensor) -> tf.Tensor:
    """The median, float64 scalar, of int32 [n]."""
    ordered = tf.cast(tf.sort(values), tf.float64)
    count = tf.size(values)
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2.0


def _bits_per_entry(
    direction: str,
    elements: tf.Tensor,
    sizes: receipts_lib.Receipts | encoder.Sizes,
    dimension: int,
) -> dict[str, tf.Tensor]:
    """How the bits of messages of `elements` (int32 [n]) entries divide among them."""
    count = tf.cast(tf.maximum(tf.reduce_sum(elements), 1), tf.float64)
    bound = tf.map_fn(
        lambda n: entropy.entropy_bits(n, dimension),
        elements,
        fn_output_signature=tf.float64,
    )
    return {
        f"{direction}_bits_per_{name}": tf.cast(tf.reduce_sum(bits), tf.float64) / count
        for name, bits in (("index", sizes.index_bits), ("value", sizes.value_bits))
    } | {f"{direction}_entropy_per_index": tf.reduce_sum(bound) / count}


def _metrics(
    state: ServerState,
    decision: controller_lib.Decision,
    outcome: sparse_exchange.Outcome,
    report: probe.Report,
    feedback: controller_lib.Feedback,
    uplink_encoder: encoder.Encoder,
) -> Any:
    """The metrics of a round; see `SparsifiedFedSgd`."""
    receipts, elements = outcome.receipts, outcome.receipts.elements
    dimension = state.weights.shape[0]
    accepted = tf.cast(tf.equal(receipts.errors, 0), tf.float64)
    estimated = tf.reduce_sum(accepted * _estimate_bits(uplink_encoder, elements))
    measured = tf.cast(
        tf.reduce_sum(
            receipts.index_bits + receipts.value_bits + receipts.overhead_bits
        ),
        tf.float64,
    )
    overlap = tf.cast(tf.reduce_sum(report.contributed), tf.float64) / tf.cast(
        tf.maximum(outcome.downlink_elements, 1), tf.float64
    )
    refused = tf.math.bincount(
        receipts.errors,
        minlength=len(encoder.Encoder.ERRORS),
        maxlength=len(encoder.Encoder.ERRORS),
    )
    return collections.OrderedDict(
        round=state.round,
        k=decision.k,
        k_probe=decision.k_probe,
        time=state.time,
        round_time=feedback.round_time,
        probe_time=feedback.probe_time,
        uplink_elements=tf.reduce_sum(elements),
        uplink_bits=tf.reduce_sum(receipts.bits),
        uplink_bits_max=tf.reduce_max(receipts.bits),
        downlink_elements=outcome.downlink_elements,
        downlink_bits=outcome.downlink_bits,
        uplink_estimate_error=estimated / tf.maximum(measured, 1.0) - 1.0,
        **_bits_per_entry("uplink", elements, receipts, dimension),
        **_bits_per_entry(
            "downlink",
            outcome.downlink_elements[tf.newaxis],
            outcome.downlink_sizes,
            dimension,
        ),
        probe_downlink_elements=outcome.probe_elements,
        probe_downlink_bits=message_size.size_in_bits(outcome.probe_message),
        report_bits=report.bits,
        kappa=outcome.kappa,
        contributed_min=tf.reduce_min(report.contributed),
        contributed_median=_median(report.contributed),
        contributed_max=tf.reduce_max(report.contributed),
        overlap=overlap,
        training_loss=report.training_loss,
        loss_before=feedback.loss_before,
        loss_after=feedback.loss_after,
        loss_probe=feedback.loss_probe,
        clients=tf.size(receipts.client_ids),
        refused=refused,
        client_ids=report.client_ids,
        contributed=report.contributed,
    )
