"""Tasks: clients' data, test data and models. Importing this imports no TensorFlow."""

from tasks.metric import ACCURACY, LOSS, Metric
from tasks.registry import TASKS
from tasks.task import (
    ClassificationTask,
    ClientData,
    DataError,
    Defaults,
    Task,
    TaskData,
)

__all__ = [
    "ACCURACY",
    "LOSS",
    "TASKS",
    "ClassificationTask",
    "ClientData",
    "DataError",
    "Defaults",
    "Metric",
    "Task",
    "TaskData",
]
