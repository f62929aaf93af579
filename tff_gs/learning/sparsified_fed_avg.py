"""Federated averaging over sparse messages: FAB-top-k on local updates.

Every client takes some steps of an optimizer; what they change of the model goes into
its residual and through the same exchange as a gradient would. With the sparsifier
`send_all` and the default server step this is FedAvg (McMahan et al.,
"Communication-efficient learning of deep networks from decentralized data", AISTATS
2017).
"""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow_federated as tff

from tff_gs.costs import cost as cost_lib
from tff_gs.costs import normalised
from tff_gs.exchange import server_update
from tff_gs.learning import local_work, sparsified_process
from tff_gs.learning import objective as objective_lib


def build_sparsified_fed_avg(
    model: objective_lib.Model,
    *,
    client_optimizer: tff.learning.optimizers.Optimizer,
    local_steps: int,
    server_optimizer: tff.learning.optimizers.Optimizer | None = None,
    batch_size: int = 32,
    probe_examples: int = 1,
    cost: Callable[[int], cost_lib.Cost] | None = None,
    **options: Any,
) -> sparsified_process.SparsifiedProcess:
    """Builds the process.

    Args:
      model: See `build_sparsified_fed_sgd`.
      client_optimizer: Takes the local steps; begins anew in every round.
      local_steps: tau, steps of a round, each on a minibatch of its own.
      server_optimizer: Takes the step along the mean of the clients' changes, at the
        server and at every replica; by default w(m) = w(m-1) - b.
      batch_size: See `build_sparsified_fed_sgd`.
      probe_examples: Likewise.
      cost: How long a round takes; called with D. By default the paper's normalised
        time, in which a local step takes 1.
      **options: As of `build_sparsified_process`: `sparsifier`, `controller`, the
        encoders, `participation` and `seed`.

    Raises:
      ValueError: If an argument is outside its range.
    """
    if cost is None:
        cost = functools.partial(
            normalised.NormalisedTime,
            batch_size=batch_size,
            probe_examples=probe_examples,
            local_steps=local_steps,
        )
    if server_optimizer is None:
        update = functools.partial(server_update.SparseSgd, learning_rate=1.0)
    else:
        update = functools.partial(
            server_update.OptimizerUpdate, optimizer=server_optimizer
        )
    return sparsified_process.build_sparsified_process(
        model,
        work=functools.partial(
            local_work.LocalUpdates,
            optimizer=client_optimizer,
            steps=local_steps,
            batch_size=batch_size,
            probe_examples=probe_examples,
        ),
        update=update,
        cost=cost,
        **options,
    )
