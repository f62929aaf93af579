"""From a rule's name to the rule."""

import functools
import inspect
from collections.abc import Callable, Mapping

from tff_gs.controllers import (
    continuous_bandit,
    controller,
    elasticity_descent,
    exp3,
    fixed,
    log_sign_descent,
    names,
    replay,
    schedule,
    sign_descent,
    value_descent,
)
from tff_gs.controllers import options as options_lib


def _replay(
    dimension: int, *, replay_file: str, rounds: int | None = None
) -> controller.Controller:
    sequence = replay.read_sequence(replay_file)
    return replay.Replay(dimension, sequence=sequence, rounds=rounds)


# A builder takes D and, keyword-only, options by their names in ControllerOptions;
# `horizon` is its `rounds`.
BUILDERS: Mapping[str, Callable[..., controller.Controller]] = {
    "fixed": fixed.FixedK,
    "sign": functools.partial(sign_descent.SignDescent, shrink=True),
    "sign_fixed_interval": functools.partial(sign_descent.SignDescent, shrink=False),
    "elasticity": elasticity_descent.ElasticityDescent,
    "log_sign": log_sign_descent.LogSignDescent,
    "value": value_descent.ValueDescent,
    "exp3": exp3.Exp3,
    "bandit": continuous_bandit.ContinuousBandit,
    "schedule": schedule.Schedule,
    "replay": _replay,
}

_OF_THE_RUN = ("rounds", "seed")
# Algorithm 2 has no use for what only shrinks the interval.
_UNUSED = {"sign_fixed_interval": ("alpha", "window")}


def build_controller(
    name: str,
    dimension: int,
    options: options_lib.ControllerOptions | None = None,
) -> controller.Controller:
    """Builds the rule called `name` for a model of `dimension` weights.

    Raises:
      ValueError: If the name is unknown, an option that was given is not one of
        the rule's or is outside its range, or one that the rule needs is missing.
    """
    if name not in BUILDERS:
        raise ValueError(
            f"Expected a controller among {', '.join(names.CONTROLLERS)}, "
            f"found {name!r}."
        )
    builder = BUILDERS[name]
    parameters = {
        p.name: p
        for p in inspect.signature(builder).parameters.values()
        if p.kind is p.KEYWORD_ONLY and p.name not in ("shrink", *_UNUSED.get(name, ()))
    }
    given = (options or options_lib.ControllerOptions()).given()
    if "horizon" in parameters and "rounds" in given:
        given["horizon"] = given["rounds"]
    for option in _OF_THE_RUN:
        if option not in parameters:
            given.pop(option, None)
    own = [p for p in parameters if p not in (*_OF_THE_RUN, "horizon")]
    for option in given:
        if option not in parameters:
            raise ValueError(
                f"Expected for controller {name!r} only its options "
                f"({', '.join(own)}), found {option}."
            )
    for option, parameter in parameters.items():
        if parameter.default is parameter.empty and option not in given:
            raise ValueError(f"Expected {option} for controller {name!r}, found none.")
    return builder(dimension, **given)
