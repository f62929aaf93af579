"""Fairness-aware bidirectional top-k (FAB-top-k).

Han, Wang, Leung, ICDCS 2020, Section III, Algorithm 1. Client i uploads J_i, its k
entries of largest magnitude |a_ij|. The server selects J, the union of the first
kappa entries of every client, with the largest kappa that keeps |J| <= k, filled up
to k from the entries of rank kappa + 1, largest first. Every client so contributes
at least floor(k / N) entries.

With r_j the best rank that any client gives to j, and v_j the largest magnitude among
the clients that give it that rank, J is the first k coordinates in the order
(r_j ascending, v_j descending). One int64 number, the key, holds both, so that the
whole selection is a minimum over clients.
"""

from typing import NamedTuple

import tensorflow as tf

from tff_gs import growing, sparse_vector
from tff_gs.sparsifiers import sparsifier, top_k

_VALUE_BITS = 32
_LARGEST_MAGNITUDE = 0x7FFFFFFF
_NEVER_SENT = tf.int64.max


class _Pending(NamedTuple):
    """Uploaded entries that are not yet in the sums; n grows and is then cut to 0.

    Folding every upload at once would copy the accumulator's D-vectors for each
    client, which costs more than the entries themselves.
    """

    indices: tf.Tensor  # int32 [n]
    weighted: tf.Tensor  # float64 [n], C_i a_ij (exact: 24 + 24 bits)
    keys: tf.Tensor  # int64 [n]


class Aggregate(NamedTuple):
    """The reduction of all uploads.

    Attributes:
      sums: float64 [D], sum over i with j in J_i of C_i a_ij.
      probe_sums: float64 [D], the same over the first k' entries of every client;
        [0] where nothing is probed.
      keys: int64 [D], best rank (from 0) and, in the lower 32 bits, how far the
        magnitude lies below the largest float; the largest int64 where no client
        sent j.
    """

    sums: tf.Tensor
    probe_sums: tf.Tensor
    keys: tf.Tensor


class Accumulator(NamedTuple):
    """An `Aggregate` and the entries still to be folded into it."""

    aggregate: Aggregate
    pending: _Pending
    k_probe: tf.Tensor  # int32 scalar


def _ranks(keys: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.bitwise.right_shift(keys, _VALUE_BITS), tf.int32)


def _ranking_keys(values: tf.Tensor) -> tf.Tensor:
    """The key of every entry of one upload (float32 [n] to int64 [n])."""
    count = tf.size(values)
    magnitudes = top_k.magnitude_bits(values)
    order = tf.math.top_k(magnitudes, count, sorted=True).indices
    ranks = tf.math.invert_permutation(order)
    return tf.bitwise.left_shift(tf.cast(ranks, tf.int64), _VALUE_BITS) | tf.cast(
        _LARGEST_MAGNITUDE - magnitudes, tf.int64
    )


def _first_in_order(keys: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The first k sent coordinates in the order of `keys`, ascending, and kappa."""
    sent = tf.cast(tf.where(keys < _NEVER_SENT)[:, 0], tf.int32)
    keys = tf.gather(keys, sent)
    ranks = _ranks(keys)
    # union[r] = |union of the first r + 1 entries of every client|
    union = tf.cumsum(
        tf.raw_ops.DenseBincount(
            input=ranks, size=k + 1, weights=tf.constant([], tf.int32)
        )
    )
    kappa = tf.minimum(tf.reduce_sum(tf.cast(union <= k, tf.int32)), k)
    whole = tf.where(kappa > 0, union[tf.maximum(kappa - 1, 0)], 0)
    boundary = tf.cast(tf.where(tf.equal(ranks, kappa))[:, 0], tf.int32)
    fill = tf.minimum(k - whole, tf.size(boundary))
    # Of equal rank, the smaller key is the larger magnitude.
    filled = tf.gather(
        boundary, tf.math.top_k(-tf.gather(keys, boundary), fill, sorted=True).indices
    )
    selected = tf.tensor_scatter_nd_update(
        ranks < kappa,
        filled[:, tf.newaxis],
        tf.ones_like(filled, dtype=tf.bool),
    )
    return tf.gather(sent, tf.cast(tf.where(selected)[:, 0], tf.int32)), kappa


class FabTopK(sparsifier.Sparsifier):
    """FAB-top-k, with the selection at k' (J', b') from the same uploads."""

    def sparsify(self, residual: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """See base class; J_i, the k entries of largest magnitude."""
        return top_k.top_k_indices(residual, k)

    def zero(self) -> Accumulator:
        """See base class."""
        return Accumulator(
            Aggregate(
                sums=tf.zeros([self.dimension], tf.float64),
                probe_sums=tf.zeros([self.dimension * self.probes], tf.float64),
                keys=tf.fill([self.dimension], _NEVER_SENT),
            ),
            self._nothing_pending(),
            k_probe=tf.constant(0),
        )

    def accumulate(
        self, accumulator: Accumulator, upload: sparsifier.Upload
    ) -> Accumulator:
        """See base class."""
        indices, values = upload.entries
        pending = growing.concat(
            accumulator.pending,
            _Pending(
                indices,
                tf.cast(upload.weight, tf.float64) * tf.cast(values, tf.float64),
                _ranking_keys(values),
            ),
        )
        grown = Accumulator(accumulator.aggregate, pending, upload.k_probe)
        return tf.cond(
            tf.size(pending.indices) > self.dimension // 4,
            lambda: self._fold(grown),
            lambda: grown,
        )

    def merge(self, first: Accumulator, second: Accumulator) -> Accumulator:
        """See base class."""
        return self._fold(
            Accumulator(
                Aggregate(
                    first.aggregate.sums + second.aggregate.sums,
                    first.aggregate.probe_sums + second.aggregate.probe_sums,
                    tf.minimum(first.aggregate.keys, second.aggregate.keys),
                ),
                growing.concat(first.pending, second.pending),
                tf.maximum(first.k_probe, second.k_probe),
            )
        )

    def report(self, accumulator: Accumulator) -> Aggregate:
        """See base class."""
        return self._fold(accumulator).aggregate

    def select(
        self,
        aggregate: Aggregate,
        total_weight: tf.Tensor,
        k: tf.Tensor,
        k_probe: tf.Tensor,
    ) -> sparsifier.Selection:
        """See base class."""

        def mean(sums: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
            return tf.cast(tf.gather(sums, indices) / total_weight, tf.float32)

        selected, kappa = _first_in_order(aggregate.keys, k)
        update = sparse_vector.SparseVector(selected, mean(aggregate.sums, selected))
        if not self.probes:
            nothing = sparse_vector.SparseVector(selected[:0], update.values[:0])
            return sparsifier.Selection(update, nothing, tf.constant(0), kappa)
        # J' lies in J: the same order, cut earlier.
        probed, _ = _first_in_order(aggregate.keys, k_probe)
        probe_values = tf.scatter_nd(
            tf.searchsorted(selected, probed)[:, tf.newaxis],
            mean(aggregate.probe_sums, probed),
            tf.shape(selected),
        )
        changed = tf.cast(
            tf.where(tf.not_equal(probe_values, update.values) & (k_probe > 0))[:, 0],
            tf.int32,
        )
        probe = sparse_vector.SparseVector(
            tf.gather(selected, changed), tf.gather(probe_values, changed)
        )
        return sparsifier.Selection(update, probe, tf.size(probed), kappa)

    def _nothing_pending(self) -> _Pending:
        return _Pending(
            growing.empty(tf.int32), growing.empty(tf.float64), growing.empty(tf.int64)
        )

    def _fold(self, accumulator: Accumulator) -> Accumulator:
        """Adds the pending entries to the sums."""
        (sums, probe_sums, keys), pending, k_probe = accumulator
        at = pending.indices[:, tf.newaxis]
        if self.probes:
            in_probe = tf.cast(_ranks(pending.keys) < k_probe, tf.float64)
            probe_sums = tf.tensor_scatter_nd_add(
                probe_sums, at, pending.weighted * in_probe
            )
        folded = Aggregate(
            tf.tensor_scatter_nd_add(sums, at, pending.weighted),
            probe_sums,
            tf.tensor_scatter_nd_min(keys, at, pending.keys),
        )
        return Accumulator(folded, self._nothing_pending(), k_probe)
