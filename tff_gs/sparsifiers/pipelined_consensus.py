"""Pipelined FAB consensus: ballots for the next round travel with this round's values.

`tff_gs.sparsifiers.fab_consensus` has two trips a round, one for ballots and one for
values. Here a client sends both together: its values at J, which it learned before
the round, and its ballot for the next round, made of the residual that this round
leaves. So a round has one trip, and J was elected before the round's own gradients
were known.

The first round has no J yet: clients send ballots only. A round elects with the k that
it has, and the next round, with another k, takes as many of the order as that asks for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from typing_extensions import override

from tff_gs import _growing
from tff_gs._tensorflow import tf
from tff_gs.sparsifiers import fab_consensus, ranked_sums, sparsifier


class Ranking(NamedTuple):
    """All that was nominated, in the order of selection.

    Attributes:
      coordinates: int32 [n].
      ranks: int32 [n], the best rank (from 0) that any client gave each.
      asked: int32 scalar, how many ranks clients were asked for.
    """

    coordinates: Any
    ranks: Any
    asked: Any


class NextRound(NamedTuple):
    """What the server begins a round with.

    Attributes:
      asked: int32 [1], the ranks to ask for, without what k / N asks for.
      elected: `tff_gs.sparsifiers.fab_consensus.ElectedSet`, J of this round.
      kappa: int32 scalar, the number of ranks that J holds whole.
    """

    asked: Any
    elected: Any
    kappa: Any


class PipelinedConsensus(fab_consensus.FabConsensus):
    """FAB consensus in one trip a round, with coordinates of the round before.

    The state is an `ElectionState`; `share` gives a `NextRound`.
    """

    # Of the nominees that came with the round before, whose clients may be others.
    is_fair = False
    legs = sparsifier.Legs.VALUES_WITH_BALLOTS

    @override
    def initialize(self) -> fab_consensus.ElectionState:
        """Nothing is elected yet; all ranks in the first round."""
        nothing = Ranking(
            _growing.empty(tf.int32), _growing.empty(tf.int32), tf.constant(0)
        )
        return fab_consensus.ElectionState(tf.constant(1.0, tf.float64), nothing)

    @override
    def share(
        self, state: fab_consensus.ElectionState, seed: tf.Tensor, k: tf.Tensor
    ) -> NextRound:
        """J, the first k of what was nominated last, and the ranks to ask for."""
        coordinates, ranks, asked = state.ranking
        first = coordinates[:k]
        by_coordinate = tf.argsort(first, stable=True)
        left_out = tf.size(ranks) > k
        # The first that is left out has the first rank that is not whole.
        kappa = tf.where(left_out, tf.gather(tf.pad(ranks, [[0, k + 1]]), k), asked)
        return NextRound(
            super().share(state, seed, k),
            fab_consensus.ElectedSet(
                tf.gather(first, by_coordinate),
                tf.math.invert_permutation(by_coordinate),
            ),
            kappa,
        )

    @override
    def advance(
        self,
        state: fab_consensus.ElectionState,
        k: tf.Tensor,
        kappa: tf.Tensor,
        selected: tf.Tensor,
        ranking: Any = (),
    ) -> fab_consensus.ElectionState:
        """As of `FabConsensus`; nothing is learned from a round without a J."""
        following = super().advance(state, k, kappa, selected, ranking)
        known = tf.size(state.ranking.coordinates) > 0
        return following._replace(
            ranks_per_k=tf.where(known, following.ranks_per_k, 1.0)
        )

    def rank(self, accumulator: ranked_sums.Accumulator, asked: tf.Tensor) -> Ranking:
        """The order of all that the ballots hold.

        Args:
          accumulator: That of `election` for all ballots.
          asked: int32 scalar, r.
        """
        keys = self.election.report(accumulator).keys
        coordinates = ranked_sums.sent_coordinates(keys)
        keys = tf.gather(keys, coordinates)
        order = tf.argsort(keys, stable=True)
        return Ranking(
            tf.gather(coordinates, order),
            ranked_sums.ranks(tf.gather(keys, order)),
            asked,
        )
