"""The interface of a sparsification method."""

import abc
from typing import Any, NamedTuple

import tensorflow as tf

from tff_gs import sparse_vector
from tff_gs.sparsifiers import top_k


class Upload(NamedTuple):
    """What the server knows of one client's accepted message.

    Attributes:
      client_id: int32 scalar.
      entries: The decoded index-value list.
      weight: float32 scalar, the client's weight (C_i, its number of examples).
      k: int32 scalar, of the round.
      k_probe: int32 scalar, k' of the round; 0 where nothing is probed.
    """

    client_id: tf.Tensor
    entries: sparse_vector.SparseVector
    weight: tf.Tensor
    k: tf.Tensor
    k_probe: tf.Tensor


class Selection(NamedTuple):
    """What the server sends down.

    Attributes:
      update: {(j, b_j) : j in J}, the weighted mean at the selected coordinates.
      probe: What differs when the round is run with k': {(j, b'_j)} for those j
        in J or J' where b'_j is not b_j; b'_j = 0 where j is not in J', and b_j = 0
        where it is not in J. Empty where nothing is probed.
      probe_count: int32 scalar, |J'|.
      kappa: int32 scalar, the number of ranks that are selected whole; 0 for
        methods without ranks.
      notes: int32 [n], what else `forget` has to know; empty for most methods.
    """

    update: sparse_vector.SparseVector
    probe: sparse_vector.SparseVector
    probe_count: tf.Tensor
    kappa: tf.Tensor
    notes: tf.Tensor


class Sparsifier(abc.ABC):
    """What clients send, how the server reduces it, and what it selects.

    All methods are TensorFlow code, traced inside TFF computations. `zero`,
    `accumulate`, `merge` and `report` are the operators of one
    `tff.federated_aggregate`: `merge` is associative, so that the reduction may
    run on any tree of aggregators.

    Attributes:
      dimension: D, the length of the vectors.
      probes: Whether the selection at k' is wanted too.
    """

    def __init__(self, *, dimension: int, probes: bool) -> None:
        if dimension < 1:
            raise ValueError(f"Expected a dimension of at least 1, found {dimension}.")
        self.dimension = dimension
        self.probes = probes

    def sparsify(self, residual: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """What a client sends.

        Unless a method says otherwise: J_i, its k entries of largest magnitude.

        Args:
          residual: float32 [D], a_i with this round's gradient in it.
          k: int32 scalar, 1 <= k <= D.

        Returns:
          The coordinates to send, int32 [n], ascending.
        """
        return top_k.top_k_indices(residual, k)

    def max_sent(self, k: tf.Tensor) -> tf.Tensor:
        """The most entries of a message at k (int32 scalars); k unless overridden."""
        return k

    def units(self, count: tf.Tensor) -> tf.Tensor:
        """How many numbers a message of `count` entries is, for the normalised time.

        Unless a method says otherwise an index and a value for each entry.

        Args:
          count: int32, of any shape.

        Returns:
          float64, of the same shape.
        """
        return 2.0 * tf.cast(count, tf.float64)

    @abc.abstractmethod
    def zero(self) -> Any:
        """The accumulator before any upload."""

    @abc.abstractmethod
    def accumulate(self, accumulator: Any, upload: Upload) -> Any:
        """The accumulator with one more upload; an empty upload changes nothing."""

    @abc.abstractmethod
    def merge(self, first: Any, second: Any) -> Any:
        """The accumulator of the uploads of both."""

    @abc.abstractmethod
    def report(self, accumulator: Any) -> Any:
        """The aggregate that `select` takes."""

    @abc.abstractmethod
    def select(
        self, aggregate: Any, total_weight: tf.Tensor, k: tf.Tensor, k_probe: tf.Tensor
    ) -> Selection:
        """What the server selects.

        Args:
          aggregate: The result of `report`.
          total_weight: float64 scalar, the sum of the uploads' weights (C); > 0.
          k: int32 scalar.
          k_probe: int32 scalar, k' < k, or 0.
        """

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
          sent: int32 [n], the coordinates that the client sent, ascending.
          selected: int32 [m], J, ascending.
          notes: int32 [l], see `Selection`.
          client_id: int32 scalar, the client's own.

        Returns:
          bool [n].
        """
        del notes, client_id
        return self._among(sent, selected)

    def _among(self, indices: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
        """Which of `indices` are among `others` (both int32), bool."""
        mask = tf.tensor_scatter_nd_update(
            tf.zeros([self.dimension], tf.bool),
            others[:, tf.newaxis],
            tf.ones_like(others, dtype=tf.bool),
        )
        return tf.gather(mask, indices)
