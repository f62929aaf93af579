"""Iterative processes over sparse messages."""

from tff_gs.learning.objective import Objective, build_objective
from tff_gs.learning.sparsified_fed_sgd import (
    Clients,
    RoundOutput,
    ServerState,
    SparsifiedFedSgd,
    build_sparsified_fed_sgd,
)

__all__ = [
    "Clients",
    "Objective",
    "RoundOutput",
    "ServerState",
    "SparsifiedFedSgd",
    "build_objective",
    "build_sparsified_fed_sgd",
]
