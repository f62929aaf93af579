"""The model that tasks share; it, and TensorFlow, are imported when it is built."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow_federated as tff


def paper_cnn(
    image_shape: tuple[int, int, int], classes: int, seed: int
) -> "tff.learning.models.FunctionalModel":
    """See `tasks.cnn.paper_cnn`."""
    from tasks import cnn

    return cnn.paper_cnn(image_shape, classes, seed)
