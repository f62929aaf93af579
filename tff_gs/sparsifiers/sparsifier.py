"""The interface of a sparsification method."""

from __future__ import annotations

import abc
import enum
from typing import Any, ClassVar, NamedTuple, Self

from tff_gs import _checks, configuration, sparse_vector
from tff_gs._tensorflow import tf
from tff_gs.sparsifiers import top_k


class Upload(NamedTuple):
    """What the server knows of one client's accepted message.

    Attributes:
      client_id: int32 scalar.
      entries: The decoded index-value list.
      weight: float32 scalar, the client's weight (C_i, its number of examples).
      k: int32 scalar, of the round.
      k_probe: int32 scalar, k' of the round; 0 if nothing is probed.
    """

    client_id: tf.Tensor
    entries: sparse_vector.SparseVector
    weight: tf.Tensor
    k: tf.Tensor
    k_probe: tf.Tensor


class Selection(NamedTuple):
    """What the server sends down.

    Attributes:
      update: {(j, b_j) : j in J}, the weighted mean at the selected coordinates; by
        position if indices are implicit.
      probe: What differs when the round is run with k': {(j, b'_j)} for those j
        in J or J' where b'_j is not b_j; b'_j = 0 if j is not in J', and b_j = 0
        if it is not in J. By coordinate; empty if nothing is probed.
      probe_count: int32 scalar, |J'|.
      kappa: int32 scalar, the number of ranks that are selected whole; 0 for
        methods without ranks.
      notes: int32 [n], what else `forget` has to know; empty for most methods.
      probe_notes_count: int32 scalar, how many notes k' would have given.
    """

    update: sparse_vector.SparseVector
    probe: sparse_vector.SparseVector
    probe_count: tf.Tensor
    kappa: tf.Tensor
    notes: tf.Tensor
    probe_notes_count: tf.Tensor | int = 0


class Legs(enum.Enum):
    """What clients send in a round; the value names the exchange that does it."""

    ENTRIES = "SparseExchange"
    #: See `tff_gs.sparsifiers.fab_consensus`.
    BALLOTS_THEN_VALUES = "ConsensusExchange"
    #: See `tff_gs.sparsifiers.pipelined_consensus`.
    VALUES_WITH_BALLOTS = "PipelinedExchange"


class Sparsifier(configuration.Configuration, abc.ABC):
    """What clients send, how the server reduces it, and what it selects.

    A method is made from its options, and bound before anything else is asked of it.
    All its functions are TensorFlow code, traced inside TFF computations. The server
    collects messages first, on any tree of aggregators, and then reads them by client
    id: `zero`, then `accumulate` for each, then `report`.

    Where coordinates are known to both ends, indices are implicit: the indices in
    messages are positions, 0 to n - 1, which `coordinates` translates; so are those
    that `sparsify` returns.

    Attributes:
      implicit_indices: Whether the indices in messages are positions.
      is_fair: Whether J holds at least floor(k / N) coordinates of every client,
        whatever the others send.
      legs: What clients send in a round.
      dimension: D, the length of the vectors; known when bound.
      probes: Whether the selection at k' is wanted too; likewise.
    """

    implicit_indices: ClassVar[bool] = False
    is_fair: ClassVar[bool] = False
    legs: ClassVar[Legs] = Legs.ENTRIES

    @property
    def elects(self) -> bool:
        """Whether clients elect the coordinates that are sent."""
        return self.legs is not Legs.ENTRIES

    @property
    def trips(self) -> float:
        """How many times a client sends and receives in a round."""
        return 2.0 if self.legs is Legs.BALLOTS_THEN_VALUES else 1.0

    def bind(self, *, dimension: int, probes: bool) -> Self:
        """The method for vectors of one length.

        Args:
          dimension: D.
          probes: Whether the selection at k' is wanted too.

        Raises:
          ValueError: If the dimension is below 1, or an option does not fit to it.
        """
        _checks.require(dimension >= 1, "a dimension of at least 1", dimension)
        return self._bound(dimension=dimension, probes=probes)

    def initialize(self) -> Any:
        """The server's state before the first round, a structure of tensors.

        Unless a method says otherwise: none.
        """
        return ()

    def share(self, state: Any, seed: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """What the server tells all clients before a round, beside k and k'.

        Unless a method says otherwise: nothing.

        Args:
          state: The state before the round.
          seed: int32 [2], the seed of the run.
          k: int32 scalar.

        Returns:
          int32 [s]; s is static.
        """
        del state, seed, k
        return tf.zeros([0], tf.int32)

    def advance(
        self,
        state: Any,
        k: tf.Tensor,
        kappa: tf.Tensor,
        selected: tf.Tensor,
        ranking: Any = (),
    ) -> Any:
        """The server's state after a round.

        Args:
          state: The state before it.
          k: int32 scalar.
          kappa: int32 scalar, see `Selection`.
          selected: int32 scalar, |J|.
          ranking: What was nominated for the next round, see
            `tff_gs.sparsifiers.pipelined_consensus`; `()` if nothing was.
        """
        del k, kappa, selected, ranking
        return state

    def coordinates(self, indices: tf.Tensor, shared: Any) -> tf.Tensor:
        """The coordinates that the indices in a message mean.

        Unless a method says otherwise: themselves.

        Args:
          indices: int32 [n], ascending.
          shared: See `share`.

        Returns:
          int32 [n], in the order of `indices`.
        """
        del shared
        return indices

    def answer_coordinates(self, indices: tf.Tensor, sent: tf.Tensor) -> tf.Tensor:
        """`coordinates` of the server's answer, for a client that knows what it sent.

        Unless a method says otherwise: the indices themselves.

        Args:
          indices: int32 [m], those in the answer, ascending.
          sent: int32 [n], the coordinates that the client sent, in their order.

        Returns:
          int32 [m], in the order of `indices`.
        """
        del sent
        return indices

    def sparsify(
        self, residual: tf.Tensor, k: tf.Tensor, shared: Any, seed: tf.Tensor
    ) -> tf.Tensor:
        """What a client sends.

        Unless a method says otherwise: J_i, its k entries of largest magnitude.

        Args:
          residual: float32 [D], a_i with this round's gradient in it.
          k: int32 scalar, 1 <= k <= D.
          shared: See `share`.
          seed: int32 [2], the client's own in this round, for random draws.

        Returns:
          The coordinates to send (or positions), int32 [n], ascending.
        """
        del shared, seed
        return top_k.top_k_indices(residual, k)

    def max_sent(self, k: tf.Tensor) -> tf.Tensor:
        """The most entries of a message at k (int32 scalars); k unless overridden."""
        return k

    def units(self, count: tf.Tensor) -> tf.Tensor:
        """How many numbers a message of `count` entries is, for the normalised time.

        An index and a value for each entry; values only if indices are implicit.

        Args:
          count: int32, of any shape.

        Returns:
          float64, of the same shape.
        """
        return (1.0 if self.implicit_indices else 2.0) * tf.cast(count, tf.float64)

    @abc.abstractmethod
    def zero(self) -> Any:
        """The accumulator before any upload."""

    @abc.abstractmethod
    def accumulate(self, accumulator: Any, upload: Upload) -> Any:
        """The accumulator with one more upload; an empty upload changes nothing."""

    @abc.abstractmethod
    def report(self, accumulator: Any) -> Any:
        """The aggregate that `select` takes."""

    @abc.abstractmethod
    def select(
        self,
        aggregate: Any,
        total_weight: tf.Tensor,
        k: tf.Tensor,
        k_probe: tf.Tensor,
        shared: Any,
    ) -> Selection:
        """What the server selects.

        Args:
          aggregate: The result of `report`.
          total_weight: float64 scalar, the sum of the uploads' weights (C); > 0.
          k: int32 scalar.
          k_probe: int32 scalar, k' < k, or 0.
          shared: See `share`.
        """

    def order(
        self, aggregate: Any, update: sparse_vector.SparseVector, shared: Any
    ) -> tf.Tensor:
        """The order in which the entries of the update were selected.

        With a smaller k, the first of them would have been selected. Unless a method
        says otherwise: the largest |b_j| first.

        Args:
          aggregate: What `select` took.
          update: `Selection.update`, n entries.
          shared: See `share`.

        Returns:
          int32 [n], positions in `update`.
        """
        del aggregate, shared
        return tf.argsort(-tf.abs(update.values), stable=True)

    def forget(
        self,
        sent: tf.Tensor,
        selected: tf.Tensor,
        notes: tf.Tensor,
        client_id: tf.Tensor,
    ) -> tf.Tensor:
        """Which of its sent entries a client drops from its residual.

        Unless a method says otherwise: those that the server selected (J_i and J).

        Args:
          sent: int32 [n], the coordinates that the client sent.
          selected: int32 [m], J.
          notes: int32 [l], see `Selection`.
          client_id: int32 scalar, the client's own.

        Returns:
          bool [n].
        """
        del notes, client_id
        return sparse_vector.among(sent, selected, self.dimension)


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
      k_probe: int32 scalar, k'; 0 if nothing is probed, and the result is empty.
      dimension: D.

    Returns:
      {(j, b'_j)} for those j in J or J' where b'_j is not b_j; an entry that only one
      of the two has is zero in the other.
    """
    wanted = sparse_vector.to_dense(probe, dimension)
    given = sparse_vector.to_dense(update, dimension)
    changed = tf.where(tf.not_equal(wanted, given) & (k_probe > 0))[:, 0]
    return sparse_vector.gather(wanted, tf.cast(changed, tf.int32))
