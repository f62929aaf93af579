"""Defaults that depend on the task, as data: flag to text, as a user would type it."""

from collections.abc import Mapping

# All but `digits`: the learning rate of Han, Wang, Leung, ICDCS 2020, section V.
PRESETS: Mapping[str, Mapping[str, str]] = {
    "digits": {"learning_rate": "0.2", "rounds": "250", "eval_every": "10"},
    "femnist": {"learning_rate": "0.01", "rounds": "500", "eval_every": "20"},
    "cifar10": {"learning_rate": "0.01", "rounds": "500", "eval_every": "20"},
    "emnist": {"learning_rate": "0.01", "rounds": "500", "eval_every": "20"},
    "cifar100": {"learning_rate": "0.01", "rounds": "500", "eval_every": "20"},
}
