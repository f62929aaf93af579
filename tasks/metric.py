"""What an evaluation measures, beside the loss."""

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Metric:
    """A number for each test example; an evaluation reports the mean of all.

        Metric("mae", lambda labels, outputs: abs(outputs - labels))

    Attributes:
      name: Its name: `test_NAME` in metrics.csv, `--target_NAME` as a flag.
      of_examples: From the labels [n, ...] and the model's outputs [n, ...] of a batch
        to a number (or truth value) for each example, [n]; TensorFlow code.
      larger_is_better: Whether a target is reached from below.
      is_share: Whether it is in [0, 1], and shown in percent.
    """

    name: str
    of_examples: Callable[[Any, Any], Any]
    larger_is_better: bool = False
    is_share: bool = False

    @property
    def column(self) -> str:
        """The column of metrics.csv."""
        return f"test_{self.name}"

    def form(self, digits: int) -> str:
        """How a value is written, such as ".3f".

        Args:
          digits: After the point; of a share, two fewer, in percent.
        """
        return f".{digits - 2}%" if self.is_share else f".{digits}f"


def _accuracy(labels: Any, outputs: Any) -> Any:
    # Not before it is needed: this brings TensorFlow.
    from tff_gs import learning

    return learning.accuracy(labels, outputs)


#: Of classifiers: the share of the examples whose class is predicted.
ACCURACY = Metric("accuracy", _accuracy, larger_is_better=True, is_share=True)


def _loss(labels: Any, outputs: Any) -> Any:
    raise NotImplementedError("The model computes its loss, of a whole batch.")


#: Of all tasks: the mean of the model's own loss.
LOSS = Metric("loss", _loss)
