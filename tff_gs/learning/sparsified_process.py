"""Federated training over sparse messages, with a k that is learned on the way.

A round m, and what does it; by default, with FAB consensus:

    server  k, k' <- the rule's decision                `Round.begin`
    client  a_i <- a_i + gradient, or local updates     `ConsensusExchange.nominate`
    client  send a ballot: the first r ranks of a_i     `ConsensusExchange.nominate`
    server  J <- the first k in the ballots' order      `ConsensusExchange.elect`
    client  send encode(a_i at J), values only          `ConsensusExchange.send_values`
    server  b <- mean at J; w <- w - eta b; send b      `ConsensusExchange.select`
    client  w <- w - eta b; a_i <- 0 at J               `ConsensusExchange.receive`
    client  report the losses that the rule wants       `Round.report`
    server  the rule learns theta(k), b, ...            `Round.finish`

With the paper's FAB-top-k (Han, Wang, Leung, ICDCS 2020, Algorithms 1 to 3) and a rule
that probes:

    server  k, k' <- the rule's decision                   `Round.begin`
    client  a_i <- a_i + gradient, or local updates        `SparseExchange.upload`
    client  J_i <- top-k of a_i; send encode(a_i at J_i)   `SparseExchange.upload`
    server  J <- FAB-top-k of all J_i; b <- mean at J      `SparseExchange.select`
    server  w <- w - eta b; send encode(b)                 `SparseExchange.select`
    client  w <- w - eta b; a_i <- 0 at J_i and J          `SparseExchange.receive`
    client  report the losses L0, L1, L1'                  `Round.report`
    server  the rule learns theta(k), theta(k'), losses    `Round.finish`
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _collecting, _growing, _tensor_specs
from tff_gs.controllers import controller as controller_lib
from tff_gs.controllers import waiting
from tff_gs.costs import cost as cost_lib
from tff_gs.costs import normalised
from tff_gs.encoders import encoder, message_encoder
from tff_gs.exchange import (
    catch_up,
    client_state,
    consensus_exchange,
    pipelined_exchange,
    reading,
    server_update,
    sparse_exchange,
    summed_consensus_exchange,
    transformations,
)
from tff_gs.learning import (
    _model_weights,
    _reports,
    local_work,
    round_metrics,
    training_round,
)
from tff_gs.learning import objective as objective_lib
from tff_gs.learning.training_round import ServerState
from tff_gs.sparsifiers import fab_consensus
from tff_gs.sparsifiers import sparsifier as sparsifier_lib


class Clients(NamedTuple):
    """The state of one client, CLIENTS-placed.

    Attributes:
      exchange: `tff_gs.exchange.client_state.ClientState`.
      non_trainable: The model's weights that training leaves alone.
      model_round: int32 scalar, the round of the client's model: how many the server
        had run when it was the server's; `()` if all take part in every round.
    """

    exchange: Any
    non_trainable: Any
    model_round: Any = ()


class InitializeOutput(NamedTuple):
    """The result of the dense download.

    Attributes:
      state: `ServerState` at SERVER, which knows the clients now.
      clients: `Clients` at CLIENTS.
      bits: int64 scalar at SERVER, the size of the download of each client.
    """

    state: Any
    clients: Any
    bits: Any


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

    >>> from tff_gs import learning, runtime
    >>> @tf.function(autograph=False)
    ... def predict(weights, x, training):
    ...     return weights[0] * x
    >>> def loss(output, label, sample_weight=None):
    ...     return tf.reduce_mean((output - label) ** 2)
    >>> model = tff.learning.models.FunctionalModel(
    ...     initial_weights=(np.float32(1.0), ()),
    ...     predict_on_batch_fn=predict,
    ...     loss_fn=loss,
    ...     input_spec=2 * (tf.TensorSpec([None], tf.float32),),
    ... )
    >>> process = learning.build_sparsified_fed_sgd(model, learning_rate=0.1)
    >>> data = [(np.float32([x]), np.float32([2 * x])) for x in (1.0, 2.0)]
    >>> with runtime.execution_context():
    ...     state = process.initialize()
    ...     state, clients, _ = process.initialize_clients(state, [0, 1])
    ...     state, clients, metrics, _ = process.next(state, clients, data)
    >>> # The gradients are -2 and -8.
    >>> process.get_model_weights(state).trainable, int(metrics["uplink_elements"])
    (1.5, 2)

    `metrics` of `next` is an ordered dict of

    * `round` int32, `k` int32, `k_probe` int32 (0: nothing was probed);
    * `time` float64: normalised time up to and with this round, `round_time`
      float64, `probe_time` float64 (theta(k'); NaN if nothing was probed);
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
    * if coordinates are elected before values travel, `ballot_ranks` int32, r: how many
      ranks clients nominated, `ballot_bits` int64, of all clients, and
      `announcement_bits` int64, what told each client J (in `uplink_bits` and
      `downlink_bits`, both), and `short_union` int32, 1 if the ballots held fewer than
      k coordinates;
    * `kappa` int32, `contributed_min`, `contributed_median`, `contributed_max`:
      |J and J_i| over clients (J_i are a client's nominees if there is an election);
      `overlap` float64: how many clients sent a selected
      coordinate, on average;
    * `local_steps` int32: tau of the client that computed most, and `training_loss`
      float64, the clients' minibatch losses at w(m-1);
      `loss_before`, `loss_after`, `loss_probe` float64: L0, L1, L1' (NaN if
      nothing was probed); `sign` int32, the estimated sign of the derivative (0 if
      both costs are equal or it is not defined), and `sign_defined` int32, 1 if it
      is;
    * with partial participation, what brought the clients of the round up to date:
      `catch_up_rounds` int64, by how many rounds their models were behind, of all
      together, and `catch_up_rounds_max` int64, of the one that was most;
      `catch_up_elements` and `catch_up_bits` int64, of all together,
      `catch_up_bits_max` int64, of the client that received most, `catch_up_dense`
      int32, how many were sent all weights, and `catch_up_request_bits` int64, what
      they asked for it with;
    * `clients` int32: how many messages came; `non_finite` int32, how many clients had
      a gradient or update with an entry that is not finite, which counts for nothing;
      `refused` int32 [reasons], how many messages were refused by reason
      (`tff_gs.encoders.names.REFUSALS`; the first entry counts the accepted ones);
    * `client_ids` int32 [N], `contributed` int32 [N] and `refusals` int32 [N] (see
      `describe_refusals`), of the clients that the server knows;
    * `value_sum`, if there is one that measures something: what it measured;
    * `model_metrics`, if the model has metrics of its own: their values over the
      minibatches of the round, summed over the clients that were accepted and finalized
      as `tff.learning.metrics.sum_then_finalize` does.

    Attributes:
      objective: The model as a function of flat weights.
      initialize: `() -> ServerState@SERVER`.
      initialize_clients: `(state@SERVER, client_ids@CLIENTS) -> InitializeOutput`: the
        one dense download, and its size in bits. Ids are int32 and distinct. The server
        then knows these clients and refuses messages under other ids. With partial
        participation it may be called at any time, for the clients that take part for
        the first time.
      next: `(state@SERVER, clients@CLIENTS, data@CLIENTS) -> RoundOutput`; the data
        of a client is a structure like the model's batch that holds all its
        examples, at least one. Without partial participation the clients are all that
        the server knows, else an error says so; with it, any of them, with their
        states after the last round that they took part in; averages are over them.
    """

    objective: objective_lib.Objective
    initialize: tff.Computation
    initialize_clients: tff.Computation
    next: tff.Computation

    def get_model_weights(self, state: ServerState) -> tff.learning.models.ModelWeights:
        """The model's weights in `state`, in the model's own structure."""
        return _model_weights.get(self.objective, state)

    def set_model_weights(
        self, state: ServerState, weights: tff.learning.models.ModelWeights
    ) -> ServerState:
        """The state with other weights, such as those of a trained model.

        All else stays, such as the state of the server's optimizer and of the rule
        for k. Clients that have received the model before have another one now:

        * without partial participation they must be initialized again, all of them:
          the state knows no client, and a round with them is an error;
        * with it, they are brought up to date in the next round that they take part
          in, as if a round had changed the weights: `round` counts one more, and their
          residuals stay. If weights that training leaves alone change too, they must
          be initialized again here as well, and are refused until then.

        Weights that are equal to the bit change nothing.

        Args:
          state: The server's.
          weights: In the model's own structure, as of `get_model_weights`, or of
            `tff.learning.models.ModelWeights.from_model` of an equal model.

        Raises:
          ValueError: In one sentence, if structure, shapes or dtypes are not the
            model's.
        """
        return _model_weights.put(self.objective, state, weights)


def build_sparsified_process(
    model: objective_lib.Model,
    *,
    work: local_work.LocalWork,
    update: server_update.ServerUpdate,
    cost: cost_lib.Cost = normalised.NormalisedTime(),
    sparsifier: sparsifier_lib.Sparsifier = fab_consensus.FabConsensus(),
    controller: controller_lib.Controller = waiting.Waiting(),
    uplink_encoder: encoder.Encoder = encoder.Encoder(),
    downlink_encoder: encoder.Encoder = encoder.Encoder(),
    probe_encoder: encoder.Encoder = encoder.Encoder(),
    participation: catch_up.PartialParticipation | None = None,
    transformation: Sequence[transformations.ClientTransformation] = (),
    bounds: reading.MessageBounds = reading.DEFAULT_BOUNDS,
    value_sum: tff.aggregators.UnweightedAggregationFactory | None = None,
    rounds: int | None = None,
    num_clients: int | None = None,
    seed: int = 0,
) -> SparsifiedProcess:
    """Builds the process from its parts.

    Each is given by its options (`tff_gs.configuration.Configuration`), and bound here
    to D, the number of the model's trainable weights.

    Warns of a model whose training pass updates weights that no optimizer trains, or
    draws random numbers that no seed fixes.

    Args:
      model: A `tff.learning.models.FunctionalModel`, or a function without arguments
        that builds a `tff.learning.models.VariableModel`. The batch of the first is
        a pair (x, y), or a mapping with these keys in any order.
      work: What a client computes in a round.
      update: How the model changes by an update.
      cost: How long a round takes. By default the paper's normalised time, in which a
        minibatch gradient takes 1.
      sparsifier: What clients send and what the server selects.
      controller: The rule for k.
      uplink_encoder: How clients write their messages; methods whose indices are
        implicit write none, with the same value code.
      downlink_encoder: How the server writes the update; likewise.
      probe_encoder: How the server writes what differs at k'. Its values have to be
        exact.
      participation: Whether any subset of the clients may take part in a round, and
        how those that did not are brought up to date; by default all clients take
        part in every round, and nothing is kept or sent for it.
      transformation: What a gradient or update goes through at the client before it
        enters the residual, in order, such as
        `[tff_gs.exchange.ClipByNorm(1.0)]`.
      bounds: What a client's message may say at most; beyond it, it is refused.
      value_sum: What adds up the clients' values in place of the server, such as
        `tff.aggregators.SecureSumFactory(1.0, -1.0)`: then the server reads ballots
        and the sum, and no client's values. For `FabConsensus`. It adds up C_i a_ij as
        float32, as many as the rule's largest k, so give that rule a `k_max`. What it
        clips is lost. It may have no state between rounds.
      rounds: How many rounds the run will have, if that is known: bandits choose their
        constants by it, and a recording must be as long.
      num_clients: Clients that may take part, with ids below it, if that is known:
        `tff_gs.costs.links.LinkTime` draws or reads so many links.
      seed: Fixes every random draw of the run, except those of stateful random
        operations in the model's own forward pass (dropout), of which there is a
        warning.

    Raises:
      TypeError: If `value_sum` does not result in a sum of vectors.
      ValueError: If an argument is outside its range, or the rule for k needs
        feedback that its rounds do not have, or `value_sum` does not fit.
    """
    objective = objective_lib.build_objective(model)
    for remark in objective.remarks():
        warnings.warn(remark, stacklevel=3)
    client_work = work.bind(objective)
    codes = _bind_encoders(
        objective,
        uplink_encoder=uplink_encoder,
        downlink_encoder=downlink_encoder,
        probe_encoder=probe_encoder,
    )
    time = cost.bind(
        dimension=objective.dimension,
        batch_size=client_work.batch_size,
        probe_examples=client_work.probe_examples,
        num_clients=num_clients,
        seed=seed,
    )
    bind_rule = functools.partial(
        _bind_rule, controller, client_work, rounds, num_clients, seed
    )
    measure = _build_measure(objective, sparsifier, time, codes)
    rule = bind_rule(measure)
    if value_sum is not None:
        _require_sum(sparsifier, uplink_encoder)
        # What is added up is as long at every k: that is in the price of a round.
        measure = dataclasses.replace(measure, padded_to=rule.largest_k)
        rule = bind_rule(measure)
    method = sparsifier.bind(dimension=objective.dimension, probes=rule.probes)
    server = update.bind(objective.dimension)
    exchange = _build_exchange(
        value_sum,
        rule,
        sparsifier=method,
        update=server,
        work=client_work,
        transformation=transformation,
        bounds=bounds,
        **codes,
    )
    steps = training_round.Round(
        objective=objective,
        rule=rule,
        method=method,
        server=server,
        exchange=exchange,
        measure=dataclasses.replace(measure, method=method, needs=rule.needs),
        catching_up=_build_catch_up(objective, exchange, server, participation),
        seed=seed,
    )
    return _build_computations(steps)


_EXCHANGES: dict[sparsifier_lib.Legs, type[sparse_exchange.SparseExchange]] = {
    sparsifier_lib.Legs.ENTRIES: sparse_exchange.SparseExchange,
    sparsifier_lib.Legs.BALLOTS_THEN_VALUES: consensus_exchange.ConsensusExchange,
    sparsifier_lib.Legs.VALUES_WITH_BALLOTS: pipelined_exchange.PipelinedExchange,
}


def _build_exchange(
    value_sum: tff.aggregators.UnweightedAggregationFactory | None,
    rule: controller_lib.Controller,
    *,
    sparsifier: sparsifier_lib.Sparsifier,
    **parts: Any,
) -> sparse_exchange.SparseExchange:
    """The exchange that the sparsifier needs, or the one around `value_sum`."""
    build: Callable[..., sparse_exchange.SparseExchange] = _EXCHANGES[sparsifier.legs]
    if value_sum is not None:
        build = functools.partial(
            summed_consensus_exchange.SummedConsensusExchange,
            value_sum=value_sum,
            largest_k=rule.largest_k,
        )
    return build(sparsifier=sparsifier, keeps_order="update" in rule.needs, **parts)


def _require_sum(
    sparsifier: sparsifier_lib.Sparsifier, uplink_encoder: encoder.Encoder
) -> None:
    """Raises ValueError if nothing but the sum of the values cannot be known."""
    if sparsifier.legs is not sparsifier_lib.Legs.BALLOTS_THEN_VALUES:
        raise ValueError(
            "Expected a sparsifier whose coordinates are elected before values travel "
            f"with value_sum, such as FabConsensus(), found {sparsifier!r}."
        )
    if uplink_encoder.value != encoder.Encoder().value:
        raise ValueError(
            "Expected an uplink_encoder with the value code "
            f"{encoder.Encoder().value!r} with value_sum, which adds up values as they "
            f"are, found {uplink_encoder.value!r}."
        )


def _build_measure(
    objective: objective_lib.Objective,
    sparsifier: sparsifier_lib.Sparsifier,
    time: cost_lib.Cost,
    codes: Mapping[str, message_encoder.MessageEncoder],
) -> round_metrics.RoundMetrics:
    """What prices a round, before it is known what the rule for k needs."""
    up, down = codes["uplink_encoder"], codes["downlink_encoder"]
    if sparsifier.implicit_indices:
        up, down = up.without_indices(), down.without_indices()
    return round_metrics.RoundMetrics(
        method=sparsifier.bind(dimension=objective.dimension, probes=False),
        cost=time,
        uplink_encoder=up,
        downlink_encoder=down,
    )


def _bind_rule(
    controller: controller_lib.Controller,
    client_work: local_work.LocalWork,
    rounds: int | None,
    num_clients: int | None,
    seed: int,
    measure: round_metrics.RoundMetrics,
) -> controller_lib.Controller:
    """The rule for a run whose rounds are priced by `measure`.

    Raises:
      ValueError: If it needs what no round measures for it.
    """
    rule = controller.bind(
        measure.method.dimension,
        rounds=rounds,
        seed=seed,
        balanced_k=lambda: measure.balanced_k(
            clients=num_clients or 1, local_steps=client_work.expected_steps
        ),
    )
    measured = controller_lib.MEASURED | controller_lib.ON_REQUEST
    controller_lib.require_feedback(
        rule, measured | controller_lib.PROBED if rule.probes else measured
    )
    return rule


def _bind_encoders(
    objective: objective_lib.Objective, **encoders: encoder.Encoder
) -> dict[str, message_encoder.MessageEncoder]:
    """What writes and reads the messages of this model."""
    return {
        name: part.bind(
            dimension=objective.dimension, tensor_sizes=objective.tensor_sizes
        )
        for name, part in encoders.items()
    }


def _build_catch_up(
    objective: objective_lib.Objective,
    exchange: sparse_exchange.SparseExchange,
    server: server_update.ServerUpdate,
    participation: catch_up.PartialParticipation | None,
) -> catch_up.CatchUp | None:
    """How clients that were away are brought up to date; None: nobody is away."""
    if participation is None:
        return None
    return catch_up.CatchUp(
        server,
        tensor_sizes=objective.tensor_sizes,
        participation=participation,
        state_type=exchange.state_type,
    )


def _build_computations(steps: training_round.Round) -> SparsifiedProcess:
    """Wires the steps of a round into TFF computations."""
    exchange, catching_up = steps.exchange, steps.catching_up
    initial_state = tff.tensorflow.computation(steps.initial_state)
    state_type = initial_state.type_signature.result
    clients_type = tff.to_type(
        Clients(
            exchange.state_type,
            steps.objective.non_trainable_type,
            np.int32 if catching_up else (),
        )
    )

    @tff.federated_computation
    def initialize() -> tff.Value:
        return tff.federated_eval(initial_state, tff.SERVER)

    return SparsifiedProcess(
        steps.objective,
        initialize,
        _build_initialize_clients(steps, state_type),
        _build_next(steps, state_type, clients_type),
    )


def _build_initialize_clients(
    steps: training_round.Round, state_type: tff.StructWithPythonType
) -> tff.Computation:
    """See `SparsifiedProcess.initialize_clients`."""
    collect = _build_collect_ids()
    register = tff.tensorflow.computation(
        steps.register, (state_type, state_type.client_ids)
    )

    @tff.federated_computation(
        tff.FederatedType(state_type, tff.SERVER),
        tff.FederatedType(np.int32, tff.CLIENTS),
    )
    def initialize_clients(state: tff.Value, client_ids: tff.Value) -> InitializeOutput:
        clients = Clients(
            steps.exchange.initialize_clients(_replica(state), state.seed, client_ids),
            tff.federated_broadcast(state.non_trainable),
            tff.federated_broadcast(
                state.round if steps.catching_up else state.last_changed
            ),
        )
        registered, bits = tff.federated_map(register, (state, collect(client_ids)))
        return InitializeOutput(registered, tff.federated_zip(clients), bits)

    return initialize_clients


def _build_collect_ids() -> tff.Computation:
    """From clients' ids to all of them at the server, int32 [n]."""
    return _collecting.build_collect(
        tff.TensorType(np.int32),
        zero=lambda: _growing.empty(tf.int32),
        add=lambda ids, client_id: tf.concat([ids, client_id[tf.newaxis]], axis=0),
        join=lambda first, second: tf.concat([first, second], axis=0),
    )


def _build_next(
    steps: training_round.Round,
    state_type: tff.StructWithPythonType,
    clients_type: tff.StructWithPythonType,
) -> tff.Computation:
    """See `SparsifiedProcess.next`."""
    begin = tff.tensorflow.computation(steps.begin, state_type)
    close = _build_close(steps)
    finish = _build_finish(steps, state_type, begin, close)
    data_type = tff.types.tensorflow_to_type(steps.objective.input_spec)

    @tff.federated_computation(
        tff.FederatedType(state_type, tff.SERVER),
        tff.FederatedType(clients_type, tff.CLIENTS),
        tff.FederatedType(data_type, tff.CLIENTS),
    )
    def next_fn(state: tff.Value, clients: tff.Value, data: tff.Value) -> RoundOutput:
        caught_up = _catch_up(steps, state, clients)
        begun = tff.federated_map(begin, state)
        exchanged = steps.exchange.send(
            _replica(state),
            begun.config,
            state.client_ids,
            begun.downlink_seed,
            caught_up.client,
            tff.federated_zip(local_work.Inputs(clients.non_trainable, data)),
        )
        closed, collected = close(
            exchanged.answer,
            exchanged.outcome.probe_message,
            tff.federated_zip(
                training_round.AnsweredClient(
                    client_state.client_replicas(caught_up.client),
                    exchanged.pending,
                    clients.non_trainable,
                    caught_up.receipt,
                )
            ),
        )
        updated, metrics, timing = tff.federated_map(
            finish,
            (state, exchanged.replica, begun.config, exchanged.outcome, collected),
        )
        return RoundOutput(
            state=updated,
            clients=tff.federated_zip(
                Clients(closed, clients.non_trainable, caught_up.round)
            ),
            metrics=metrics,
            timing=timing,
        )

    return next_fn


def _build_finish(
    steps: training_round.Round,
    state_type: tff.StructWithPythonType,
    begin: tff.Computation,
    close: tff.Computation,
) -> tff.Computation:
    """`Round.finish`, of what the steps before it give."""
    exchanged_type = steps.exchange.send.type_signature.result
    return tff.tensorflow.computation(
        steps.finish,
        (
            state_type,
            steps.server.replica_type,
            begin.type_signature.result.config,
            exchanged_type.outcome.member,
            close.type_signature.result[1].member,
        ),
    )


def _build_close(steps: training_round.Round) -> tff.Computation:
    """What clients do with the answer, and their reports at the server.

    `(answer@SERVER, probe_message@SERVER, answered@CLIENTS) ->
    (ClientState@CLIENTS, CollectedReports@SERVER)`.
    """
    exchanged_type = steps.exchange.send.type_signature.result
    answer_type = exchanged_type.answer.member
    message_type = tff.TensorType(np.uint8, [None])
    answered_type = tff.to_type(
        training_round.AnsweredClient(
            client_state.client_replica_type(steps.exchange.state_type),
            exchanged_type.pending.member,
            steps.objective.non_trainable_type,
            catch_up.RECEIPT_TYPE if steps.catching_up else (),
        )
    )
    report = tff.tensorflow.computation(
        steps.report, (answered_type, answer_type, message_type)
    )
    measured_type = report.type_signature.result[1]
    collect = _collecting.build_collect(
        measured_type,
        zero=lambda: _reports.no_reports(_tensor_specs.structure(measured_type)),
        add=_reports.collect,
        join=_reports.join,
    )

    @tff.federated_computation(
        tff.FederatedType(answer_type, tff.SERVER),
        tff.FederatedType(message_type, tff.SERVER),
        tff.FederatedType(answered_type, tff.CLIENTS),
    )
    def close(
        answer: tff.Value, message: tff.Value, answered: tff.Value
    ) -> tuple[tff.Value, tff.Value]:
        clients, measured = tff.federated_map(
            report,
            (
                answered,
                tff.federated_broadcast(answer),
                tff.federated_broadcast(message),
            ),
        )
        return clients, collect(measured)

    return close


def _catch_up(
    steps: training_round.Round, state: tff.Value, clients: tff.Value
) -> catch_up.CaughtUp:
    """The clients with the model of this round, whatever round theirs is of."""
    if steps.catching_up is None:
        return catch_up.CaughtUp(
            clients.exchange, clients.model_round, clients.model_round
        )
    current = catch_up.CurrentModel(_replica(state), state.last_changed, state.round)
    caught_up = steps.catching_up.next(
        tff.federated_zip(current), clients.exchange, clients.model_round
    )
    following = tff.tensorflow.computation(lambda number: number + 1, np.int32)
    return catch_up.CaughtUp(
        caught_up.client,
        tff.federated_map(following, caught_up.round),
        caught_up.receipt,
    )


def _replica(state: tff.Value) -> tff.Value:
    return tff.federated_zip(server_update.Replica(state.weights, state.optimizer))
