"""Sparse broadcast for TFF's own algorithms: what `model_distributor=` takes."""

from tff_gs.distributors.count_rule import CountRule, EnergyShare
from tff_gs.distributors.sparse_broadcast import (
    SparseBroadcastState,
    build_sparse_broadcast_process,
)

__all__ = [
    "CountRule",
    "EnergyShare",
    "SparseBroadcastState",
    "build_sparse_broadcast_process",
]
