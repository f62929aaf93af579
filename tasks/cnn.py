"""Convolutional networks as `tff.learning` functional models."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

Weights = tuple[np.ndarray, ...]


def paper_cnn(
    image_shape: tuple[int, int, int], classes: int, seed: int
) -> tff.learning.models.FunctionalModel:
    """The CNN of Han, Wang, Leung, ICDCS 2020, section V.

    5x5x32 convolution, 2x2 max pool, local response normalisation, 5x5x32
    convolution, local response normalisation, 2x2 max pool, dense 256, logits; ReLU
    after the convolutions and the dense layer. Weights are drawn from a normal of
    standard deviation 0.1, truncated at two of them; biases are 0.1. It has
    D = 444,062 weights for 28x28x1 and 62 classes, 555,178 for 32x32x3 and 10.

    Args:
      image_shape: Height, width (both divisible by 4) and channels.
      classes: The number of classes.
      seed: Seeds the initial weights.

    Returns:
      A model of batches (float32 [n, *image_shape], int32 [n]) that predicts
      logits, float32 [n, classes]; its loss is the batch's mean cross-entropy.

    Raises:
      ValueError: The image's height or width is not divisible by 4.
    """
    height, width, channels = _check_image_shape(image_shape)
    rng = np.random.default_rng(seed)
    weights = []
    for shape in (
        (5, 5, channels, 32),
        (5, 5, 32, 32),
        (height // 4 * (width // 4) * 32, 256),
        (256, classes),
    ):
        weights.append(0.1 * _truncated_normal(rng, shape))
        weights.append(np.full(shape[-1], 0.1, np.float32))

    def logits(weights: Sequence[tf.Tensor], images: tf.Tensor) -> tf.Tensor:
        conv1, bias1, conv2, bias2, dense, dense_bias, output, output_bias = weights
        x = _normalize(_pool(_convolve(images, conv1, bias1)))
        x = _pool(_normalize(_convolve(x, conv2, bias2)))
        x = tf.nn.relu(tf.linalg.matmul(_flatten(x, dense), dense) + dense_bias)
        return tf.linalg.matmul(x, output) + output_bias

    return _classifier(tuple(weights), logits, image_shape)


def small_cnn(
    image_shape: tuple[int, int, int], classes: int, seed: int
) -> tff.learning.models.FunctionalModel:
    """A small CNN for small images; D = 13,706 for 8x8x1 and 10 classes.

    3x3x16 convolution, 2x2 max pool, 3x3x32 convolution, 2x2 max pool, dense 64,
    logits; ReLU after all but the last. Weights are drawn from a truncated normal
    scaled for ReLU (He et al., ICCV 2015); biases are 0.

    Args:
      image_shape: Height, width (both divisible by 4) and channels.
      classes: The number of classes.
      seed: Seeds the initial weights.

    Returns:
      A model as `paper_cnn` returns.

    Raises:
      ValueError: The image's height or width is not divisible by 4.
    """
    height, width, channels = _check_image_shape(image_shape)
    rng = np.random.default_rng(seed)
    weights = []
    for shape in (
        (3, 3, channels, 16),
        (3, 3, 16, 32),
        (height // 4 * (width // 4) * 32, 64),
        (64, classes),
    ):
        scale = np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        weights.append(scale * _truncated_normal(rng, shape))
        weights.append(np.zeros(shape[-1], np.float32))

    def logits(weights: Sequence[tf.Tensor], images: tf.Tensor) -> tf.Tensor:
        conv1, bias1, conv2, bias2, dense, dense_bias, output, output_bias = weights
        x = _pool(_convolve(images, conv1, bias1))
        x = _pool(_convolve(x, conv2, bias2))
        x = tf.nn.relu(tf.linalg.matmul(_flatten(x, dense), dense) + dense_bias)
        return tf.linalg.matmul(x, output) + output_bias

    return _classifier(tuple(weights), logits, image_shape)


def _classifier(
    weights: Weights,
    logits: Callable[[Sequence[tf.Tensor], tf.Tensor], tf.Tensor],
    image_shape: tuple[int, int, int],
) -> tff.learning.models.FunctionalModel:
    @tf.function
    def predict_on_batch(model_weights, x, training):  # noqa: ANN001, ANN202
        del training  # Training and evaluation do not differ.
        trainable, _ = model_weights
        return logits(trainable, x)

    def loss(output, label, sample_weight=None):  # noqa: ANN001, ANN202
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(label, output)
        if sample_weight is None:
            return tf.math.reduce_mean(losses)
        return tf.math.divide_no_nan(
            tf.math.reduce_sum(losses * sample_weight),
            tf.math.reduce_sum(sample_weight),
        )

    return tff.learning.models.FunctionalModel(
        initial_weights=(weights, ()),
        predict_on_batch_fn=predict_on_batch,
        loss_fn=loss,
        input_spec=(
            tf.TensorSpec([None, *image_shape], tf.float32),
            tf.TensorSpec([None], tf.int32),
        ),
    )


def _check_image_shape(image_shape: tuple[int, int, int]) -> tuple[int, int, int]:
    height, width, _ = image_shape
    if height % 4 or width % 4:
        raise ValueError(
            "Expected an image height and width divisible by 4, found "
            f"{height} and {width}."
        )
    return image_shape


def _truncated_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """float32 standard normal draws, those beyond +-2 drawn again."""
    values = rng.standard_normal(shape)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = rng.standard_normal(np.count_nonzero(beyond))
    return values.astype(np.float32)


def _convolve(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(tf.nn.conv2d(x, kernel, strides=1, padding="SAME") + bias)


def _pool(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(x, ksize=2, strides=2, padding="SAME")


def _normalize(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.local_response_normalization(
        x, depth_radius=4, bias=1.0, alpha=0.001 / 9, beta=0.75
    )


def _flatten(x: tf.Tensor, dense: tf.Tensor) -> tf.Tensor:
    return tf.reshape(x, [-1, dense.shape[0]])
