"""Names of the rules for k, each with one line of help; imports no TensorFlow."""

from collections.abc import Mapping

CONTROLLERS: Mapping[str, str] = {
    "fixed": "the same k in every round",
    "sign": "sign descent with the shrinking interval (the paper's Algorithm 3)",
    "sign_fixed_interval": "sign descent with a fixed interval (its Algorithm 2)",
    "elasticity": "descent in log k, its slope bounded to what it can be",
    "log_sign": "sign descent with steps in log k",
    "value": "descent by the value of the estimated derivative",
    "exp3": "EXP3 bandit over a grid of k",
    "bandit": "continuous bandit with a one-point gradient estimate",
    "schedule": "k constant between given rounds",
    "replay": "the column k of an earlier run's CSV",
}
