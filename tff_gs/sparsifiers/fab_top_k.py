"""Fairness-aware bidirectional top-k (FAB-top-k).

Han, Wang, Leung, ICDCS 2020, Section III, Algorithm 1. Client i uploads J_i, its k
entries of largest magnitude |a_ij|. The server selects J, the union of the first
kappa entries of every client, with the largest kappa that keeps |J| <= k, filled up
to k from the entries of rank kappa + 1, largest first. So every client contributes at
least floor(k / N) entries. In Python, with ranked[i] the list J_i, largest first, as
tests/oracles/sparsification.py has it:

    def union(ranks):
        return {j for entries in ranked for j in entries[:ranks]}

    kappa = 0
    while kappa < k and len(union(kappa + 1)) <= k:
        kappa += 1
    J = union(kappa)
    largest = {}
    for i, entries in enumerate(ranked):
        for j in entries[kappa : kappa + 1]:
            if j not in J:
                largest[j] = max(largest.get(j, 0), abs(a[i][j]))
    J |= set(sorted(largest, key=lambda j: (-largest[j], j))[: k - len(J)])
    b = {j: sum(C[i] * a[i][j] for i in clients if j in ranked[i]) / sum(C) for j in J}

The code below finds the same J without loops and sets. With r_j the best rank that any
client gives to j, and v_j the largest magnitude among the clients that give it that
rank, J is the first k coordinates in the order (r_j ascending, v_j descending). That
is the order of the keys of `ranked_sums`, so the whole selection is a minimum over
clients.
"""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from tff_gs import sparse_vector
from tff_gs._tensorflow import tf
from tff_gs.sparsifiers import ranked_sums


def _kappa(union: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """The largest kappa for which `union` (see `union_sizes`) keeps to k."""
    return tf.minimum(tf.reduce_sum(tf.cast(union <= k, tf.int32)), k)


def _first_in_order(keys: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The first k sent coordinates in the order of `keys`, ascending, and kappa."""
    sent = ranked_sums.sent_coordinates(keys)
    keys = tf.gather(keys, sent)
    ranks = ranked_sums.ranks(keys)
    union = ranked_sums.union_sizes(ranks, k)
    kappa = _kappa(union, k)
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


class FabTopK(ranked_sums.RankedSums):
    """Fairness-aware bidirectional top-k (the paper's Algorithm 1).

    The selection at k' (J', b') is of the same uploads.
    """

    is_fair = True

    @override
    def choose(
        self, sums: tf.Tensor, keys: tf.Tensor, total_weight: tf.Tensor, k: tf.Tensor
    ) -> tuple[sparse_vector.SparseVector, tf.Tensor]:
        selected, kappa = _first_in_order(keys, k)
        return ranked_sums.mean_at(sums, total_weight, selected), kappa

    @override
    def order(
        self,
        aggregate: ranked_sums.Aggregate,
        update: sparse_vector.SparseVector,
        shared: Any,
    ) -> tf.Tensor:
        """The best rank first, and of equal rank the largest magnitude."""
        del shared
        return tf.argsort(tf.gather(aggregate.keys, update.indices), stable=True)

    @override
    def keys(
        self,
        values: tf.Tensor,
        in_probe: tf.Tensor,
        k_probe: tf.Tensor,
        limit: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The ranks themselves."""
        del in_probe, k_probe
        return ranked_sums.ranking_keys(values, limit)

    @override
    def rank_limit(self, keys: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """As many as may be selected from the uploads so far, kappa + 1.

        More clients only lower kappa.
        """
        return 1 + _kappa(ranked_sums.union_sizes(ranked_sums.ranks(keys), k), k)
