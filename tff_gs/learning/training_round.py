"""What a round consists of beside the exchange, step by step.

See `tff_gs.learning.sparsified_process` for the whole round on one page.
"""

import collections
import dataclasses
from typing import Any, NamedTuple

import tensorflow as tf

from tff_gs import _growing, _seeds, sparse_vector
from tff_gs.controllers import controller as controller_lib
from tff_gs.exchange import (
    catch_up,
    client_state,
    messages,
    server_update,
    sparse_exchange,
)
from tff_gs.learning import _reports, round_metrics
from tff_gs.learning import objective as objective_lib
from tff_gs.sparsifiers import sparsifier as sparsifier_lib


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
      client_ids: int32 [M], ascending: the clients that have received the model, so
        may take part; see `SparsifiedProcess.initialize_clients`.
      last_changed: int32 [D], see `tff_gs.exchange.catch_up.CurrentModel`; `()` if all
        clients take part in every round.
    """

    weights: Any
    optimizer: Any
    non_trainable: Any
    controller: Any
    sparsifier: Any
    round: Any
    time: Any
    seed: Any
    client_ids: Any
    last_changed: Any = ()


class RoundStart(NamedTuple):
    """What the server begins a round with.

    Attributes:
      config: `tff_gs.exchange.messages.RoundConfig`, what it tells the clients.
      downlink_seed: int32 [2], for encoding the answer.
    """

    config: Any
    downlink_seed: Any


class AnsweredClient(NamedTuple):
    """What a client has when the answer comes.

    Attributes:
      client: `tff_gs.exchange.client_state.ClientReplica`.
      pending: `tff_gs.exchange.sparse_exchange.PendingUpload`, with
        `local_work.TrainingRecord`.
      non_trainable: The model's weights that training leaves alone.
      catch_up: `tff_gs.exchange.catch_up.CatchUpReceipt`; `()` if all clients take
        part in every round.
    """

    client: Any
    pending: Any
    non_trainable: Any
    catch_up: Any = ()


@dataclasses.dataclass(frozen=True)
class Round:
    """What a round consists of beside the exchange; TensorFlow code.

    Attributes:
      objective: The model.
      rule: The rule for k.
      method: What clients send and what the server selects.
      server: How the model changes.
      exchange: Uplink, selection, downlink.
      measure: What a round showed.
      catching_up: How clients are brought up to date; None: all take part always.
      seed: Of the run.
    """

    objective: objective_lib.Objective
    rule: controller_lib.Controller
    method: sparsifier_lib.Sparsifier
    server: server_update.ServerUpdate
    exchange: sparse_exchange.SparseExchange
    measure: round_metrics.RoundMetrics
    catching_up: catch_up.CatchUp | None
    seed: int

    def initial_state(self) -> ServerState:
        """The server's state before the first round, without clients."""
        weights, non_trainable = self.objective.initial_weights()
        return ServerState(
            weights=weights,
            optimizer=self.server.initialize(),
            non_trainable=non_trainable,
            controller=self.rule.initialize(),
            sparsifier=self.method.initialize(),
            round=tf.constant(0),
            time=tf.constant(0.0, tf.float64),
            seed=_seeds.of_run(self.seed),
            client_ids=_growing.empty(tf.int32),
            last_changed=self.catching_up.initialize() if self.catching_up else (),
        )

    def register(
        self, state: ServerState, client_ids: tf.Tensor
    ) -> tuple[ServerState, tf.Tensor]:
        """The state that knows these clients too, and the bits that each receives.

        Raises:
          tf.errors.InvalidArgumentError: When run, in one sentence, if two of the
            clients have the same id.
        """
        found, distinct = (
            tf.size(ids) for ids in (client_ids, tf.unique(client_ids).y)
        )
        sentence = tf.strings.format(
            "Expected distinct ids of {} clients, found {} distinct ones.",
            (found, distinct),
        )
        check = tf.debugging.Assert(tf.equal(found, distinct), [sentence])
        with tf.control_dependencies([check]):
            known = tf.unique(tf.concat([state.client_ids, client_ids], axis=0)).y
        bits = messages.size_in_bits(
            (state.weights, state.optimizer, state.non_trainable, state.seed)
            + ((state.round,) if self.catching_up else ())
        )
        return state._replace(client_ids=tf.sort(known)), bits

    def begin(self, state: ServerState) -> RoundStart:
        """What the round is run with: k, k', and what else the server tells."""
        decision = controller_lib.checked(
            self.rule.decide(state.controller), self.objective.dimension
        )
        shared = self.method.share(state.sparsifier, state.seed, decision.k)
        return RoundStart(
            messages.RoundConfig(decision, shared),
            _seeds.derive(state.seed, _seeds.Purpose.DOWNLINK, state.round),
        )

    def report(
        self,
        answered: AnsweredClient,
        answer: messages.DownlinkMessage,
        probe_message: tf.Tensor,
    ) -> tuple[client_state.ClientState, _reports.ClientMeasurements]:
        """The client after the answer, and what it reports."""
        received = self.exchange.receive(answered.client, answered.pending, answer)
        kept = answered.pending.kept
        losses = tf.zeros([0], tf.float32)
        if self.rule.probes:
            losses = self._losses(answered, received, probe_message)
        report = _reports.ClientReport(
            answered.client.client_id,
            received.contributed,
            kept.training_loss,
            losses,
            self._energies(answered.pending),
            kept.metrics,
        )
        return received.client, _reports.ClientMeasurements(
            report,
            kept.local_steps,
            answered.catch_up,
            answered.pending.encode_seconds,
        )

    def finish(
        self,
        state: ServerState,
        replica: server_update.Replica,
        config: messages.RoundConfig,
        outcome: sparse_exchange.Outcome,
        collected: _reports.CollectedReports,
    ) -> tuple[ServerState, Any, Any]:
        """The server's next state, the metrics and the timing of the round."""
        catching_up = self.catching_up
        outcome = self._require_all(state, outcome)
        report = _reports.summarise(
            collected,
            outcome.receipts,
            selected=outcome.downlink_elements,
            limits=catching_up.limits(state.round) if catching_up else None,
        )
        decision = config.decision
        feedback = self.measure.feedback(decision, outcome, report)._replace(
            round=state.round + 1
        )
        updated = self._advance(state, replica, decision, outcome, feedback)
        metrics = collections.OrderedDict(
            round=updated.round,
            time=updated.time,
            sign=self.rule.sign(updated.controller),
            sign_defined=tf.cast(self.rule.sign_defined(updated.controller), tf.int32),
            **self.measure.metrics(decision, outcome, report, feedback),
            **self.rule.metrics(updated.controller),
        )
        if tf.nest.flatten(outcome.sum_measurements):
            metrics["value_sum"] = outcome.sum_measurements
        if report.model_metrics:
            metrics["model_metrics"] = self.objective.finalize(report.model_metrics)
        timing = collections.OrderedDict(
            encode_seconds=report.encode_seconds,
            decode_seconds=outcome.decode_seconds,
        )
        return updated, metrics, timing

    def _advance(
        self,
        state: ServerState,
        replica: server_update.Replica,
        decision: controller_lib.Decision,
        outcome: sparse_exchange.Outcome,
        feedback: controller_lib.Feedback,
    ) -> ServerState:
        """The server's state after a round with this model and this feedback."""
        updated = state._replace(
            weights=replica.weights,
            optimizer=replica.optimizer,
            controller=self.rule.update(
                state.controller,
                feedback,
                _seeds.derive(state.seed, _seeds.Purpose.CONTROLLER, state.round),
            ),
            sparsifier=self.method.advance(
                state.sparsifier,
                decision.k,
                outcome.kappa,
                outcome.downlink_elements,
                outcome.election.ranking if outcome.election else (),
            ),
            round=state.round + 1,
            time=state.time + feedback.round_time,
        )
        if self.catching_up:
            updated = updated._replace(
                last_changed=self.catching_up.advance(
                    state.last_changed, state.weights, replica.weights, updated.round
                )
            )
        return updated

    @property
    def _reports_energies(self) -> bool:
        return not self.rule.needs.isdisjoint(("residual_norm", "energy_share"))

    def _energies(self, pending: sparse_exchange.PendingUpload) -> tf.Tensor:
        """See `ClientReport`."""
        if not self._reports_energies:
            return tf.zeros([0], tf.float32)
        entries = sparse_vector.take(pending.residual, pending.coordinates)
        return tf.stack(
            [tf.reduce_sum(tf.square(x)) for x in (pending.residual, entries)]
        )

    def _require_all(
        self, state: ServerState, outcome: sparse_exchange.Outcome
    ) -> sparse_exchange.Outcome:
        """The outcome, if all clients that the server knows took part.

        Raises:
          tf.errors.InvalidArgumentError: When run, in one sentence, if some did not
            although the process has no partial participation: they would miss the
            round's update for ever.
        """
        if self.catching_up:
            return outcome
        known, found = (
            tf.size(ids) for ids in (state.client_ids, outcome.receipts.client_ids)
        )
        sentence = tf.strings.format(
            "Expected all {} clients that initialize_clients was called with in every "
            "round, found {}: build the process with "
            "participation=PartialParticipation() for rounds of some of them.",
            (known, found),
        )
        unknown = (
            "Expected clients that initialize_clients was called with, for the weights "
            "that the server has, found none: call it again after set_model_weights."
        )
        sentence = tf.where(known > 0, sentence, unknown)
        check = tf.debugging.Assert(tf.equal(known, found), [sentence])
        with tf.control_dependencies([check]):
            return tf.nest.map_structure(tf.identity, outcome)

    def _losses(
        self,
        answered: AnsweredClient,
        received: sparse_exchange.ReceiveOutput,
        probe_message: tf.Tensor,
    ) -> tf.Tensor:
        """L0, L1 and L1' of one client, float32 [3]."""
        before, after = answered.client.replica, received.client.replica
        probed = self.server.probe_weights(
            before,
            after,
            received.update,
            self.exchange.read_probe(probe_message, answered.pending),
        )
        return self.objective.probe_losses(
            (before.weights, after.weights, probed),
            answered.non_trainable,
            answered.pending.kept.probe_examples,
        )
