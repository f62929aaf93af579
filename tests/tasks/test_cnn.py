import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

import tasks
from tasks import cifar10, cnn, digits, femnist


def _dimension(model):
    trainable, non_trainable = model.initial_weights
    assert non_trainable == ()
    return sum(weight.size for weight in trainable)


@pytest.mark.parametrize(
    ("build", "dimension"),
    [
        (lambda: cnn.paper_cnn(femnist.IMAGE_SHAPE, femnist.CLASSES, 0), 444_062),
        (lambda: cnn.paper_cnn(cifar10.IMAGE_SHAPE, cifar10.CLASSES, 0), 555_178),
        (lambda: cnn.small_cnn(digits.IMAGE_SHAPE, digits.CLASSES, 0), 13_706),
    ],
)
def test_dimension_shapes_and_types(build, dimension):
    model = build()
    assert _dimension(model) == dimension
    assert all(type(w) is np.ndarray for w in model.initial_weights[0])
    assert all(w.dtype == np.float32 for w in model.initial_weights[0])
    features, labels = model.input_spec
    assert (features.dtype, labels.dtype) == (tf.float32, tf.int32)
    assert features.shape[0] is None
    assert labels.shape.as_list() == [None]
    images = np.zeros([3, *features.shape[1:]], np.float32)
    logits = model.predict_on_batch(model.initial_weights, images, training=False)
    assert logits.shape[0] == 3
    assert logits.dtype == tf.float32


def test_initial_weights_of_the_paper():
    weights, _ = cnn.paper_cnn((28, 28, 1), 62, seed=3).initial_weights
    for kernel, bias in zip(weights[::2], weights[1::2], strict=True):
        np.testing.assert_array_equal(bias, np.float32(0.1))
        assert np.abs(kernel).max() <= np.float32(0.2)
    dense = weights[4]
    # A normal truncated at two deviations has 0.8796 of its deviation.
    assert dense.std() == pytest.approx(0.08796, rel=0.01)
    assert abs(dense.mean()) < 0.001


@pytest.mark.parametrize("build", [cnn.paper_cnn, cnn.small_cnn])
def test_seed_decides_the_weights(build):
    one, same, other = (build((8, 8, 1), 10, s).initial_weights[0] for s in (1, 1, 2))
    assert all(a.tobytes() == b.tobytes() for a, b in zip(one, same, strict=True))
    assert not np.array_equal(one[0], other[0])


def _convolve(x, kernel, bias):
    """A SAME 2-D convolution with ReLU, in float64, tap by tap."""
    size = kernel.shape[0]
    _, height, width, _ = x.shape
    padded = np.pad(x, [(0, 0), (size // 2,) * 2, (size // 2,) * 2, (0, 0)])
    result = np.zeros([*x.shape[:3], kernel.shape[3]]) + bias
    for row in range(size):
        for column in range(size):
            window = padded[:, row : row + height, column : column + width]
            result += window @ kernel[row, column]
    return np.maximum(result, 0)


def _pool(x):
    n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


def _normalize(x):
    """Local response normalisation over nine neighbouring channels."""
    squares = np.pad(x**2, [(0, 0)] * 3 + [(4, 4)])
    total = sum(squares[..., shift : shift + x.shape[3]] for shift in range(9))
    return x / (1 + 0.001 / 9 * total) ** 0.75


def test_paper_cnn_equals_its_transcription():
    model = cnn.paper_cnn((8, 12, 3), 5, seed=0)
    weights = [w.astype(np.float64) for w in model.initial_weights[0]]
    # Large inputs, so that the normalisation is felt.
    images = np.random.default_rng(1).normal(scale=20, size=(4, 8, 12, 3))
    x = _normalize(_pool(_convolve(images, *weights[:2])))
    x = _pool(_normalize(_convolve(x, *weights[2:4])))
    x = np.maximum(x.reshape(4, -1) @ weights[4] + weights[5], 0)
    expected = x @ weights[6] + weights[7]
    logits = model.predict_on_batch(
        model.initial_weights, images.astype(np.float32), training=True
    )
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-2)


def test_small_cnn_equals_its_transcription():
    model = cnn.small_cnn((8, 8, 1), 10, seed=0)
    weights = [w.astype(np.float64) for w in model.initial_weights[0]]
    images = np.random.default_rng(1).normal(size=(4, 8, 8, 1))
    x = _pool(_convolve(images, *weights[:2]))
    x = _pool(_convolve(x, *weights[2:4]))
    x = np.maximum(x.reshape(4, -1) @ weights[4] + weights[5], 0)
    logits = model.predict_on_batch(
        model.initial_weights, images.astype(np.float32), training=True
    )
    np.testing.assert_allclose(logits, x @ weights[6] + weights[7], atol=1e-4)


def test_loss_by_hand():
    model = cnn.small_cnn((8, 8, 1), 2, seed=0)
    logits = np.log(np.array([[1, 3], [4, 1]], np.float32))
    labels = np.array([1, 1], np.int32)
    losses = -np.log([3 / 4, 1 / 5])
    np.testing.assert_allclose(model.loss(logits, labels), losses.mean(), rtol=1e-6)
    weights = np.array([3, 1], np.float32)
    np.testing.assert_allclose(
        model.loss(logits, labels, weights), losses @ [0.75, 0.25], rtol=1e-6
    )


def test_odd_image_shapes_are_refused():
    with pytest.raises(ValueError, match="divisible by 4, found 8 and 10"):
        cnn.small_cnn((8, 10, 1), 10, seed=0)


def _descend(model, batches, rate):
    """Plain SGD; the weights after it and the loss of every batch."""

    @tf.function(autograph=False)
    def step(weights, images, labels):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            logits = model.predict_on_batch((weights, ()), images, training=True)
            loss = model.loss(logits, labels)
        gradients = tape.gradient(loss, weights)
        return loss, tuple(
            w - rate * g for w, g in zip(weights, gradients, strict=True)
        )

    weights = tuple(tf.constant(w) for w in model.initial_weights[0])
    losses = []
    for images, labels in batches:
        loss, weights = step(weights, images, labels)
        losses.append(float(loss))
    return weights, losses


def test_paper_cnn_learns_a_batch():
    rng = np.random.default_rng(0)
    images = rng.random((16, 28, 28, 1), np.float32)
    labels = rng.integers(0, 62, 16).astype(np.int32)
    model = cnn.paper_cnn((28, 28, 1), 62, seed=0)
    _, losses = _descend(model, [(images, labels)] * 15, rate=0.01)
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.6 * losses[0]


def test_small_cnn_learns_the_digits():
    task = tasks.TASKS.build("digits", {"partition": "iid", "clients": 1})
    loaded = task.load()
    (data,) = loaded.clients
    rng = np.random.default_rng(0)
    picks = [rng.choice(len(data.labels), 64, replace=False) for _ in range(600)]
    model = task.build_model(0)
    weights, _ = _descend(
        model, [(data.features[pick], data.labels[pick]) for pick in picks], rate=0.2
    )
    logits = model.predict_on_batch((weights, ()), loaded.test.features, training=False)
    assert np.mean(np.argmax(logits, axis=1) == loaded.test.labels) > 0.95


def test_serves_tff_own_algorithms():
    model = cnn.small_cnn((8, 8, 1), 10, seed=0)
    process = tff.learning.algorithms.build_fed_sgd(
        model, server_optimizer_fn=tff.learning.optimizers.build_sgdm(0.1)
    )
    task = tasks.TASKS["digits"]().load()
    data = [
        tf.data.Dataset.from_tensor_slices((client.features, client.labels)).batch(32)
        for client in task.clients[:2]
    ]
    state = process.initialize()
    before = process.get_model_weights(state).trainable
    after = process.get_model_weights(process.next(state, data).state).trainable
    for old, new, initial in zip(before, after, model.initial_weights[0], strict=True):
        np.testing.assert_array_equal(old, initial)
        assert not np.array_equal(old, new)
