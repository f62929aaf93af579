"""Iterative processes over sparse messages."""

from typing import TYPE_CHECKING

from tff_gs import _lazy

if TYPE_CHECKING:
    from tff_gs.exchange.catch_up import PartialParticipation as PartialParticipation
    from tff_gs.learning.client_data import (
        ClientsData as ClientsData,
        check_client_ids as check_client_ids,
        check_data as check_data,
        clients_from_client_data as clients_from_client_data,
    )
    from tff_gs.learning.federated_evaluation import (
        accuracy as accuracy,
        build_federated_evaluation as build_federated_evaluation,
        with_metrics as with_metrics,
    )
    from tff_gs.learning.local_work import (
        LocalUpdates as LocalUpdates,
        LocalWork as LocalWork,
        MinibatchGradient as MinibatchGradient,
    )
    from tff_gs.learning.objective import (
        Model as Model,
        Objective as Objective,
        build_objective as build_objective,
    )
    from tff_gs.learning.round_metrics import describe_refusals as describe_refusals
    from tff_gs.learning.sparsified_fed_avg import (
        build_sparsified_fed_avg as build_sparsified_fed_avg,
    )
    from tff_gs.learning.sparsified_fed_sgd import (
        build_sparsified_fed_sgd as build_sparsified_fed_sgd,
    )
    from tff_gs.learning.sparsified_process import (
        Clients as Clients,
        InitializeOutput as InitializeOutput,
        RoundOutput as RoundOutput,
        SparsifiedProcess as SparsifiedProcess,
        build_sparsified_process as build_sparsified_process,
    )
    from tff_gs.learning.training_round import ServerState as ServerState
else:
    __getattr__, __dir__, __all__ = _lazy.exports(__name__)
