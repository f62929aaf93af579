"""Tasks: clients' data, test data and models. Importing this imports no TensorFlow."""

from tasks.registry import SUMMARIES, TASKS, TaskBuilder, build
from tasks.task import ClientData, DataError, Task, TaskOptions

__all__ = [
    "SUMMARIES",
    "TASKS",
    "ClientData",
    "DataError",
    "Task",
    "TaskBuilder",
    "TaskOptions",
    "build",
]
