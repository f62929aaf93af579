"""Random-k with a shared seed: k random coordinates, the same at all clients.

Konecny et al., "Federated learning: strategies for improving communication
efficiency", 2016 (random masks), with error feedback as in Stich, Cordonnier, Jaggi,
"Sparsified SGD with memory", NeurIPS 2018. In every round the server draws a seed and
sends it down; the first k of the random order that it stands for are J. No index
travels in either direction.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from tff_gs import _seeds
from tff_gs._tensorflow import tf
from tff_gs.sparsifiers import _seeded_permutation, positional_sums


class RandomK(positional_sums.PositionalSums):
    """K random coordinates by a shared seed; no indices are sent.

    The state is int32, how many seeds were drawn. Shared is int32 [1], the round's
    seed. Of k' < k the coordinates are the first k' in the same order.
    """

    @override
    def initialize(self) -> tf.Tensor:
        return tf.constant(0)

    @override
    def share(self, state: tf.Tensor, seed: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        del k
        return _seeds.draw(seed, _seeds.Purpose.SHARED_ORDER, state)[tf.newaxis]

    @override
    def advance(
        self,
        state: tf.Tensor,
        k: tf.Tensor,
        kappa: tf.Tensor,
        selected: tf.Tensor,
        ranking: Any = (),
    ) -> tf.Tensor:
        del k, kappa, selected, ranking
        return state + 1

    @override
    def count(self, k: tf.Tensor, shared: tf.Tensor) -> tf.Tensor:
        """As many as k."""
        del shared
        return k

    @override
    def coordinates(self, indices: tf.Tensor, shared: tf.Tensor) -> tf.Tensor:
        return _seeded_permutation.permute(
            indices, tf.pad(shared, [[0, 1]]), dimension=self.dimension
        )
