import collections

import numpy as np
import pytest

FEATURES, CLASSES = 4, 3


@pytest.fixture(scope="session")
def nested_type():
    """Eight floats of three dtypes in a dictionary, a list and a tuple."""
    import tensorflow_federated as tff

    return tff.to_type(
        collections.OrderedDict(
            a=(np.float32, [2, 2]), b=[np.float64, (np.float16, [3])]
        )
    )


@pytest.fixture(scope="session")
def nest():
    """Eight numbers as a value of `nested_type`."""

    def build(numbers):
        return collections.OrderedDict(
            a=np.float32(numbers[:4]).reshape(2, 2),
            b=[np.float64(numbers[4]), np.float16(numbers[5:])],
        )

    return build


@pytest.fixture(scope="session")
def unnest():
    """The eight numbers of a value of `nested_type`."""

    def read(value):
        first, (second, third) = value["a"], value["b"]
        return [*np.ravel(first).tolist(), float(second), *third.tolist()]

    return read


@pytest.fixture
def secure_context():
    """Secure sums need an execution context that knows them; TFF has one for tests."""
    import tensorflow_federated as tff

    context = tff.backends.test.create_sync_test_cpp_execution_context()
    with tff.framework.get_context_stack().install(context):
        yield


@pytest.fixture(scope="session")
def linear_model():
    """A linear classifier, D = 15, of zeros."""
    from tests import models

    return models.linear(np.zeros([FEATURES, CLASSES], np.float32))


@pytest.fixture(scope="session")
def normalising_model():
    """A function that builds a Keras model with weights that training leaves alone."""
    import tensorflow as tf

    from tests import models

    def build():
        layers = tf.keras.layers
        return models.of_layers(
            [
                layers.BatchNormalization(),
                layers.Dense(CLASSES, kernel_initializer="zeros"),
            ],
            features=FEATURES,
        )

    return build


@pytest.fixture(scope="session")
def client_datasets():
    """Three clients of 4, 8 and 6 examples, in batches of 4."""
    import tensorflow as tf

    rng = np.random.default_rng(1)
    centres = rng.normal(size=(CLASSES, FEATURES))
    datasets = []
    for examples in (4, 8, 6):
        y = rng.integers(0, CLASSES, examples).astype(np.int32)
        x = centres[y] + 0.3 * rng.normal(size=(examples, FEATURES))
        datasets.append(
            tf.data.Dataset.from_tensor_slices((x.astype(np.float32), y)).batch(4)
        )
    return datasets
