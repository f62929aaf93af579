"""The tasks by name. Light to import: what is heavy is imported when data are read."""

import re
from typing import Any

from typing_extensions import override

from tasks import cifar10, cifar100, digits, emnist, femnist
from tasks.task import Task
from tff_gs.registry import Registry

# What columns and flags can say.
_METRIC = re.compile(r"[a-z][a-z0-9_]*")


class TaskRegistry(Registry[Task]):
    """Tasks, whose metrics of one name are alike."""

    @override
    def _check(self, name: str, part: Any) -> None:
        super()._check(name, part)
        measures = part.measures()
        names = [measure.name for measure in measures]
        for measure in measures:
            if not _METRIC.fullmatch(measure.name):
                raise ValueError(
                    f"Expected as a metric of {self.kind} {name!r} a name of small "
                    f"letters, digits and _, found {measure.name!r}."
                )
            if names.count(measure.name) > 1:
                raise ValueError(
                    f"Expected metrics of {self.kind} {name!r}, each of its own name, "
                    f"beside the loss, found {measure.name} twice."
                )
            for other, task in self.items():
                self._check_alike(name, measure, other, task)

    def _check_alike(self, name: str, measure: Any, other: str, task: Any) -> None:
        for known in task.measures():
            if known.name == measure.name and _kind(known) != _kind(measure):
                raise ValueError(
                    f"Expected the metric {measure.name} of {self.kind} {name!r} to be "
                    f"as of {self.kind} {other!r} (larger_is_better, is_share: "
                    f"{_kind(known)}), found {_kind(measure)}."
                )


def _kind(measure: Any) -> tuple[bool, bool]:
    return measure.larger_is_better, measure.is_share


#: From a task's name to its class, which says its options and its line of help.
TASKS: TaskRegistry = TaskRegistry(
    "task",
    Task,
    {
        "digits": digits.Digits,
        "femnist": femnist.Femnist,
        "cifar10": cifar10.Cifar10,
        "emnist": emnist.Emnist,
        "cifar100": cifar100.Cifar100,
    },
)
