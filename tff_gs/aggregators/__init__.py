"""Sparse aggregation for TFF's own algorithms, without client state.

Factories for `model_aggregator=` of `tff.learning.algorithms`, and for what TFF's own
factories wrap. docs/aggregators.md shows how to use them.
"""

from tff_gs.aggregators.shared_coordinates import (
    SharedCoordinatesState,
    periodic_k_factory,
    random_k_factory,
)
from tff_gs.aggregators.sparsified_mean import (
    SparsifiedMeanFactory,
    SparsifiedMeanState,
    SparsifiedSumFactory,
    UnweightedSparsifiedMeanFactory,
    fab_top_k_factory,
    fab_top_k_sum_factory,
    fub_top_k_factory,
    fub_top_k_sum_factory,
    top_k_factory,
    top_k_sum_factory,
)

__all__ = [
    "SharedCoordinatesState",
    "SparsifiedMeanFactory",
    "SparsifiedMeanState",
    "SparsifiedSumFactory",
    "UnweightedSparsifiedMeanFactory",
    "fab_top_k_factory",
    "fab_top_k_sum_factory",
    "fub_top_k_factory",
    "fub_top_k_sum_factory",
    "periodic_k_factory",
    "random_k_factory",
    "top_k_factory",
    "top_k_sum_factory",
]
