"""The tasks by name. Light to import: what is heavy is imported when one is built."""

from collections.abc import Callable

from tasks import cifar10, cifar100, digits, emnist, femnist
from tasks.task import Task, TaskOptions

TaskBuilder = Callable[[TaskOptions], Task]

TASKS: dict[str, TaskBuilder] = {
    "digits": digits.build,
    "femnist": femnist.build,
    "cifar10": cifar10.build,
    "emnist": emnist.build,
    "cifar100": cifar100.build,
}

SUMMARIES: dict[str, str] = {
    "digits": "handwritten digits, 8x8 pixels, bundled with scikit-learn (no download)",
    "femnist": "handwritten characters, a client per writer (LEAF JSON in data_dir)",
    "cifar10": "colour photographs of 10 kinds of things (binary batches in data_dir)",
    "emnist": "handwritten characters, a client per writer (TFF's federated EMNIST)",
    "cifar100": "colour photographs of 100 kinds of things (TFF's federated CIFAR-100)",
}


def build(name: str, options: TaskOptions) -> Task:
    """Builds the task called `name`; ValueError where there is none such."""
    if name not in TASKS:
        raise ValueError(f"Expected a task out of {', '.join(TASKS)}, found {name!r}.")
    return TASKS[name](options)
