"""Federated training over sparse messages, with a k that is learned on the way.

Han, Wang, Leung, ICDCS 2020, Algorithms 1 to 3: a round is the work of every client
(step 1), the sparse exchange (steps 2 to 5), the probe (step 6) and the update of k
(steps 6 to 8).
"""

import collections
import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import seeds
from tff_gs.controllers import controller as controller_lib
from tff_gs.controllers import elasticity_descent
from tff_gs.costs import cost as cost_lib
from tff_gs.costs import normalised
from tff_gs.encoders import encoder, message_encoder
from tff_gs.exchange import (
    catch_up,
    client_state,
    message_size,
    server_update,
    sparse_exchange,
)
from tff_gs.learning import local_work, probe, round_metrics
from tff_gs.learning import objective as objective_lib
from tff_gs.sparsifiers import fab_top_k
from tff_gs.sparsifiers import sparsifier as sparsifier_lib

#: Index-value lists as they are, in as few bytes as Rice codes need.
EXACT_RICE_ENCODER = functools.partial(message_encoder.build_encoder, "rice", "float32")


class ServerState(NamedTuple):
    """The state of the server between rounds.

    Attributes:
      weights: float32 [D], w(m).
      optimizer: The state of the server's optimizer.
      non_trainable: The model's weights that training leaves alone.
      controller: The state of the rule for k.
      sparsifier: The state of the sparsification method.
      round: int32 scalar, m: rounds run so far.
      time: float64 scalar, the sum of theta over these rounds.
      seed: int32 [2], the seed of the run.
      last_changed: int32 [D], see `tff_gs.exchange.catch_up.CurrentModel`; `()` where
        all clients take part in every round.
    """

    weights: Any
    optimizer: Any
    non_trainable: Any
    controller: Any
    sparsifier: Any
    round: Any
    time: Any
    seed: Any
    last_changed: Any = ()


class Clients(NamedTuple):
    """The state of one client, CLIENTS-placed.

    Attributes:
      exchange: `tff_gs.exchange.client_state.ClientState`.
      non_trainable: The model's weights that training leaves alone.
      model_round: int32 scalar, the round of the client's model: how many the server
        had run when it was the server's; `()` where all take part in every round.
    """

    exchange: Any
    non_trainable: Any
    model_round: Any = ()


class RoundOutput(NamedTuple):
    """The result of one round.

    Attributes:
      state: `ServerState` at SERVER.
      clients: `Clients` at CLIENTS.
      metrics: What the round measured, at SERVER; see `SparsifiedProcess`. One seed
        gives the same metrics, to the bit, unless the model draws random numbers of its
        own.
      timing: Wall-clock seconds of the round, at SERVER: `encode_seconds`, which all
        clients together took to encode their uploads, and `decode_seconds`, which
        the server took to decode them.
    """

    state: Any
    clients: Any
    metrics: Any
    timing: Any


@dataclasses.dataclass(frozen=True)
class SparsifiedProcess:
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
    * `local_steps` int32: tau of the client that computed most, and `training_loss`
      float64, the clients' minibatch losses at w(m-1);
      `loss_before`, `loss_after`, `loss_probe` float64: L0, L1, L1' (NaN where
      nothing was probed); `sign` int32, the estimated sign of the derivative (0 where
      both costs are equal or it is not defined), and `sign_defined` int32, 1 where it
      is;
    * with partial participation, what brought the clients of the round up to date:
      `catch_up_rounds` int64, by how many rounds their models were behind, of all
      together, and `catch_up_rounds_max` int64, of the one that was most;
      `catch_up_elements` and `catch_up_bits` int64, of all together,
      `catch_up_bits_max` int64, of the client that received most, `catch_up_dense`
      int32, how many were sent all weights, and `catch_up_request_bits` int64, what
      they asked for it with;
    * `clients` int32, and `refused` int32 [reasons], how many messages were refused
      by reason (`Encoder.ERRORS`; the first entry counts the accepted ones);
    * `client_ids` int32 [N] and `contributed` int32 [N].

    Attributes:
      objective: The model as a function of flat weights.
      initialize: `() -> ServerState@SERVER`.
      initialize_clients: `(state@SERVER, client_ids@CLIENTS) -> (Clients@CLIENTS,
        bits@SERVER)`; the one dense download, and its size in bits (int64) for each
        client. Ids are int32 and distinct. With partial participation it may be
        called at any time, for the clients that take part for the first time.
      next: `(state@SERVER, clients@CLIENTS, data@CLIENTS) -> RoundOutput`; the data
        of a client is a structure like the model's batch that holds all its
        examples, at least one. With partial participation the clients are those of
        the round, any of them, with their states after the last round that they took
        part in; averages are over them.
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


class _Decided(NamedTuple):
    told: sparse_exchange.Told
    downlink_seed: tf.Tensor


def build_sparsified_process(
    model: objective_lib.Model,
    *,
    work: Callable[[objective_lib.Objective], local_work.LocalWork],
    update: Callable[[int], server_update.ServerUpdate],
    cost: Callable[[int], cost_lib.Cost] | None = None,
    sparsifier: Callable[..., sparsifier_lib.Sparsifier] = fab_top_k.FabTopK,
    controller: Callable[
        [int], controller_lib.Controller
    ] = elasticity_descent.ElasticityDescent,
    uplink_encoder: Callable[..., encoder.Encoder] = EXACT_RICE_ENCODER,
    downlink_encoder: Callable[..., encoder.Encoder] = EXACT_RICE_ENCODER,
    probe_encoder: Callable[..., encoder.Encoder] = EXACT_RICE_ENCODER,
    participation: catch_up.PartialParticipation | None = None,
    seed: int = 0,
) -> SparsifiedProcess:
    """Builds the process from its parts.

    D, the number of trainable weights, is the model's; what depends on it is given as
    a function that builds it, such as a class or a `functools.partial` of it.

    Args:
      model: A `tff.learning.models.FunctionalModel`, or a function without arguments
        that builds a `tff.learning.models.VariableModel`. The batch of the first is
        a pair (x, y), or a mapping with these keys in any order.
      work: What a client computes in a round; called with the objective.
      update: How the model changes by an update; called with D.
      cost: How long a round takes; called with D. By default the paper's normalised
        time, in which a minibatch gradient takes 1.
      sparsifier: What clients send and what the server selects; called with keyword
        arguments `dimension` (D) and `probes` (whether the rule for k probes).
      controller: The rule for k; called with D.
      uplink_encoder: How clients write their messages; called with keyword arguments
        `dimension` (D) and `tensor_sizes` (of the model's trainable tensors).
        Methods whose indices are implicit write none, with the same value code.
      downlink_encoder: How the server writes the update; likewise.
      probe_encoder: How the server writes what differs at k'; likewise. Its values
        have to be exact.
      participation: Whether any subset of the clients may take part in a round, and
        how those that did not are brought up to date; by default all clients take
        part in every round, and nothing is kept or sent for it.
      seed: Fixes every random draw of the run, but for those of stateful random
        operations in the model's own forward pass (dropout), of which there is a
        warning.

    Raises:
      ValueError: If an argument is outside its range, or the rule for k needs
        feedback that its rounds do not have.
    """
    objective = objective_lib.build_objective(model)
    dimension = objective.dimension
    rule = controller(dimension)
    measured = controller_lib.MEASURED
    controller_lib.require_feedback(
        rule, measured | controller_lib.PROBED if rule.probes else measured
    )
    method = sparsifier(dimension=dimension, probes=rule.probes)
    server = update(dimension)
    client_work = work(objective)
    if cost is None:
        cost = functools.partial(
            normalised.NormalisedTime,
            batch_size=client_work.batch_size,
            probe_examples=client_work.probe_examples,
        )
    codes = {
        name: build(dimension=dimension, tensor_sizes=objective.tensor_sizes)
        for name, build in (
            ("uplink_encoder", uplink_encoder),
            ("downlink_encoder", downlink_encoder),
            ("probe_encoder", probe_encoder),
        )
    }
    exchange = sparse_exchange.build_sparse_exchange(
        sparsifier=method, update=server, work=client_work, **codes
    )
    measure = round_metrics.RoundMetrics(
        method=method,
        cost=cost(dimension),
        uplink_encoder=exchange.uplink_encoder,
        downlink_encoder=exchange.downlink_encoder,
    )
    close_round = probe.build_probe(
        objective,
        exchange,
        probes=rule.probes,
        probe_encoder=codes["probe_encoder"],
        update=server,
        catches_up=participation is not None,
    )
    catching_up = None
    if participation is not None:
        catching_up = catch_up.build_catch_up(
            server, tensor_sizes=objective.tensor_sizes, participation=participation
        )

    @tff.tensorflow.computation
    def initial_state() -> ServerState:
        weights, non_trainable = objective.initial_weights()
        return ServerState(
            weights=weights,
            optimizer=server.initialize(),
            non_trainable=non_trainable,
            controller=rule.initialize(),
            sparsifier=method.initialize(),
            round=tf.constant(0),
            time=tf.constant(0.0, tf.float64),
            seed=seeds.of_run(seed),
            last_changed=catching_up.initialize() if catching_up else (),
        )

    state_type = initial_state.type_signature.result

    @tff.federated_computation
    def initialize() -> tff.Value:
        return tff.federated_eval(initial_state, tff.SERVER)

    data_type = tff.types.tensorflow_to_type(objective.input_spec)
    clients_type = tff.to_type(
        Clients(
            client_state.client_state_type(server.replica_type),
            objective.non_trainable_type,
            np.int32 if catching_up else (),
        )
    )

    @tff.tensorflow.computation(state_type)
    def dense_download_bits(state: ServerState) -> tf.Tensor:
        return message_size.size_in_bits(
            (state.weights, state.optimizer, state.non_trainable, state.seed)
            + ((state.round,) if catching_up else ())
        )

    @tff.federated_computation(
        tff.FederatedType(state_type, tff.SERVER),
        tff.FederatedType(np.int32, tff.CLIENTS),
    )
    def initialize_clients(state: tff.Value, client_ids: tff.Value) -> tff.Value:
        clients = Clients(
            exchange.initialize_clients(_replica(state), state.seed, client_ids),
            tff.federated_broadcast(state.non_trainable),
            tff.federated_broadcast(state.round if catching_up else state.last_changed),
        )
        return tff.federated_zip(clients), tff.federated_map(dense_download_bits, state)

    @tff.tensorflow.computation(state_type)
    def decide(state: ServerState) -> _Decided:
        return _Decided(
            sparse_exchange.Told(
                controller_lib.checked(rule.decide(state.controller), dimension),
                method.share(state.sparsifier, state.seed),
            ),
            seeds.derive(state.seed, seeds.Purpose.DOWNLINK, state.round),
        )

    decision_type = decide.type_signature.result.told.decision
    outcome_type = exchange.send.type_signature.result.outcome.member
    report_type = close_round.type_signature.result.report.member

    @tff.tensorflow.computation(
        state_type,
        server.replica_type,
        decision_type,
        outcome_type,
        report_type,
    )
    def finish_round(
        state: ServerState,
        replica: server_update.Replica,
        decision: controller_lib.Decision,
        outcome: sparse_exchange.Outcome,
        report: probe.Report,
    ) -> tuple[ServerState, Any, Any]:
        feedback = measure.feedback(decision, outcome, report)
        updated = state._replace(
            weights=replica.weights,
            optimizer=replica.optimizer,
            controller=rule.update(
                state.controller,
                feedback,
                seeds.derive(state.seed, seeds.Purpose.CONTROLLER, state.round),
            ),
            sparsifier=method.advance(state.sparsifier, decision.k),
            round=state.round + 1,
            time=state.time + feedback.round_time,
        )
        if catching_up:
            updated = updated._replace(
                last_changed=catching_up.advance(
                    state.last_changed, state.weights, replica.weights, updated.round
                )
            )
        metrics = collections.OrderedDict(
            round=updated.round,
            time=updated.time,
            sign=rule.sign(updated.controller),
            sign_defined=tf.cast(rule.sign_defined(updated.controller), tf.int32),
            **measure.metrics(decision, outcome, report, feedback),
        )
        timing = collections.OrderedDict(
            encode_seconds=report.encode_seconds,
            decode_seconds=outcome.decode_seconds,
        )
        return updated, metrics, timing

    @tff.tensorflow.computation(np.int32)
    def following(number: tf.Tensor) -> tf.Tensor:
        return number + 1

    def begin(state: tff.Value, clients: tff.Value) -> catch_up.CaughtUp:
        """The clients with the model of this round, whatever round theirs is of."""
        if catching_up is None:
            return catch_up.CaughtUp(
                clients.exchange, clients.model_round, clients.model_round
            )
        current = catch_up.CurrentModel(
            _replica(state), state.last_changed, state.round
        )
        caught_up = catching_up.next(
            tff.federated_zip(current), clients.exchange, clients.model_round
        )
        return catch_up.CaughtUp(
            caught_up.client,
            tff.federated_map(following, caught_up.round),
            caught_up.receipt,
        )

    @tff.federated_computation(
        tff.FederatedType(state_type, tff.SERVER),
        tff.FederatedType(clients_type, tff.CLIENTS),
        tff.FederatedType(data_type, tff.CLIENTS),
    )
    def next_fn(state: tff.Value, clients: tff.Value, data: tff.Value) -> RoundOutput:
        begun = begin(state, clients)
        decided = tff.federated_map(decide, state)
        inputs = local_work.Inputs(clients.non_trainable, data)
        exchanged = exchange.send(
            _replica(state),
            decided.told,
            decided.downlink_seed,
            begun.client,
            tff.federated_zip(inputs),
        )
        closing = probe.Closing(
            client_state.waiting(begun.client),
            exchanged.sent,
            clients.non_trainable,
            begun.receipt,
        )
        closed = close_round(
            exchanged.answer,
            exchanged.outcome.probe_message,
            tff.federated_zip(closing),
        )
        finished = tff.federated_map(
            finish_round,
            (
                state,
                exchanged.replica,
                decided.told.decision,
                exchanged.outcome,
                closed.report,
            ),
        )
        return RoundOutput(
            state=finished[0],
            clients=tff.federated_zip(
                Clients(closed.clients, clients.non_trainable, begun.round)
            ),
            metrics=finished[1],
            timing=finished[2],
        )

    return SparsifiedProcess(objective, initialize, initialize_clients, next_fn)


def _replica(state: tff.Value) -> tff.Value:
    return tff.federated_zip(server_update.Replica(state.weights, state.optimizer))
