"""The reduction of methods whose coordinates server and clients know beforehand.

All clients send the same coordinates, in an order that both ends know. Messages carry
values only: an index in them is a position in that order, 0 to n - 1, and the server
adds up the values by position.
"""

from __future__ import annotations

import abc
from typing import Any

from typing_extensions import override

from tff_gs import _growing, sparse_vector
from tff_gs._tensorflow import tf
from tff_gs.sparsifiers import sparsifier


class PositionalSums(sparsifier.Sparsifier):
    """What these methods have in common; they differ in `count` and `coordinates`.

    J is what all send, kappa is 0. Of k' < k the positions are the first of those of
    k, so b' is b there and 0 elsewhere. The aggregate is float64 [n], by
    position: the sum of C_i a_ij.
    """

    implicit_indices = True

    @abc.abstractmethod
    def count(self, k: tf.Tensor, shared: Any) -> tf.Tensor:
        """How many coordinates are sent at k, int32 scalar; it grows with k.

        Args:
          k: int32 scalar, at least 0.
          shared: See `share`.
        """

    @override
    def sparsify(
        self, residual: tf.Tensor, k: tf.Tensor, shared: Any, seed: tf.Tensor
    ) -> tf.Tensor:
        """Positions."""
        del residual, seed
        return _growing.open_length(tf.range(self.count(k, shared)))

    @override
    def answer_coordinates(self, indices: tf.Tensor, sent: tf.Tensor) -> tf.Tensor:
        """Positions among those that all send."""
        return sparse_vector.take(sent, indices)

    @override
    def zero(self) -> tf.Tensor:
        return _growing.empty(tf.float64)

    @override
    def accumulate(
        self, accumulator: tf.Tensor, upload: sparsifier.Upload
    ) -> tf.Tensor:
        # An encoder may write positions like any indices, and leave some out.
        indices, values = upload.entries
        weighted = tf.cast(upload.weight, tf.float64) * tf.cast(values, tf.float64)
        length = tf.reduce_max(tf.concat([indices, [-1]], 0)) + 1
        nothing = tf.zeros(length[tf.newaxis], tf.float64)
        return _growing.add(accumulator, sparse_vector.put(nothing, indices, weighted))

    @override
    def report(self, accumulator: tf.Tensor) -> tf.Tensor:
        return accumulator

    @override
    def order(
        self, aggregate: tf.Tensor, update: sparse_vector.SparseVector, shared: Any
    ) -> tf.Tensor:
        """By position."""
        del aggregate, shared
        return tf.range(tf.size(update.indices))

    def in_probe(
        self, positions: tf.Tensor, k_probe: tf.Tensor, shared: Any
    ) -> tf.Tensor:
        """Which of `positions` (int32 [n]) are sent at k' too, bool [n].

        Unless a method says otherwise: the first.
        """
        return positions < self.count(k_probe, shared)

    @override
    def select(
        self,
        aggregate: tf.Tensor,
        total_weight: tf.Tensor,
        k: tf.Tensor,
        k_probe: tf.Tensor,
        shared: Any,
    ) -> sparsifier.Selection:
        """Nothing if nothing was accepted."""
        # A client may send positions that nobody asked for.
        sums = aggregate[: self.count(k, shared)]
        mean = tf.cast(sums / total_weight, tf.float32)
        positions = tf.range(tf.size(mean))
        probed = (k_probe > 0) & self.probes
        in_probe = self.in_probe(positions, k_probe, shared)
        changed = probed & ~in_probe & tf.not_equal(mean, 0.0)
        missing = self.coordinates(tf.boolean_mask(positions, changed), shared)
        return sparsifier.Selection(
            sparse_vector.SparseVector(positions, mean),
            probe=sparse_vector.SparseVector(
                tf.sort(missing), tf.zeros_like(missing, tf.float32)
            ),
            probe_count=tf.reduce_sum(tf.cast(probed & in_probe, tf.int32)),
            kappa=tf.constant(0),
            notes=tf.zeros([0], tf.int32),
        )
