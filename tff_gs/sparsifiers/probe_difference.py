"""How the update of a round differs from the one that k' would have given."""

from __future__ import annotations

from tff_gs import sparse_vector
from tff_gs._tensorflow import tf


def probe_difference(
    update: sparse_vector.SparseVector,
    probe: sparse_vector.SparseVector,
    k_probe: tf.Tensor,
    *,
    dimension: int,
) -> sparse_vector.SparseVector:
    """What a client must know, beside b, to apply b' instead.

    Args:
      update: {(j, b_j) : j in J}.
      probe: {(j, b'_j) : j in J'}.
      k_probe: int32 scalar, k'; 0 where nothing is probed, and the result is empty.
      dimension: D.

    Returns:
      {(j, b'_j)} for those j in J or J' where b'_j is not b_j; an entry that only one
      of the two has is zero in the other.
    """
    wanted = sparse_vector.to_dense(probe, dimension)
    given = sparse_vector.to_dense(update, dimension)
    changed = tf.where(tf.not_equal(wanted, given) & (k_probe > 0))[:, 0]
    return sparse_vector.gather(wanted, tf.cast(changed, tf.int32))
