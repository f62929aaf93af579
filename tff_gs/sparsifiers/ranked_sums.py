"""The reduction that the top-k methods share: sums over uploads, and best ranks.

Every client uploads J_i, its k entries of largest magnitude |a_ij|. The server keeps,
for every coordinate, the weighted sum of what was uploaded, and which rank and which
magnitude it had where it ranked best. One int64 number, the key, holds both: rank
first, and of equal rank the larger magnitude is the smaller key, so that the best is
a minimum over clients.
"""

import abc
from typing import NamedTuple

import tensorflow as tf

from tff_gs import growing, sparse_vector
from tff_gs.sparsifiers import probe_difference, sparsifier, top_k

_VALUE_BITS = 32
_LARGEST_MAGNITUDE = 0x7FFFFFFF
_NEVER_SENT = tf.int64.max
# The rank of entries that need none; above every rank, below `_NEVER_SENT`.
_UNRANKED = tf.int32.max - 1


class _Pending(NamedTuple):
    """Uploaded entries that are not yet in the sums; n grows and is then cut to 0.

    Folding every upload at once would copy the accumulator's D-vectors for each
    client, which costs more than the entries themselves.
    """

    indices: tf.Tensor  # int32 [n]
    weighted: tf.Tensor  # float64 [n], C_i a_ij (exact: 24 + 24 bits)
    keys: tf.Tensor  # int64 [n]
    in_probe: tf.Tensor  # bool [n], rank below k'; [0] where nothing is probed


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
    rank_limit: tf.Tensor  # int32 scalar, how many ranks of an upload still matter


def ranks(keys: tf.Tensor) -> tf.Tensor:
    """The ranks (from 0), int32, that `keys` hold."""
    return tf.cast(tf.bitwise.right_shift(keys, _VALUE_BITS), tf.int32)


def ranking_keys(values: tf.Tensor, limit: tf.Tensor) -> tf.Tensor:
    """The keys of the entries of one upload.

    Args:
      values: float32 [n].
      limit: int32 scalar; entries of rank `limit` and beyond are left unranked, which
        saves the sorting of what cannot be selected.

    Returns:
      int64 [n].
    """
    magnitudes = top_k.magnitude_bits(values)
    ranked = top_k.top_k_indices(values, limit)
    order = tf.math.top_k(
        tf.gather(magnitudes, ranked), tf.size(ranked), sorted=True
    ).indices
    places = tf.tensor_scatter_nd_update(
        tf.fill(tf.shape(values), _UNRANKED),
        ranked[:, tf.newaxis],
        tf.math.invert_permutation(order),
    )
    return tf.bitwise.left_shift(tf.cast(places, tf.int64), _VALUE_BITS) | tf.cast(
        _LARGEST_MAGNITUDE - magnitudes, tf.int64
    )


def union_sizes(ranks: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """How many coordinates the clients' first entries are, together.

    Args:
      ranks: int32 [n], the best rank of every coordinate that was sent.
      k: int32 scalar.

    Returns:
      int32 [k + 1]: entry r counts those of the first r + 1 entries of every client.
    """
    return tf.cumsum(
        tf.raw_ops.DenseBincount(
            input=ranks, size=k + 1, weights=tf.constant([], tf.int32)
        )
    )


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

    def zero(self) -> Accumulator:
        """See base class."""
        return Accumulator(
            Aggregate(
                sums=tf.zeros([self.dimension], tf.float64),
                probe_sums=tf.zeros([self.dimension * self.probes], tf.float64),
                keys=tf.fill([self.dimension], _NEVER_SENT),
            ),
            self._nothing_pending(),
            rank_limit=tf.constant(tf.int32.max),
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
                ranking_keys(values, accumulator.rank_limit),
                self._in_probe(values, upload.k_probe),
            ),
        )
        grown = accumulator._replace(pending=pending)

        def fold() -> Accumulator:
            folded = self._fold(grown)
            return folded._replace(
                rank_limit=self.rank_limit(folded.aggregate.keys, upload.k)
            )

        return tf.cond(
            tf.size(pending.indices) > self.dimension // 4, fold, lambda: grown
        )

    def rank_limit(self, keys: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """How many ranks of later uploads can still matter, int32 scalar.

        Unless a method says otherwise: all.

        Args:
          keys: int64 [D], of the uploads so far.
          k: int32 scalar.
        """
        del keys, k
        return tf.int32.max

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
                tf.minimum(first.rank_limit, second.rank_limit),
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
        shared: tf.Tensor,
    ) -> sparsifier.Selection:
        """See base class."""
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
            probe_difference.probe_difference(
                update, probe, k_probe, dimension=self.dimension
            ),
            tf.size(probe.indices),
            kappa,
            notes=tf.zeros([0], tf.int32),
        )

    def _nothing_pending(self) -> _Pending:
        return _Pending(
            growing.empty(tf.int32),
            growing.empty(tf.float64),
            growing.empty(tf.int64),
            growing.empty(tf.bool),
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
        """Adds the pending entries to the sums."""
        (sums, probe_sums, keys), pending, rank_limit = accumulator
        at = pending.indices[:, tf.newaxis]
        if self.probes:
            in_probe = tf.cast(pending.in_probe, tf.float64)
            probe_sums = tf.tensor_scatter_nd_add(
                probe_sums, at, pending.weighted * in_probe
            )
        folded = Aggregate(
            tf.tensor_scatter_nd_add(sums, at, pending.weighted),
            probe_sums,
            tf.tensor_scatter_nd_min(keys, at, pending.keys),
        )
        return Accumulator(folded, self._nothing_pending(), rank_limit)
