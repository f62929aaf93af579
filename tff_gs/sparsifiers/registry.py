"""From a sparsifier's name to the sparsifier."""

from collections.abc import Callable, Mapping

from tff_gs.sparsifiers import (
    fab_top_k,
    fub_top_k,
    gtop_k,
    names,
    periodic_k,
    random_k,
    send_all,
    sparsifier,
    unidirectional_top_k,
)

# A builder takes, keyword-only, `dimension` and `probes`.
BUILDERS: Mapping[str, Callable[..., sparsifier.Sparsifier]] = {
    "fab_top_k": fab_top_k.FabTopK,
    "fub_top_k": fub_top_k.FubTopK,
    "unidirectional_top_k": unidirectional_top_k.UnidirectionalTopK,
    "gtop_k": gtop_k.GTopK,
    "periodic_k": periodic_k.PeriodicK,
    "random_k": random_k.RandomK,
    "send_all": send_all.SendAll,
}


def build_sparsifier(
    name: str, *, dimension: int, probes: bool
) -> sparsifier.Sparsifier:
    """Builds the sparsifier called `name`.

    Args:
      name: A name in `names.SPARSIFIERS`.
      dimension: D, the number of weights.
      probes: Whether the selection at k' is wanted too.

    Raises:
      ValueError: If the name is unknown or the dimension below 1.
    """
    if name not in BUILDERS:
        raise ValueError(
            f"Expected a sparsifier among {', '.join(names.SPARSIFIERS)}, "
            f"found {name!r}."
        )
    return BUILDERS[name](dimension=dimension, probes=probes)
