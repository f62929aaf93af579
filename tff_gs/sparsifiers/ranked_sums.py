"""The reduction that the top-k methods share: sums over uploads, and best ranks.

Every client uploads J_i, its k entries of largest magnitude |a_ij|. The server keeps,
for every coordinate, the weighted sum of what was uploaded, and which rank and which
magnitude it had where it ranked best. One int64 number, the key, holds both: rank
first, and of equal rank the larger magnitude is the smaller key, so the best is
a minimum over clients.
"""

from __future__ import annotations

import abc
from typing import NamedTuple

from typing_extensions import override

from tff_gs import _growing, sparse_vector
from tff_gs._tensorflow import tf
from tff_gs.sparsifiers import sparsifier, top_k

_VALUE_BITS = 32
_LARGEST_MAGNITUDE = 0x7FFFFFFF
_NEVER_SENT = 2**63 - 1
# Up to so many values, sorting them all is as fast as finding the largest first.
_SORTED_WHOLE = 1 << 14


class _Pending(NamedTuple):
    """Uploaded entries that are not yet in the sums; n grows and is then cut to 0.

    Folding every upload at once would copy the accumulator's D-vectors for each
    client, which costs more than the entries themselves.
    """

    indices: tf.Tensor  # int32 [n]
    weighted: tf.Tensor  # float64 [n], C_i a_ij (exact: 24 + 24 bits)
    in_probe: tf.Tensor  # bool [n], rank below k'; [0] if nothing is probed


class _PendingKeys(NamedTuple):
    """Keys that are not yet in the minima; m grows and is then cut to 0."""

    indices: tf.Tensor  # int32 [m]
    keys: tf.Tensor  # int64 [m]


class Aggregate(NamedTuple):
    """The reduction of all uploads.

    Attributes:
      sums: float64 [D], sum over i with j in J_i of C_i a_ij.
      probe_sums: float64 [D], the same over the first k' entries of every client;
        [0] if nothing is probed.
      keys: int64 [D], best rank (from 0) and, in the lower 32 bits, how far the
        magnitude lies below the largest float; the largest int64 if no client
        gave j a key.
    """

    sums: tf.Tensor
    probe_sums: tf.Tensor
    keys: tf.Tensor


class Accumulator(NamedTuple):
    """An `Aggregate` and the entries still to be folded into it.

    Attributes:
      aggregate: What is folded.
      pending: Entries that are not.
      pending_keys: Their keys.
      rank_limit: int32 scalar, how many ranks of an upload still matter.
      uploads: int32 scalar, how many uploads are in the accumulator.
      limited_at: int32 scalar, how many were when the limit was last computed.
    """

    aggregate: Aggregate
    pending: _Pending
    pending_keys: _PendingKeys
    rank_limit: tf.Tensor
    uploads: tf.Tensor
    limited_at: tf.Tensor


def ranks(keys: tf.Tensor) -> tf.Tensor:
    """The ranks (from 0), int32, that `keys` hold."""
    return tf.cast(tf.bitwise.right_shift(keys, _VALUE_BITS), tf.int32)


def ranking_keys(values: tf.Tensor, limit: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The keys of the first entries of one upload.

    Args:
      values: float32 [n].
      limit: int32 scalar, how many are wanted; the others need not be sorted.

    Returns:
      The positions of the min(n, limit) largest entries, int32, largest first, and
      their keys, int64. Of equal magnitude the lower position comes first.
    """
    size = tf.size(values)
    candidates = tf.cond(
        (limit < size) & (size > _SORTED_WHOLE),
        lambda: top_k.top_k_indices(values, limit),
        lambda: tf.range(size),
    )
    magnitudes, order = tf.math.top_k(
        tf.gather(top_k.magnitude_bits(values), candidates),
        tf.minimum(limit, tf.size(candidates)),
        sorted=True,
    )
    rank = tf.range(tf.size(order), dtype=tf.int64)
    keys = tf.bitwise.left_shift(rank, _VALUE_BITS) | tf.cast(
        _LARGEST_MAGNITUDE - magnitudes, tf.int64
    )
    return tf.gather(candidates, order), keys


def union_sizes(ranks: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """How many coordinates the clients' first entries are, together.

    Args:
      ranks: int32 [n], the best rank of every coordinate that was sent.
      k: int32 scalar.

    Returns:
      int32 [k + 1]: entry r counts those of the first r + 1 entries of every client.
    """
    counts = tf.raw_ops.DenseBincount(
        input=ranks, size=k + 1, weights=tf.constant([], tf.int32)
    )
    # The op tells no rank, without which what is reduced from it has no static shape
    # when TFF reads the graph again.
    return tf.cumsum(tf.ensure_shape(counts, [None]))


def sent_coordinates(keys: tf.Tensor) -> tf.Tensor:
    """The coordinates that anyone sent, int32, ascending, from `Aggregate.keys`."""
    return tf.cast(tf.where(keys < _NEVER_SENT)[:, 0], tf.int32)


def mean_at(
    sums: tf.Tensor, total_weight: tf.Tensor, indices: tf.Tensor
) -> sparse_vector.SparseVector:
    """The weighted means, b_j, at ascending `indices` (int32 [n])."""
    return sparse_vector.SparseVector(
        indices, tf.cast(tf.gather(sums, indices) / total_weight, tf.float32)
    )


class RankedSums(sparsifier.Sparsifier):
    """What the top-k methods have in common; they differ in `choose`."""

    @abc.abstractmethod
    def choose(
        self, sums: tf.Tensor, keys: tf.Tensor, total_weight: tf.Tensor, k: tf.Tensor
    ) -> tuple[sparse_vector.SparseVector, tf.Tensor]:
        """What the server selects from the uploads of a round.

        Args:
          sums: float64 [D], see `Aggregate`.
          keys: int64 [D], likewise.
          total_weight: float64 scalar, C.
          k: int32 scalar.

        Returns:
          {(j, b_j) : j in J} and kappa (int32 scalar).
        """

    def keys(
        self,
        values: tf.Tensor,
        in_probe: tf.Tensor,
        k_probe: tf.Tensor,
        limit: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Which entries of an upload get which keys.

        Unless a method ranks: all, with the rank 0 for those that would be sent at
        k' too, and k' for the others, so nothing has to be sorted.

        Args:
          values: float32 [n], the upload.
          in_probe: bool [n], which of them rank below k'; [0] if nothing is probed.
          k_probe: int32 scalar, k'.
          limit: int32 scalar, how many ranks matter.

        Returns:
          Positions in `values`, int32 [m], and their keys, int64 [m].
        """
        del limit
        positions = tf.range(tf.size(values))
        if not self.probes:
            return positions, tf.zeros_like(positions, tf.int64)
        rank = tf.where(in_probe, tf.constant(0, tf.int64), tf.cast(k_probe, tf.int64))
        return positions, tf.bitwise.left_shift(rank, _VALUE_BITS)

    def rank_limit(self, keys: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """How many ranks of later uploads can still matter, int32 scalar.

        Unless a method says otherwise: all.

        Args:
          keys: int64 [D], of the uploads so far.
          k: int32 scalar.
        """
        del keys, k
        return tf.int32.max

    @override
    def zero(self) -> Accumulator:
        return Accumulator(
            Aggregate(
                sums=tf.zeros([self.dimension], tf.float64),
                probe_sums=tf.zeros([self.dimension * self.probes], tf.float64),
                keys=tf.fill([self.dimension], _NEVER_SENT),
            ),
            _nothing_pending(),
            _no_keys_pending(),
            rank_limit=tf.constant(tf.int32.max),
            uploads=tf.constant(0),
            limited_at=tf.constant(0),
        )

    @override
    def accumulate(
        self, accumulator: Accumulator, upload: sparsifier.Upload
    ) -> Accumulator:
        indices, values = upload.entries
        in_probe = self._in_probe(values, upload.k_probe)
        positions, keys = self.keys(
            values, in_probe, upload.k_probe, accumulator.rank_limit
        )
        weight = tf.cast(upload.weight, tf.float64)
        grown = accumulator._replace(
            pending=_growing.concat(
                accumulator.pending,
                _Pending(indices, weight * tf.cast(values, tf.float64), in_probe),
            ),
            pending_keys=_growing.concat(
                accumulator.pending_keys,
                _PendingKeys(tf.gather(indices, positions), keys),
            ),
            uploads=accumulator.uploads + 1,
        )
        return tf.cond(
            tf.size(grown.pending.indices) > self.dimension // 4,
            lambda: self._limit(self._fold(grown), upload.k),
            lambda: grown,
        )

    @override
    def report(self, accumulator: Accumulator) -> Aggregate:
        return self._fold(accumulator).aggregate

    @override
    def select(
        self,
        aggregate: Aggregate,
        total_weight: tf.Tensor,
        k: tf.Tensor,
        k_probe: tf.Tensor,
        shared: tf.Tensor,
    ) -> sparsifier.Selection:
        del shared
        update, kappa = self.choose(aggregate.sums, aggregate.keys, total_weight, k)
        if not self.probes:
            nothing = sparse_vector.SparseVector(update.indices[:0], update.values[:0])
            return sparsifier.Selection(
                update, nothing, tf.constant(0), kappa, notes=tf.zeros([0], tf.int32)
            )
        # Of rank k' and beyond, nobody would have sent anything.
        probe_keys = tf.where(
            ranks(aggregate.keys) < k_probe, aggregate.keys, _NEVER_SENT
        )
        probe, _ = self.choose(aggregate.probe_sums, probe_keys, total_weight, k_probe)
        return sparsifier.Selection(
            update,
            sparsifier.probe_difference(
                update, probe, k_probe, dimension=self.dimension
            ),
            tf.size(probe.indices),
            kappa,
            notes=tf.zeros([0], tf.int32),
        )

    def _in_probe(self, values: tf.Tensor, k_probe: tf.Tensor) -> tf.Tensor:
        """Which entries of an upload would also have been sent at k', bool [n]."""
        if not self.probes:
            return tf.zeros([0], tf.bool)
        first = top_k.top_k_indices(values, k_probe)
        return tf.scatter_nd(
            first[:, tf.newaxis], tf.ones_like(first, dtype=tf.bool), tf.shape(values)
        )

    def _fold(self, accumulator: Accumulator) -> Accumulator:
        """Adds what is pending to the sums and the minima."""
        (sums, probe_sums, keys), pending, pending_keys, *_ = accumulator
        if self.probes:
            in_probe = tf.cast(pending.in_probe, tf.float64)
            probe_sums += self._sum(pending.weighted * in_probe, pending.indices)
        folded = Aggregate(
            sums + self._sum(pending.weighted, pending.indices),
            probe_sums,
            # Where there is none, the minimum is the largest int64: `_NEVER_SENT`.
            tf.minimum(
                keys,
                tf.math.unsorted_segment_min(
                    pending_keys.keys, pending_keys.indices, self.dimension
                ),
            ),
        )
        return accumulator._replace(
            aggregate=folded,
            pending=_nothing_pending(),
            pending_keys=_no_keys_pending(),
        )

    def _sum(self, values: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
        """The sums of `values` by index, [D]: faster than scattering into zeros."""
        return tf.math.unsorted_segment_sum(values, indices, self.dimension)

    def _limit(self, folded: Accumulator, k: tf.Tensor) -> Accumulator:
        """Lowers the rank limit, if enough has come to lower it."""
        return tf.cond(
            # It falls about as 1 / uploads and costs a pass over D.
            4 * folded.uploads >= 5 * folded.limited_at,
            lambda: folded._replace(
                rank_limit=self.rank_limit(folded.aggregate.keys, k),
                limited_at=folded.uploads,
            ),
            lambda: folded,
        )


def _nothing_pending() -> _Pending:
    return _Pending(
        _growing.empty(tf.int32), _growing.empty(tf.float64), _growing.empty(tf.bool)
    )


def _no_keys_pending() -> _PendingKeys:
    return _PendingKeys(_growing.empty(tf.int32), _growing.empty(tf.int64))
