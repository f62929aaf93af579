"""A rule for k that needs no probe: it reads the update itself."""

from __future__ import annotations

import math
from typing import NamedTuple

from typing_extensions import override

from tff_gs import _sums, sparse_vector
from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.controllers import amount, controller


class WaitingState(NamedTuple):
    """State of `Waiting`.

    Attributes:
      k: int32 scalar, of the coming round.
      log_k: float64 scalar, x: the logarithm of k before it is rounded.
      elasticity: float64 scalar, e; NaN before the first round that shows one.
      wait: float64 scalar, W, in rounds; likewise.
      last_sent: int32 [D], the round in which each coordinate was last sent; 0: never.
      sign: int32 scalar, of the last step's slope; 0 if there was none.
    """

    k: tf.Tensor
    log_k: tf.Tensor
    elasticity: tf.Tensor
    wait: tf.Tensor
    last_sent: tf.Tensor
    sign: tf.Tensor


class Waiting(controller.Controller):
    """Weighs what the last entries add against the time that they take.

    Our own rule. The entry b_j of an update is the sum of the gradients of the t_j
    rounds for which j waited since it was last sent, so b_j / t_j is their mean, and
    p_j = b_j^2 / t_j is what the entry does for the loss, to first order. With J in the
    order in which it was selected, P the sum of p over J, and P' that over its first
    half (h entries), progress is taken to be a power e of k:

        e_m = clip(log(P / P') / log(|J| / h), 0, 1).

    Entries that hardly wait lose nothing by waiting, so e counts less the shorter
    they waited, on average weighted by |b_j|:

        W_m = sum(t_j |b_j|) / sum(|b_j|) max(1, early / m).

    Both are averaged over rounds: memory of the old, 1 - memory of the new. With
    s = k theta'(k) / theta(k), the share of the round that the entries take, the step
    is in x = log k:

        x <- x - max(gain, 1 / sqrt(m)) (s - e W^2 / (W^2 + wait_scale^2)).

    k_1 is where communication takes as long as computing, theta(k_1) = 2 theta(0), and
    at most sqrt(k_min k_max). If the rounds to a goal fall with k, and k times the
    rounds rises, no k takes less than half the time of that one.

    Nothing is probed: no forward passes, no selection at k', no message of it. The rule
    needs the update and its order (`Sparsifier.order`): FAB-top-k's is by rank, that of
    methods with shared coordinates by position. For others the largest |b_j| come
    first, which overstates what the first half does, so k comes out smaller. The
    scale of b cancels, so learning rates, local steps and optimizers do not matter.

    Amounts are a count (int) or a fraction of D (float).
    """

    k_min: amount.Amount = option(default=0.002, help="the least k")
    k_max: amount.Amount = option(default=1.0, help="the largest k")
    k_initial: amount.Amount | None = option(
        default=None,
        help="the first k",
        default_text="where communication takes as long as computing, at most "
        "sqrt(k_min k_max)",
    )
    wait_scale: float = option(
        default=8.0,
        help="A: entries that waited for so many rounds count half",
        above=0,
    )
    early: int = option(
        default=20,
        help="rounds in which waiting times, which cannot be long yet, count more",
        at_least=0,
    )
    memory: float = option(
        default=0.8, help="the weight of earlier rounds", at_least=0, below=1
    )
    gain: float = option(default=0.25, help="the least step, in log k", at_least=0)

    def _prepare(self) -> None:
        low, high = amount.to_interval(self.k_min, self.k_max, self.dimension)
        first = self.k_initial
        if first is None:
            middle = round(math.sqrt(low * high))
            balanced = self._balanced_k() if self._balanced_k else high
            first = max(min(balanced, middle), low)
        self._set(
            _least=low,
            _largest=high,
            _first=amount.to_initial(first, low, high, self.dimension),
        )

    @property
    @override
    def needs(self) -> frozenset[str]:
        if self._least == self._largest:
            return frozenset()
        return frozenset({"round", "time_elasticity", "update"})

    @property
    @override
    def largest_k(self) -> int:
        return self._largest

    @override
    def initialize(self) -> WaitingState:
        unknown = tf.constant(math.nan, tf.float64)
        return WaitingState(
            k=tf.constant(self._first),
            log_k=tf.constant(math.log(self._first), tf.float64),
            elasticity=unknown,
            wait=unknown,
            last_sent=tf.zeros([self.dimension], tf.int32),
            sign=tf.constant(0),
        )

    @override
    def decide(self, state: WaitingState) -> controller.Decision:
        return controller.Decision(state.k, tf.constant(0))

    @override
    def update(
        self, state: WaitingState, feedback: controller.Feedback, seed: tf.Tensor
    ) -> WaitingState:
        if self._least == self._largest:
            return state
        uniform = tf.random.stateless_uniform([], seed, dtype=tf.float64)
        return self.step(state, feedback, uniform)

    def step(
        self, state: WaitingState, feedback: controller.Feedback, uniform: tf.Tensor
    ) -> WaitingState:
        """The rule itself, without randomness of its own.

        Args:
          state: The state before.
          feedback: What the round showed.
          uniform: float64 scalar in [0, 1), for rounding k.

        Returns:
          The state after.
        """
        assert feedback.update, "`needs` names it"
        coordinates, values = feedback.update
        waited = feedback.round - sparse_vector.take(state.last_sent, coordinates)
        state = self._observe(state, feedback.round, waited, values)
        last_sent = sparse_vector.put(
            state.last_sent, coordinates, tf.fill(tf.shape(waited), feedback.round)
        )
        rounds = tf.cast(feedback.round, tf.float64)
        squared = tf.square(state.wait)
        worth = state.elasticity * squared / (squared + self.wait_scale**2)
        slope = feedback.time_elasticity - worth
        # NaN before anything was seen.
        slope = tf.where(tf.math.is_finite(slope), slope, 0.0)
        log_k = tf.clip_by_value(
            state.log_k - tf.maximum(tf.math.rsqrt(rounds), self.gain) * slope,
            math.log(self._least),
            math.log(self._largest),
        )
        k = amount.stochastic_round(tf.exp(log_k), uniform)
        return state._replace(
            # The exponential of a logarithm need not be the number.
            k=tf.clip_by_value(k, self._least, self._largest),
            log_k=log_k,
            last_sent=last_sent,
            sign=tf.cast(tf.sign(slope), tf.int32),
        )

    def _observe(
        self,
        state: WaitingState,
        number: tf.Tensor,
        waited: tf.Tensor,
        values: tf.Tensor,
    ) -> WaitingState:
        """The state with e and W after the round of that number.

        Args:
          state: The state before.
          number: int32 scalar, m.
          waited: int32 [n], t_j of J in its order.
          values: float32 [n], b_j.
        """
        waited = tf.cast(waited, tf.float64)
        sizes = tf.abs(tf.cast(values, tf.float64))
        half = tf.size(values) // 2
        progress = _sums.running_sums(tf.square(sizes) / waited)
        total, first = progress[-1], progress[half]
        seen = (first > 0.0) & tf.math.is_finite(total)
        growth = tf.cast(tf.size(values), tf.float64) / tf.cast(half, tf.float64)
        elasticity = tf.math.log(total / first) / tf.math.log(growth)
        lengths, weights = (
            _sums.running_sums(column)[-1] for column in (waited * sizes, sizes)
        )
        scarcity = tf.maximum(self.early / tf.cast(number, tf.float64), 1.0)

        def averaged(old: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
            mean = self.memory * old + (1.0 - self.memory) * new
            return tf.where(seen, tf.where(tf.math.is_nan(old), new, mean), old)

        return state._replace(
            elasticity=averaged(
                state.elasticity,
                tf.clip_by_value(elasticity, 0.0, 1.0),
            ),
            wait=averaged(state.wait, lengths / weights * scarcity),
        )

    @override
    def sign(self, state: WaitingState) -> tf.Tensor:
        return state.sign

    @override
    def sign_defined(self, state: WaitingState) -> tf.Tensor:
        return ~tf.math.is_nan(state.elasticity)

    @override
    def metrics(self, state: WaitingState) -> dict[str, tf.Tensor]:
        """What the rule knows: e (`update_elasticity`) and W (`mean_wait`, rounds)."""
        return {"update_elasticity": state.elasticity, "mean_wait": state.wait}
