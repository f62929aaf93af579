"""Unidirectional top-k: sparse uploads, and all of their union in the answer.

Han, Wang, Leung, ICDCS 2020, Section V; top-k as in Aji, Heafield, "Sparse
communication for distributed gradient descent", EMNLP 2017. The downlink carries up
to N k entries and is charged for as many.
"""

from __future__ import annotations

from typing_extensions import override

from tff_gs import sparse_vector
from tff_gs._tensorflow import tf
from tff_gs.sparsifiers import ranked_sums


class UnidirectionalTopK(ranked_sums.RankedSums):
    """Top-k up, the whole union down.

    J is the union of all J_i, kappa is 0.
    """

    @override
    def choose(
        self, sums: tf.Tensor, keys: tf.Tensor, total_weight: tf.Tensor, k: tf.Tensor
    ) -> tuple[sparse_vector.SparseVector, tf.Tensor]:
        del k
        union = ranked_sums.sent_coordinates(keys)
        return ranked_sums.mean_at(sums, total_weight, union), tf.constant(0)
