"""The interface of a rule for k."""

from __future__ import annotations

import abc
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from tff_gs import configuration, sparse_vector
from tff_gs._tensorflow import tf


class Decision(NamedTuple):
    """What a round is run with.

    Attributes:
      k: int32 scalar, k_m: how many entries travel.
      k_probe: int32 scalar, k'_m < k_m, or 0 if nothing is probed.
    """

    k: tf.Tensor
    k_probe: tf.Tensor


class Feedback(NamedTuple):
    """What the round showed; float64 scalars unless they say otherwise.

    A rule says with `Controller.needs` what of it is measured. What is not is NaN among
    the first six, and `()` among the others.

    Attributes:
      round_time: theta(k_m), the time that the round took.
      probe_time: theta(k'_m), the time that it would have taken with k'_m; NaN
        if nothing was probed.
      loss_before: L0, the probe examples' mean loss at w(m-1); NaN likewise.
      loss_after: L1, their loss at w(m); NaN likewise.
      loss_probe: L1', their loss at w'(m); NaN likewise.
      training_loss: Mean minibatch loss of the round at w(m-1).
      round: int32 scalar, m: the number of the round, from 1.
      time_elasticity: By how many percent theta(k) grows with one percent more entries,
        k theta'(k) / theta(k): the share of the round that k entries take.
      residual_norm: The l2 norm of the clients' residuals a_i with this round's work in
        them: the root of their weighted mean square.
      energy_share: Which share of the squares of the residuals' entries was sent, in
        [0, 1]; the weighted mean over clients above and below the line.
      update: {(j, b_j) : j in J}, with J in the order in which it was selected
        (`Sparsifier.order`): if k had been smaller, the first would have been selected.
    """

    round_time: tf.Tensor
    probe_time: tf.Tensor
    loss_before: tf.Tensor
    loss_after: tf.Tensor
    loss_probe: tf.Tensor
    training_loss: tf.Tensor
    round: Any = ()
    time_elasticity: Any = ()
    residual_norm: Any = ()
    energy_share: Any = ()
    update: sparse_vector.SparseVector | tuple[()] = ()


#: The fields of `Feedback` that every round has.
MEASURED = frozenset({"round_time", "training_loss", "round"})
#: Those of a round with a probe.
PROBED = frozenset({"probe_time", "loss_before", "loss_after", "loss_probe"})
#: Those that are measured if the rule needs them.
ON_REQUEST = frozenset(Feedback._fields) - MEASURED - PROBED


class Controller(configuration.Configuration, abc.ABC):
    """Chooses k, round after round; all state and arithmetic in TensorFlow.

    A rule is made from its options, and bound to a run before anything else is asked
    of it. Its state is a structure of tensors (a NamedTuple of fixed types), so it
    can live in a TFF server state and be saved with it.

    Attributes:
      dimension: D, the number of weights; known when bound.
    """

    def bind(
        self,
        dimension: int,
        *,
        rounds: int | None = None,
        seed: int = 0,
        balanced_k: Callable[[], int] | None = None,
    ) -> Self:
        """The rule for a run.

        Args:
          dimension: D, the number of weights.
          rounds: How many rounds the run will have, if that is known.
          seed: Of the run, for what a rule draws before the first round.
          balanced_k: Gives the k at which communication takes as long as all else of a
            round, theta(k) = 2 theta(0), if that is known.

        Raises:
          ValueError: In one sentence, if an option does not fit to these.
        """
        return self._bound(
            dimension=dimension, _rounds=rounds, _seed=seed, _balanced_k=balanced_k
        )

    @property
    def probes(self) -> bool:
        """Whether rounds have to measure the probe losses (static).

        Unless a rule says otherwise: no.
        """
        return False

    @property
    def needs(self) -> frozenset[str]:
        """The fields of `Feedback` that the rule uses (static).

        Unless a rule says otherwise: `MEASURED`, and `PROBED` if it probes. What it
        names of `ON_REQUEST` is measured for it. A rule is refused if one of them
        is not measured.
        """
        return MEASURED | PROBED if self.probes else MEASURED

    @property
    def largest_k(self) -> int:
        """No k that it decides is above this (static); D unless a rule says so."""
        return self.dimension

    @abc.abstractmethod
    def initialize(self) -> Any:
        """The state before the first round."""

    @abc.abstractmethod
    def decide(self, state: Any) -> Decision:
        """The k and k' of the coming round: 1 <= k <= D, 0 <= k' < k (0: no probe)."""

    @abc.abstractmethod
    def update(self, state: Any, feedback: Feedback, seed: tf.Tensor) -> Any:
        """The state after a round.

        Args:
          state: The state that `decide` was called with.
          feedback: What the round showed.
          seed: int32 [2], for stateless random numbers; new for every round.
        """

    def sign(self, state: Any) -> tf.Tensor:
        """The derivative's sign that the last update estimated, int32: -1, 0, 1.

        0 if both costs were equal, and if `sign_defined` is false. Unless a rule
        says otherwise: 0.
        """
        del state
        return tf.constant(0, tf.int32)

    def sign_defined(self, state: Any) -> tf.Tensor:
        """Whether the last update had a sign to estimate, bool.

        Unless a rule says otherwise: if `sign` is not 0.
        """
        return tf.not_equal(self.sign(state), 0)

    def metrics(self, state: Any) -> dict[str, tf.Tensor]:
        """What a user may want to see of the state: scalars by their names.

        They join the metrics of a round, under names that are not taken there. Unless a
        rule says otherwise: none.
        """
        del state
        return {}


def require_feedback(rule: Controller, measured: frozenset[str]) -> None:
    """Raises ValueError unless all that `rule` needs is among `measured`."""
    missing = [name for name in Feedback._fields if name in rule.needs - measured]
    if missing:
        raise ValueError(
            "Expected a rule for k that needs nothing but what rounds measure here "
            f"({', '.join(sorted(measured)) or 'nothing'}), found "
            f"{type(rule).__name__}, which needs {', '.join(missing)}."
        )


def checked(decision: Decision, dimension: int) -> Decision:
    """The decision, if it is one that a round can be run with.

    Args:
      decision: What a rule returned.
      dimension: D.

    Raises:
      TypeError: If k or k' is no int32 scalar.
      tf.errors.InvalidArgumentError: When it runs, unless 1 <= k <= D and 0 <= k' < k.
    """
    k, k_probe = (tf.convert_to_tensor(number) for number in decision)
    found = [(number.dtype.name, number.shape.as_list()) for number in (k, k_probe)]
    if found != [("int32", [])] * 2:
        raise TypeError(
            "Expected the rule for k to return k and k' as int32 scalars, found "
            f"{' and '.join(f'{dtype} of shape {shape}' for dtype, shape in found)}."
        )
    in_range = tf.debugging.Assert(
        (k >= 1) & (k <= dimension) & (k_probe >= 0) & (k_probe < k),
        [
            f"Expected the rule for k to return 1 <= k <= D = {dimension} and "
            "0 <= k_probe < k, found k =",
            k,
            "and k_probe =",
            k_probe,
        ],
    )
    with tf.control_dependencies([] if in_range is None else [in_range]):
        return Decision(tf.identity(k), tf.identity(k_probe))
