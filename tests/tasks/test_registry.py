import pytest

import tasks
from tasks.metric import Metric
from tasks.registry import TaskRegistry
from tests import fresh_python

_NAMES = ["digits", "femnist", "cifar10", "emnist", "cifar100"]


def test_names_and_summaries():
    assert list(tasks.TASKS) == _NAMES
    assert all(tasks.TASKS.summaries.values())
    assert {task.measures() for task in tasks.TASKS.values()} == {
        (tasks.ACCURACY, tasks.LOSS)
    }


def test_build_by_name():
    assert tasks.TASKS.build("digits", {"clients": 3}).clients == 3
    with pytest.raises(ValueError, match=r"cifar100, found 'digit': .* 'digits'\?$"):
        tasks.TASKS.build("digit")


def _task(*metrics):
    return type(
        "Own",
        (tasks.TASKS["digits"],),
        {"metrics": tuple(Metric(*metric) for metric in metrics)},
    )


@pytest.mark.parametrize(
    ("metrics", "sentence"),
    [
        ([("mae-1", abs)], "Expected as a metric of task 'own' .*, found 'mae-1'"),
        ([("loss", abs)], "metrics of task 'own', .* the loss, found loss twice"),
        ([("mae", abs), ("mae", abs)], "metrics .* of its own name, .* mae twice"),
        ([("accuracy", abs)], "metric accuracy of task 'own' .* as of task 'digits'"),
    ],
)
def test_metrics_that_do_not_fit_are_one_sentence(metrics, sentence):
    own = TaskRegistry("task", tasks.Task, {"digits": tasks.TASKS["digits"]})
    with pytest.raises(ValueError, match=sentence):
        own.register("own", _task(*metrics))
    own.register("own", _task(("accuracy", abs, True, True), ("mae", abs)))
    assert [measure.name for measure in own["own"].measures()] == [
        "accuracy",
        "mae",
        "loss",
    ]


def _imported(code, modules):
    code += f"; import sys; print(*[m for m in {modules!r} if m in sys.modules])"
    return fresh_python.printed(code).split()


def test_importing_the_tasks_is_light():
    heavy = ("tensorflow", "tensorflow_federated", "sklearn", "pandas", "jax", "tasks")
    assert _imported("import tasks.registry", heavy) == ["tasks"]


def test_data_need_no_tensorflow():
    code = "import tasks; tasks.TASKS['digits']().load()"
    heavy = ("tensorflow", "tensorflow_federated", "jax", "sklearn")
    assert _imported(code, heavy) == ["sklearn"]
