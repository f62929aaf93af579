"""What happens to a client's work before it enters the residual."""

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from typing_extensions import override

from tff_gs import configuration
from tff_gs.configuration import option


class ClientTransformation(configuration.Configuration, abc.ABC):
    """Changes the vector of a client's work; TensorFlow code, run at the client.

    Several make a chain: see `SparseExchange`. Each may keep a state of its own at
    the client, from one round that the client takes part in to the next.
    """

    def initialize(self, dimension: int) -> Any:
        """The state before the first round; none unless overridden.

        Args:
          dimension: D.
        """
        del dimension
        return ()

    @abc.abstractmethod
    def __call__(self, state: Any, vector: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """The new state and vector.

        Args:
          state: The state before.
          vector: float32 [D], finite: a gradient, or w less the weights after local
            updates.
        """

    def receive(self, state: Any, coordinates: tf.Tensor) -> Any:
        """The state when the server has selected entries that the client had sent.

        Args:
          state: The state after `__call__`.
          coordinates: int32 [n], those entries of J_i and J.
        """
        del coordinates
        return state


class ClipByNorm(ClientTransformation, kw_only=False):
    """Scales a vector down to an l2 norm, if it is longer.

    >>> _, clipped = ClipByNorm(1.0)((), tf.constant([3.0, 4.0]))
    >>> clipped.numpy()
    array([0.6, 0.8], dtype=float32)
    """

    max_norm: float = option(help="the l2 norm", above=0)

    @override
    def __call__(self, state: Any, vector: tf.Tensor) -> tuple[Any, tf.Tensor]:
        """Computed in float64, which has room for any norm."""
        exact = tf.cast(vector, tf.float64)
        norm = tf.norm(exact)
        clipped = tf.cond(
            norm > self.max_norm,
            lambda: tf.cast(exact * (self.max_norm / norm), tf.float32),
            lambda: vector,
        )
        return state, clipped


class ClipByValue(ClientTransformation, kw_only=False):
    """Moves every entry into [-bound, bound].

    >>> _, clipped = ClipByValue(2.0)((), tf.constant([1.0, -5.0]))
    >>> clipped.numpy()
    array([ 1., -2.], dtype=float32)
    """

    bound: float = option(help="the largest magnitude of an entry", above=0)

    @override
    def __call__(self, state: Any, vector: tf.Tensor) -> tuple[Any, tf.Tensor]:
        return state, tf.clip_by_value(vector, -self.bound, self.bound)


class MomentumCorrection(ClientTransformation, kw_only=False):
    """Momentum at the client, so what waits in the residual waits with it.

    Lin et al., "Deep gradient compression: reducing the communication bandwidth for
    distributed training", ICLR 2018, Sections 3.1 and 3.2: u <- momentum u + g enters
    the residual in g's place, and u is emptied at the coordinates that were applied
    (momentum factor masking). The state is u, float32 [D].

    >>> correction = MomentumCorrection(0.5)
    >>> state = correction.initialize(2)
    >>> for _ in range(2):
    ...     state, vector = correction(state, tf.constant([4.0, 8.0]))
    >>> vector.numpy()
    array([ 6., 12.], dtype=float32)
    >>> correction.receive(state, tf.constant([1])).numpy()
    array([6., 0.], dtype=float32)
    """

    momentum: float = option(
        default=0.9, help="what remains of u after a round", at_least=0, below=1
    )

    @override
    def initialize(self, dimension: int) -> tf.Tensor:
        return tf.zeros([dimension], tf.float32)

    @override
    def __call__(self, state: tf.Tensor, vector: tf.Tensor) -> tuple[Any, tf.Tensor]:
        velocity = self.momentum * state + vector
        return velocity, velocity

    @override
    def receive(self, state: tf.Tensor, coordinates: tf.Tensor) -> tf.Tensor:
        return tf.tensor_scatter_nd_update(
            state,
            coordinates[:, tf.newaxis],
            tf.zeros_like(coordinates, tf.float32),
        )


class Chain(ClientTransformation):
    """Several transformations, one after another; the state is a tuple of theirs."""

    def __init__(self, transformations: Sequence[ClientTransformation]) -> None:
        """Applies `transformations` in their order.

        Raises:
          TypeError: If one of them is no `ClientTransformation`.
        """
        for transformation in transformations:
            if not isinstance(transformation, ClientTransformation):
                raise TypeError(
                    "Expected transformations that are each a ClientTransformation, "
                    f"found {transformation!r}."
                )
        self._set(_transformations=tuple(transformations))

    @override
    def initialize(self, dimension: int) -> tuple[Any, ...]:
        return tuple(each.initialize(dimension) for each in self._transformations)

    @override
    def __call__(
        self, state: tuple[Any, ...], vector: tf.Tensor
    ) -> tuple[tuple[Any, ...], tf.Tensor]:
        states = []
        for each, its_state in zip(self._transformations, state, strict=True):
            its_state, vector = each(its_state, vector)
            states.append(its_state)
        return tuple(states), vector

    @override
    def receive(self, state: tuple[Any, ...], coordinates: tf.Tensor) -> Any:
        return tuple(
            each.receive(its_state, coordinates)
            for each, its_state in zip(self._transformations, state, strict=True)
        )


#: Nothing happens to a client's work.
NONE = Chain(())
