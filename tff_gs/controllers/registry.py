"""The rules for k by name; imports no TensorFlow."""

from tff_gs.controllers import (
    continuous_bandit,
    elasticity_descent,
    exp3,
    fixed,
    log_sign_descent,
    replay,
    schedule,
    sign_descent,
    value_descent,
    waiting,
)
from tff_gs.controllers.controller import Controller
from tff_gs.registry import Registry

#: From a rule's name to its class, which says its options and its line of help.
CONTROLLERS: Registry = Registry(
    "controller",
    Controller,
    {
        "fixed": fixed.FixedK,
        "sign": sign_descent.SignDescent,
        "sign_fixed_interval": sign_descent.FixedIntervalSignDescent,
        "elasticity": elasticity_descent.ElasticityDescent,
        "log_sign": log_sign_descent.LogSignDescent,
        "waiting": waiting.Waiting,
        "value": value_descent.ValueDescent,
        "exp3": exp3.Exp3,
        "bandit": continuous_bandit.ContinuousBandit,
        "schedule": schedule.Schedule,
        "replay": replay.ReplayFile,
    },
)
