"""What a task is: clients' data, test data, a model and what is measured."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from tasks.metric import ACCURACY, LOSS, Metric
from tff_gs.configuration import Configuration

if TYPE_CHECKING:
    import tensorflow_federated as tff


class DataError(ValueError):
    """A data file is missing or is not what its format says; names the file."""


@dataclasses.dataclass(frozen=True, eq=False)
class ClientData:
    """The examples of one client.

    Attributes:
      name: The client's name, unique in its task.
      features: [n, ...], of the dtype that the model takes; of images float32
        [n, height, width, channels].
      labels: [n, ...] likewise; of a classifier int32 [n], each in [0, classes).
    """

    name: str
    features: np.ndarray
    labels: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class TaskData:
    """The data of a task.

    Attributes:
      clients: The clients, in the task's fixed order; each has examples.
      test: The examples that evaluations measure; its name is "test".
    """

    clients: tuple[ClientData, ...]
    test: ClientData


@dataclasses.dataclass(frozen=True, kw_only=True)
class Defaults:
    """Flags of a run whose defaults depend on the task.

    Attributes:
      learning_rate: eta. But for other tasks, that of Han, Wang, Leung, ICDCS 2020,
        section V.
      rounds: The most rounds, unless a time budget is given.
      eval_every: Rounds between two evaluations.
    """

    learning_rate: float = 0.01
    rounds: int = 500
    eval_every: int = 20


class Task(Configuration, abc.ABC):
    """A federated learning problem.

    A task is a class with options of its own, and its name in `TASKS`:

        @TASKS.register("line")
        class Line(Task):
            "Points near a line."

            clients: int = option(default=5, help="clients to make", at_least=1)
            metrics = (Metric("mae", lambda labels, outputs: abs(outputs - labels)),)
            ...

    Attributes:
      metrics: What evaluations measure beside the loss, the most important first.
      defaults: Flags of a run whose defaults depend on the task.
      loss_label: What the loss is, with its unit.
    """

    metrics: ClassVar[tuple[Metric, ...]] = ()
    defaults: ClassVar[Defaults] = Defaults()
    loss_label: ClassVar[str] = "loss"

    def check_files(self) -> None:
        """Looks whether the files that `load` reads are there; quick.

        Unless a task says otherwise: it reads none.

        Raises:
          DataError: If one is missing.
        """

    @abc.abstractmethod
    def load(self, *, seed: int = 0) -> TaskData:
        """Reads or makes the data.

        Args:
          seed: Fixes what is drawn, such as a partition.

        Raises:
          ValueError: In one sentence, if an option does not fit to the data.
          DataError: If a file is missing or malformed.
        """

    @abc.abstractmethod
    def build_model(self, seed: int) -> tff.learning.models.FunctionalModel:
        """The model; TensorFlow is imported here, not before.

        Args:
          seed: Draws the initial weights; equal seeds give equal weights to the bit.
        """

    @classmethod
    def measures(cls) -> tuple[Metric, ...]:
        """The metrics, and the loss."""
        return (*cls.metrics, LOSS)


class ClassificationTask(Task):
    """A task of telling classes apart; the model predicts logits."""

    metrics = (ACCURACY,)
    loss_label = "mean cross-entropy (nats)"


def as_test_data(clients: Sequence[ClientData]) -> ClientData:
    """The examples of all clients, in their order, as a task's test data."""
    return ClientData(
        "test",
        np.concatenate([client.features for client in clients]),
        np.concatenate([client.labels for client in clients]),
    )
