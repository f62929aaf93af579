"""How clients weigh in the mean of their updates, by name."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow_federated as tff

WEIGHTINGS: Mapping[str, str] = {
    "num_examples": "by their numbers of training examples, as in the paper",
    "uniform": "all alike",
}


def build(name: str) -> "tff.learning.ClientWeighting":
    """TFF's weighting of that name."""
    import tensorflow_federated as tff

    return tff.learning.ClientWeighting[name.upper()]
