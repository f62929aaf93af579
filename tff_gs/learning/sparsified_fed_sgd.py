"""Federated SGD over sparse messages.

Han, Wang, Leung, ICDCS 2020, Algorithms 1 to 3: in a round every client contributes
one minibatch gradient at w(m-1), and all take the step w(m) = w(m-1) - eta b. The
paper's own parts are `sparsifier=FabTopK()` and `controller=SignDescent()`; the
defaults are `FabConsensus()` and `Waiting()`.
"""

from typing import Any

import tensorflow_federated as tff

from tff_gs.exchange import server_update
from tff_gs.learning import local_work, sparsified_process
from tff_gs.learning import objective as objective_lib


def build_sparsified_fed_sgd(
    model: objective_lib.Model,
    *,
    learning_rate: float = 0.01,
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
      model: A `tff.learning.models.FunctionalModel`, or a function without arguments
        that builds a `tff.learning.models.VariableModel`.
      learning_rate: eta, positive.
      server_optimizer: Takes the steps instead, at the server and at every replica;
        `learning_rate` is then not used.
      batch_size: Examples of a minibatch; a client with fewer uses all it has.
      probe_examples: Random examples of its minibatch on which a client evaluates
        the probe losses; the paper's 1.
      client_weighting: Whether clients weigh by their numbers of examples, as in the
        paper, or all alike.
      **options: As of `build_sparsified_process`: `cost`, `sparsifier`, `controller`,
        the encoders, `participation` and `seed`.

    Raises:
      ValueError: If an argument is outside its range.
    """
    return sparsified_process.build_sparsified_process(
        model,
        work=local_work.MinibatchGradient(
            batch_size=batch_size,
            probe_examples=probe_examples,
            client_weighting=client_weighting,
        ),
        update=server_update.build_update(
            learning_rate=learning_rate,
            optimizer=server_optimizer,
        ),
        **options,
    )
