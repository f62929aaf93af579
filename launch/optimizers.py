"""From an optimizer's name to the optimizer; imports no TensorFlow."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow_federated as tff

OPTIMIZERS: Mapping[str, str] = {
    "sgd": "plain stochastic gradient descent",
    "momentum": "SGD with momentum 0.9",
    "adagrad": "Adagrad",
    "adam": "Adam",
    "yogi": "Yogi",
}


def build(name: str, learning_rate: float) -> "tff.learning.optimizers.Optimizer":
    """Builds the optimizer called `name`, a key of `OPTIMIZERS`."""
    from tensorflow_federated import learning

    builders = {
        "sgd": learning.optimizers.build_sgdm,
        "momentum": lambda rate: learning.optimizers.build_sgdm(rate, momentum=0.9),
        "adagrad": learning.optimizers.build_adagrad,
        "adam": learning.optimizers.build_adam,
        "yogi": learning.optimizers.build_yogi,
    }
    return builders[name](learning_rate)
