"""Iterative processes over sparse messages."""

from tff_gs.exchange.catch_up import PartialParticipation
from tff_gs.learning.federated_evaluation import (
    build_federated_evaluation,
    with_classification_metrics,
)
from tff_gs.learning.objective import Objective, build_objective
from tff_gs.learning.round_metrics import describe_refusals
from tff_gs.learning.sparsified_fed_avg import build_sparsified_fed_avg
from tff_gs.learning.sparsified_fed_sgd import build_sparsified_fed_sgd
from tff_gs.learning.sparsified_process import (
    Clients,
    Initialized,
    RoundOutput,
    ServerState,
    SparsifiedProcess,
    build_sparsified_process,
)

__all__ = [
    "Clients",
    "Initialized",
    "Objective",
    "PartialParticipation",
    "RoundOutput",
    "ServerState",
    "SparsifiedProcess",
    "build_federated_evaluation",
    "build_objective",
    "build_sparsified_fed_avg",
    "build_sparsified_fed_sgd",
    "build_sparsified_process",
    "describe_refusals",
    "with_classification_metrics",
]
