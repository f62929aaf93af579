"""Top-k messages for pipelines of TensorFlow Model Optimization's `tensor_encoding`.

`tff.aggregators.EncodedSumFactory` takes such encoders:

    tff.aggregators.EncodedSumFactory(
        lambda spec: te.encoders.as_gather_encoder(sparse_top_k(0.01), spec)
    )
"""

from typing import Any

import tensorflow as tf
from tensorflow_model_optimization.python.core.internal import tensor_encoding as te
from typing_extensions import override

from tff_gs import sparse_vector
from tff_gs.encoders import encoder as encoder_lib
from tff_gs.encoders import message_encoder
from tff_gs.sparsifiers import top_k


class SparseTopKEncodingStage(te.core.AdaptiveEncodingStageInterface):
    """Encodes a tensor as a message of its entries of largest magnitude.

    There is no residual here: what is not sent is lost, unlike in the sparse
    exchange. A message that does not pass the receiver's checks decodes to zeros.

    The state is a round number, so a stochastic value code rounds differently
    in every round; tensors with other content draw other numbers.
    """

    #: The key of the encoded tensor, uint8 [bytes].
    MESSAGE_KEY = "message"
    _SEED_KEY = "seed"
    _ROUND_KEY = "round"

    def __init__(
        self,
        fraction: float,
        *,
        index: str = "rice",
        value: str = "float32",
        seed: int = 0,
    ) -> None:
        """Initializes the stage.

        Args:
          fraction: k as a fraction of a tensor's entries, in (0, 1]; k is rounded
            up.
          index: A name in `encoders.INDEX_CODES`, of a code that needs no tensor
            sizes.
          value: A name in `encoders.VALUE_CODES`.
          seed: Of stochastic value codes.

        Raises:
          ValueError: If `fraction` is out of range or a name is not known.
        """
        if not 0 < fraction <= 1:
            raise ValueError(f"Expected a fraction in (0, 1], found {fraction}.")
        encoder_lib.Encoder(index, value).bind(dimension=1)
        self._fraction = fraction
        self._index = index
        self._value = value
        self._seed = seed

    @property
    @override
    def name(self) -> str:
        return "sparse_top_k"

    @property
    @override
    def compressible_tensors_keys(self) -> list[str]:
        return []

    @property
    @override
    def commutes_with_sum(self) -> bool:
        return False

    @property
    @override
    def decode_needs_input_shape(self) -> bool:
        return True

    @property
    @override
    def state_update_aggregation_modes(self) -> dict[str, Any]:
        return {}

    @override
    def initial_state(self) -> dict[str, tf.Tensor]:
        return {self._ROUND_KEY: tf.constant(0, tf.int32)}

    @override
    def update_state(
        self, state: dict[str, tf.Tensor], state_update_tensors: dict[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        del state_update_tensors
        return {self._ROUND_KEY: state[self._ROUND_KEY] + 1}

    @override
    def get_params(
        self, state: dict[str, tf.Tensor]
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """`encode` gets the seed of the round."""
        return {self._SEED_KEY: tf.stack([self._seed, state[self._ROUND_KEY]])}, {}

    @override
    def encode(
        self, x: tf.Tensor, encode_params: dict[str, tf.Tensor]
    ) -> tuple[dict[str, tf.Tensor], dict[str, tf.Tensor]]:
        """`x` is float32 of a static shape."""
        vector = tf.reshape(x, [-1])
        indices = top_k.top_k_indices(vector, self._count(vector.shape[0]))
        # Clients get the same seed: their values make it differ.
        content = tf.reduce_sum(tf.bitcast(tf.gather(vector, indices), tf.int32))
        encoded = self._encoder(vector.shape[0]).encode(
            sparse_vector.gather(vector, indices),
            tf.bitwise.bitwise_xor(encode_params[self._SEED_KEY], [content, 0]),
        )
        return {self.MESSAGE_KEY: encoded.message}, {}

    @override
    def decode(
        self,
        encoded_tensors: dict[str, tf.Tensor],
        decode_params: dict[str, tf.Tensor],
        num_summands: Any = None,
        shape: Any = None,
    ) -> tf.Tensor:
        del decode_params, num_summands
        dimension = tf.TensorShape(shape).num_elements()
        vector, _ = self._encoder(dimension).decode(
            encoded_tensors[self.MESSAGE_KEY], tf.constant(self._count(dimension))
        )
        return tf.reshape(sparse_vector.to_dense(vector, dimension), shape)

    def _count(self, dimension: int) -> int:
        """How many entries of `dimension` are sent."""
        return -int(-self._fraction * dimension // 1)

    def _encoder(self, dimension: int) -> message_encoder.MessageEncoder:
        return encoder_lib.Encoder(self._index, self._value).bind(dimension=dimension)


def sparse_top_k(
    fraction: float, *, index: str = "rice", value: str = "float32", seed: int = 0
) -> te.core.Encoder:
    """An encoder of `SparseTopKEncodingStage`, for `te.encoders.as_gather_encoder`.

    Args:
      fraction: See `SparseTopKEncodingStage`, as the others.
      index: The index code's name.
      value: The value code's name.
      seed: Of stochastic value codes.

    Returns:
      A `te.core.Encoder`.
    """
    stage = SparseTopKEncodingStage(fraction, index=index, value=value, seed=seed)
    return te.core.EncoderComposer(stage).make()
