"""Federated averaging over sparse messages: FAB-top-k on local updates.

Every client takes some steps of an optimizer, or goes some times through its examples;
what that changes of the model goes into its residual and through the same exchange as
a gradient would. With the sparsifier `send_all` and the default server step this is
FedAvg (McMahan et al., "Communication-efficient learning of deep networks from
decentralized data", AISTATS 2017).
"""

from typing import Any

import tensorflow_federated as tff

from tff_gs.exchange import server_update
from tff_gs.learning import local_work, sparsified_process
from tff_gs.learning import objective as objective_lib


def build_sparsified_fed_avg(
    model: objective_lib.Model,
    *,
    client_optimizer: tff.learning.optimizers.Optimizer,
    local_steps: int | None = None,
    local_epochs: int | None = None,
    server_learning_rate: float = 1.0,
    server_optimizer: tff.learning.optimizers.Optimizer | None = None,
    batch_size: int = 32,
    probe_examples: int = 1,
    client_weighting: tff.learning.ClientWeighting = (
        tff.learning.ClientWeighting.NUM_EXAMPLES
    ),
    **options: Any,
) -> sparsified_process.SparsifiedProcess:
    """Builds the process.

    Args:
      model: See `build_sparsified_fed_sgd`.
      client_optimizer: Takes the local steps; begins again in every round.
      local_steps: tau, steps of a round, each on a minibatch of its own.
      local_epochs: Instead of `local_steps`: how often a client goes through its
        examples in a round, so tau differs from client to client.
      server_learning_rate: eta of the step along the mean of the clients' changes,
        w(m) = w(m-1) - eta b; positive.
      server_optimizer: Takes that step instead, at the server and at every replica;
        `server_learning_rate` is then not used.
      batch_size: See `build_sparsified_fed_sgd`.
      probe_examples: Likewise.
      client_weighting: Likewise.
      **options: As of `build_sparsified_process`: `cost`, `sparsifier`, `controller`,
        the encoders, `participation` and `seed`.

    Raises:
      ValueError: If an argument is outside its range, or not one of `local_steps` and
        `local_epochs` is given.
    """
    return sparsified_process.build_sparsified_process(
        model,
        work=local_work.LocalUpdates(
            optimizer=client_optimizer,
            steps=local_steps,
            epochs=local_epochs,
            batch_size=batch_size,
            probe_examples=probe_examples,
            client_weighting=client_weighting,
        ),
        update=server_update.build_update(
            learning_rate=server_learning_rate,
            optimizer=server_optimizer,
        ),
        **options,
    )
