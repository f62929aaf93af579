"""How the model changes by the update of a round, alike at the server and at replicas.

What travels is b, the sparse update. The server and every client apply it with the
same operations, so their weights are equal to the bit.
"""

import abc
from typing import Any, NamedTuple, Self

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import configuration, sparse_vector
from tff_gs.configuration import option


class Replica(NamedTuple):
    """The model as the server and every client have it.

    Attributes:
      weights: float32 [D], w.
      optimizer: The state of the server's optimizer; `()` for plain SGD.
    """

    weights: Any
    optimizer: Any


class ServerUpdate(configuration.Configuration, abc.ABC):
    """Applies updates; TensorFlow code.

    Attributes:
      dimension: D; known when bound.
    """

    def bind(self, dimension: int) -> Self:
        """The update of a model of `dimension` (D) weights."""
        return self._bound(dimension=dimension)

    @property
    def replica_type(self) -> tff.StructWithPythonType:
        """The TFF type of a `Replica`."""
        state = tff.tensorflow.computation(self.initialize).type_signature.result
        return tff.to_type(Replica(tff.TensorType(np.float32, [self.dimension]), state))

    @abc.abstractmethod
    def initialize(self) -> Any:
        """The first state of the optimizer."""

    @abc.abstractmethod
    def step(self, replica: Replica, update: sparse_vector.SparseVector) -> Replica:
        """The model after the update {(j, b_j) : j in J}."""

    @abc.abstractmethod
    def probe_weights(
        self,
        before: Replica,
        after: Replica,
        update: sparse_vector.SparseVector,
        differences: sparse_vector.SparseVector,
    ) -> tf.Tensor:
        """The weights that the round would have given at k', w'(m), float32 [D].

        Args:
          before: The model before the round.
          after: The model after `update`.
          update: {(j, b_j) : j in J}.
          differences: {(j, b'_j)} for those j where b'_j is not b_j.
        """


class SparseSgd(ServerUpdate):
    """W - eta b, at the coordinates of b only.

    >>> sgd = SparseSgd(learning_rate=0.5).bind(3)
    >>> model = Replica(tf.constant([1.0, 2.0, 3.0]), sgd.initialize())
    >>> update = sparse_vector.SparseVector(tf.constant([2]), tf.constant([4.0]))
    >>> sgd.step(model, update).weights.numpy()
    array([1., 2., 1.], dtype=float32)
    """

    learning_rate: float = option(help="eta", above=0)

    @override
    def initialize(self) -> tuple[()]:
        return ()

    @override
    def step(self, replica: Replica, update: sparse_vector.SparseVector) -> Replica:
        return replica._replace(
            weights=sparse_vector.subtract(
                replica.weights, update.indices, self.learning_rate * update.values
            )
        )

    @override
    def probe_weights(
        self,
        before: Replica,
        after: Replica,
        update: sparse_vector.SparseVector,
        differences: sparse_vector.SparseVector,
    ) -> tf.Tensor:
        """As w(m), except for the coordinates that k' changes."""
        del update
        return sparse_vector.put(
            after.weights,
            differences.indices,
            tf.gather(before.weights, differences.indices)
            - self.learning_rate * differences.values,
        )


class OptimizerUpdate(ServerUpdate):
    """Any optimizer of TFF, with b (zero outside J) in the gradient's place.

    Momentum and Adam change every weight in every round; since all replicas make the
    same steps, what travels stays sparse.
    """

    optimizer: tff.learning.optimizers.Optimizer = option(
        help="called with weights and gradients of float32 [D]"
    )

    def __post_init__(self) -> None:
        """Raises TypeError unless the optimizer is one of TFF's."""
        super().__post_init__()
        if not isinstance(self.optimizer, tff.learning.optimizers.Optimizer):
            raise TypeError(
                "Expected a tff.learning.optimizers.Optimizer, found "
                f"{type(self.optimizer).__name__}."
            )

    @override
    def initialize(self) -> Any:
        return self.optimizer.initialize(tf.TensorSpec([self.dimension], tf.float32))

    @override
    def step(self, replica: Replica, update: sparse_vector.SparseVector) -> Replica:
        return self._step(replica, sparse_vector.to_dense(update, self.dimension))

    @override
    def probe_weights(
        self,
        before: Replica,
        after: Replica,
        update: sparse_vector.SparseVector,
        differences: sparse_vector.SparseVector,
    ) -> tf.Tensor:
        """A step of its own from w(m-1)."""
        del after
        probed = sparse_vector.put(
            sparse_vector.to_dense(update, self.dimension),
            differences.indices,
            differences.values,
        )
        return self._step(before, probed).weights

    def _step(self, replica: Replica, gradient: tf.Tensor) -> Replica:
        state, weights = self.optimizer.next(
            replica.optimizer, replica.weights, gradient
        )
        return Replica(weights, state)


def build_update(
    *,
    learning_rate: float,
    optimizer: tff.learning.optimizers.Optimizer | None = None,
) -> ServerUpdate:
    """Plain SGD, or the update of an optimizer if one is given.

    Args:
      learning_rate: eta of plain SGD; not used with an optimizer.
      optimizer: See `OptimizerUpdate`.

    Raises:
      ValueError: If `learning_rate` is used and not positive.
      TypeError: If `optimizer` is no `tff.learning.optimizers.Optimizer`.
    """
    if optimizer is None:
        return SparseSgd(learning_rate=learning_rate)
    return OptimizerUpdate(optimizer=optimizer)
