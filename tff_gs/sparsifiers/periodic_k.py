"""Periodic-k: all clients send the next k coordinates of a shared random order.

Han, Wang, Leung, ICDCS 2020, Section V, as a method to compare with. The order has
all D coordinates, so all are sent before any is sent again; it is then drawn
again. The last round of such a pass sends only the rest of it, if that is less than k.
The server sends down the seed of the pass and how much of it is done; no index
travels in either direction.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from typing_extensions import override

from tff_gs import _seeds
from tff_gs._tensorflow import tf
from tff_gs.sparsifiers import _seeded_permutation, positional_sums


class Pass(NamedTuple):
    """How far the server is.

    Attributes:
      number: int32 scalar, complete passes.
      offset: int32 scalar in [0, D), coordinates already sent in this pass.
    """

    number: tf.Tensor
    offset: tf.Tensor


class PeriodicK(positional_sums.PositionalSums):
    """The next k of a shared random order; no indices are sent.

    The state is a `Pass`. Shared is int32 [2], the pass's seed and offset. Of k' < k
    the coordinates are the first k' of the same round.
    """

    @override
    def initialize(self) -> Pass:
        return Pass(tf.constant(0), tf.constant(0))

    @override
    def share(self, state: Pass, seed: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        del k
        drawn = _seeds.draw(seed, _seeds.Purpose.SHARED_ORDER, state.number)
        return tf.stack([drawn, state.offset])

    @override
    def advance(
        self,
        state: Pass,
        k: tf.Tensor,
        kappa: tf.Tensor,
        selected: tf.Tensor,
        ranking: Any = (),
    ) -> Pass:
        del kappa, selected, ranking
        offset = tf.minimum(state.offset + k, self.dimension)
        complete = tf.equal(offset, self.dimension)
        return Pass(
            state.number + tf.cast(complete, tf.int32), tf.where(complete, 0, offset)
        )

    @override
    def count(self, k: tf.Tensor, shared: tf.Tensor) -> tf.Tensor:
        """As many as k, or as the pass has left."""
        return tf.minimum(k, self.dimension - shared[1])

    @override
    def coordinates(self, indices: tf.Tensor, shared: tf.Tensor) -> tf.Tensor:
        return _seeded_permutation.permute(
            shared[1] + indices,
            tf.stack([shared[0], 0]),
            dimension=self.dimension,
        )
