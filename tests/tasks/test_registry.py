import pytest

import tasks
from tests import fresh_python

_NAMES = ["digits", "femnist", "cifar10", "emnist", "cifar100"]


def test_names_and_summaries_agree():
    assert list(tasks.TASKS) == list(tasks.SUMMARIES) == _NAMES


def test_build_by_name():
    assert tasks.build("digits", tasks.TaskOptions()).name == "digits"
    with pytest.raises(ValueError, match=f"out of {', '.join(_NAMES)}, found 'x'"):
        tasks.build("x", tasks.TaskOptions())


def _imported(code, modules):
    code += f"; import sys; print(*[m for m in {modules!r} if m in sys.modules])"
    return fresh_python.printed(code).split()


def test_importing_the_tasks_is_light():
    heavy = ("tensorflow", "tensorflow_federated", "sklearn", "pandas", "jax", "tasks")
    assert _imported("import tasks.registry", heavy) == ["tasks"]


def test_data_need_no_tensorflow():
    code = "import tasks; tasks.build('digits', tasks.TaskOptions())"
    heavy = ("tensorflow", "tensorflow_federated", "jax", "sklearn")
    assert _imported(code, heavy) == ["sklearn"]
