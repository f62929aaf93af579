"""FAB consensus: clients elect the coordinates, then all send their values there.

In FAB-top-k a client uploads k entries, but only its first kappa + 1 ranks decide what
is selected, and of the rest only those count that happen to be selected. Where it has
no entry, a client keeps its part of a selected coordinate, which grows old. So here a
round has two legs up and two down:

    client  nominate the first r ranks of a_i               `nominees`
    server  J <- the first k in FAB-top-k's order            `elect`
    client  send a_ij for all j in J, without indices        `PositionalSums.sparsify`
    server  b_j <- mean of **all** clients' a_ij at J        `PositionalSums.select`

The order is that of FAB-top-k (Han, Wang, Leung, ICDCS 2020, Section III): with r of at
least kappa + 1, J is what FAB-top-k selects, except that magnitudes, which only decide
between entries of equal rank, are known to the nearest eighth of a power of two. Since
r >= floor(k / N) + 1, every client has at least floor(k / N) of its nominees in J,
whatever the others send.

The nearest relative is ScaleCom (Chen et al., NeurIPS 2020), in which one worker's
top-k indices serve all.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from typing_extensions import override

from tff_gs import sparse_vector
from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.sparsifiers import (
    fab_top_k,
    positional_sums,
    ranked_sums,
    sparsifier,
    top_k,
)


class ElectionState(NamedTuple):
    """What the server learned of how many ranks an election needs.

    Attributes:
      ranks_per_k: float64 scalar, the ranks to ask for, divided by k.
      ranking: `tff_gs.sparsifiers.pipelined_consensus.Ranking`, what was nominated for
        the next round; `()` if nothing was.
    """

    ranks_per_k: Any
    ranking: Any = ()


class ElectedSet(NamedTuple):
    """The result of an election.

    Attributes:
      coordinates: int32 [n], J, ascending.
      order: int32 [n], positions in `coordinates`, the first selected first; [0] at
        clients, who need not know it.
    """

    coordinates: Any
    order: Any


class FabConsensus(positional_sums.PositionalSums):
    """FAB-top-k's order by election, then the mean of all clients at J.

    The state is an `ElectionState`. Told before a round is int32 [1], r; for the values
    an `ElectedSet` is shared. Of k' < k the coordinates are the first k' in its order.
    """

    is_fair = True
    legs = sparsifier.Legs.BALLOTS_THEN_VALUES

    election_margin: float = option(
        default=1.25,
        help="ranks that are asked for, by those that the last election needed",
        at_least=1,
    )

    def _prepare(self) -> None:
        election = fab_top_k.FabTopK().bind(dimension=self.dimension, probes=False)
        self._set(election=election)

    @override
    def initialize(self) -> ElectionState:
        """All ranks in the first round."""
        return ElectionState(tf.constant(1.0, tf.float64))

    @override
    def share(self, state: ElectionState, seed: tf.Tensor, k: tf.Tensor) -> Any:
        """R, without what k / N asks for: see `ranks`."""
        del seed
        asked = tf.math.ceil(state.ranks_per_k * tf.cast(k, tf.float64))
        return tf.cast(asked, tf.int32)[tf.newaxis]

    @override
    def advance(
        self,
        state: ElectionState,
        k: tf.Tensor,
        kappa: tf.Tensor,
        selected: tf.Tensor,
        ranking: Any = (),
    ) -> ElectionState:
        """A little more than was needed; twice as many if it was not enough."""
        del state
        is_short = selected < k
        needed = tf.cast(tf.where(is_short, 2 * kappa, kappa + 1), tf.float64)
        factor = tf.where(is_short, 1.0, self.election_margin)
        asked = tf.cast(factor, tf.float64) * needed / tf.cast(k, tf.float64)
        return ElectionState(tf.minimum(asked, 1.0), ranking)

    def ranks(self, asked: tf.Tensor, k: tf.Tensor, clients: tf.Tensor) -> tf.Tensor:
        """How many ranks clients nominate, r.

        Args:
          asked: int32 [1], what `share` says.
          k: int32 scalar.
          clients: int32 scalar, N, how many take part.

        Returns:
          int32 [1]: between floor(k / N) + 1 and k.
        """
        return tf.minimum(tf.maximum(asked, k // tf.maximum(clients, 1) + 1), k)

    def nominees(self, residual: tf.Tensor, ranks: tf.Tensor) -> tf.Tensor:
        """The coordinates of the r largest |a_ij|, int32 [r], the largest first.

        Args:
          residual: float32 [D], a_i.
          ranks: int32 scalar, r.
        """
        indices = top_k.top_k_indices(residual, ranks)
        magnitudes = top_k.magnitude_bits(tf.gather(residual, indices))
        order = tf.math.top_k(magnitudes, tf.size(magnitudes), sorted=True).indices
        return tf.gather(indices, order)

    def elect(
        self, accumulator: ranked_sums.Accumulator, k: tf.Tensor, ranks: tf.Tensor
    ) -> tuple[ElectedSet, tf.Tensor]:
        """What the ballots come to.

        Args:
          accumulator: That of `election` for all ballots.
          k: int32 scalar.
          ranks: int32 scalar, r.

        Returns:
          J in its order, and kappa, int32 scalar; kappa is at most r, also if the
          ballots hold fewer than k coordinates.
        """
        aggregate = self.election.report(accumulator)
        selected, kappa = self.election.choose(
            aggregate.sums, aggregate.keys, tf.constant(1.0, tf.float64), k
        )
        order = self.election.order(aggregate, selected, ())
        return ElectedSet(selected.indices, order), tf.minimum(kappa, ranks)

    @override
    def count(self, k: tf.Tensor, shared: ElectedSet) -> tf.Tensor:
        """|J|."""
        del k
        return tf.size(shared.coordinates)

    @override
    def in_probe(
        self, positions: tf.Tensor, k_probe: tf.Tensor, shared: ElectedSet
    ) -> tf.Tensor:
        first = shared.order[:k_probe]
        return sparse_vector.among(positions, first, tf.size(shared.order))

    @override
    def order(
        self,
        aggregate: tf.Tensor,
        update: sparse_vector.SparseVector,
        shared: ElectedSet,
    ) -> tf.Tensor:
        """That of the election."""
        del aggregate
        # Nobody may have sent the last values.
        return tf.boolean_mask(shared.order, shared.order < tf.size(update.indices))

    @override
    def coordinates(self, indices: tf.Tensor, shared: ElectedSet) -> tf.Tensor:
        return sparse_vector.take(shared.coordinates, indices)
