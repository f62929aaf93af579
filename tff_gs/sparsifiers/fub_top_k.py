"""Fairness-unaware bidirectional top-k (FUB-top-k).

Han, Wang, Leung, ICDCS 2020, Section V, the method that FAB-top-k is compared with;
also global top-k, as in Sattler et al., "Robust and communication-efficient federated
learning from non-i.i.d. data", IEEE TNNLS 2020. Clients upload as in FAB-top-k; the
server selects the k coordinates of largest |b_j|, whoever they come from.
"""

from __future__ import annotations

from typing_extensions import override

from tff_gs import sparse_vector
from tff_gs._tensorflow import tf
from tff_gs.sparsifiers import ranked_sums, top_k


class FubTopK(ranked_sums.RankedSums):
    """The k largest of the aggregate, whoever sent them.

    J holds min(k, |union of uploads|) coordinates, kappa is 0.
    """

    @override
    def choose(
        self, sums: tf.Tensor, keys: tf.Tensor, total_weight: tf.Tensor, k: tf.Tensor
    ) -> tuple[sparse_vector.SparseVector, tf.Tensor]:
        """Of equal |b_j| the lower coordinate is taken."""
        sent = ranked_sums.sent_coordinates(keys)
        mean = ranked_sums.mean_at(sums, total_weight, sent)
        largest = top_k.top_k_indices(mean.values, k)
        selected = sparse_vector.SparseVector(
            tf.gather(sent, largest), tf.gather(mean.values, largest)
        )
        return selected, tf.constant(0)
