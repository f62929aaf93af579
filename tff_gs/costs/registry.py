"""From a model's name to the model of time."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tff_gs.costs import cost, links, names, normalised
from tff_gs.costs import options as options_lib


def _normalised(
    dimension: int,
    num_clients: int,
    *,
    seed: int = 0,
    **options: Any,
) -> cost.Cost:
    del num_clients, seed
    return normalised.NormalisedTime(dimension, **options)


def _links(
    dimension: int,
    num_clients: int,
    *,
    links_file: str | None = None,
    seed: int = 0,
    batch_size: int = 32,
    probe_examples: int = 1,
    **medians: float,
) -> cost.Cost:
    del dimension
    if links_file is None:
        table = links.draw_links(num_clients, seed=seed, **medians)
    elif medians:
        raise ValueError(
            f"Expected either links_file or {', '.join(medians)}, found both."
        )
    else:
        table = links.read_links(links_file, num_clients)
    return links.LinkTime(table, batch_size=batch_size, probe_examples=probe_examples)


# A builder takes D, the number of clients and, keyword-only, options by their names
# in CostOptions.
BUILDERS: Mapping[str, Callable[..., cost.Cost]] = {
    "normalised": _normalised,
    "links": _links,
}

_OF_THE_RUN = ("batch_size", "probe_examples", "seed")


def _keywords(function: Callable[..., Any]) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.kind is p.KEYWORD_ONLY}


_OPTIONS: Mapping[str, set[str]] = {
    "normalised": _keywords(normalised.NormalisedTime),
    "links": {"links_file"} | _keywords(links.draw_links),
}


def build_cost(
    name: str,
    dimension: int,
    num_clients: int,
    options: options_lib.CostOptions | None = None,
) -> cost.Cost:
    """Builds the model of time called `name`.

    Args:
      name: A name in `names.COSTS`.
      dimension: D, the number of weights.
      num_clients: Clients that may take part; ids are below it.
      options: The model's options.

    Raises:
      ValueError: If the name is unknown, or an option that was given is not one of
        the model's or is outside its range.
    """
    if name not in BUILDERS:
        raise ValueError(
            f"Expected a cost among {', '.join(names.COSTS)}, found {name!r}."
        )
    given = (options or options_lib.CostOptions()).given()
    own = sorted(_OPTIONS[name] - set(_OF_THE_RUN))
    for option in given:
        if option not in own and option not in _OF_THE_RUN:
            raise ValueError(
                f"Expected for cost {name!r} only its options ({', '.join(own)}), "
                f"found {option}."
            )
    return BUILDERS[name](dimension, num_clients, **given)
