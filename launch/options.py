"""What a run is built from: the flags as frozen options."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from launch.targets import Target
from tasks import Task
from tff_gs.controllers.controller import Controller
from tff_gs.costs.cost import Cost
from tff_gs.encoders.encoder import Encoder
from tff_gs.sparsifiers.sparsifier import Sparsifier

if TYPE_CHECKING:
    import tensorflow_federated as tff

OPTIMIZERS: Mapping[str, str] = {
    "sgd": "plain stochastic gradient descent",
    "momentum": "SGD with momentum 0.9",
    "adagrad": "Adagrad",
    "adam": "Adam",
    "yogi": "Yogi",
}


def build_optimizer(
    name: str, learning_rate: float
) -> "tff.learning.optimizers.Optimizer":
    """Builds the optimizer called `name`, a key of `OPTIMIZERS`."""
    from tensorflow_federated import learning

    builders = {
        "sgd": learning.optimizers.build_sgdm,
        "momentum": lambda rate: learning.optimizers.build_sgdm(rate, momentum=0.9),
        "adagrad": learning.optimizers.build_adagrad,
        "adam": learning.optimizers.build_adam,
        "yogi": learning.optimizers.build_yogi,
    }
    return builders[name](learning_rate)


# How clients weigh in the mean of their updates.
WEIGHTINGS: Mapping[str, str] = {
    "num_examples": "by their numbers of training examples, as in the paper",
    "uniform": "all alike",
}


def build_weighting(name: str) -> "tff.learning.ClientWeighting":
    """Builds TFF's weighting called `name`, a key of `WEIGHTINGS`."""
    import tensorflow_federated as tff

    return tff.learning.ClientWeighting[name.upper()]


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodOptions:
    """What is sent, and how it is written.

    Attributes:
      sparsifier: What clients send and what the server selects.
      uplink_encoder: How clients write their messages.
      downlink_encoder: How the server writes the update.
    """

    sparsifier: Sparsifier
    uplink_encoder: Encoder
    downlink_encoder: Encoder


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """How the model is trained, and for how long.

    Attributes:
      learning_rate: eta; of the local steps if clients send local updates.
      local_steps: tau; 1 or None: clients contribute one gradient each.
      local_epochs: Instead of local_steps: passes through a client's examples; None:
        local_steps counts.
      client_optimizer: Takes the local steps; a name in
        `launch.options.OPTIMIZERS`, None: plain SGD.
      server_optimizer: Takes the server's step; likewise.
      server_learning_rate: Of the server's step; None: eta if clients contribute
        gradients, 1 if they contribute local updates.
      batch_size: Examples of a client's minibatch.
      client_weighting: A name in `launch.options.WEIGHTINGS`.
      probe_examples: Examples on which a client evaluates the probe losses.
      rounds: The most rounds; None: as many as the time budget holds.
      time_budget: The run ends with the round that reaches this time, in the units
        of the model of time; None: no limit.
      targets: The run ends with the first evaluation that reaches all; if there are
        none, no evaluation ends it.
      eval_every: Rounds between two evaluations on the test data.
      seed: Fixes every random draw of the run.
      init_from: The directory of a run whose trained model this one starts from; None:
        the task's own.
    """

    learning_rate: float
    local_steps: int | None
    local_epochs: int | None
    client_optimizer: str | None
    server_optimizer: str | None
    server_learning_rate: float | None
    batch_size: int
    client_weighting: str
    probe_examples: int
    rounds: int | None
    time_budget: float | None
    targets: tuple[Target, ...]
    eval_every: int
    seed: int
    init_from: str | None = None

    @property
    def updates_locally(self) -> bool:
        """Whether clients contribute local updates, not one gradient each."""
        return self.local_epochs is not None or (self.local_steps or 1) > 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParticipationOptions:
    """Who takes part in a round, and where clients' states are between rounds.

    Attributes:
      clients_per_round: How many clients are drawn for each round; None: all take
        part in every round.
      client_store: A name in `launch.populations.STORES`; None: the best one.
      client_store_dir: The directory of a store on disk; None: that of the run.
    """

    clients_per_round: int | None
    client_store: str | None
    client_store_dir: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Where a run is computed; of no effect on its numbers.

    Attributes:
      workers: How many processes of this machine compute what clients do, or the
        addresses of workers that do; None or 0: one process computes everything.
      certificate: The file that workers at addresses were started with; None: none.
      worker_patience: Seconds after which a worker that does not answer is lost.
    """

    workers: int | tuple[str, ...] | None
    certificate: str | None
    worker_patience: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Everything that a run is built from.

    Attributes:
      task: What is learned.
      method: What is sent.
      controller: The rule for k.
      cost: The model of time.
      training: How the model is trained.
      participation: Who takes part in a round.
      machines: Where it is computed.
      output_dir: Where the results go.
      output_dir_given: Whether the user chose it; else another may be taken in its
        place.
      checkpoint_every: Rounds between two checkpoints; 0: none is written.
      resumed: Whether the run of output_dir goes on from its last checkpoint.
    """

    task: Task
    method: MethodOptions
    controller: Controller
    cost: Cost
    training: TrainingOptions
    participation: ParticipationOptions
    machines: WorkerOptions
    output_dir: str
    output_dir_given: bool
    checkpoint_every: int
    resumed: bool
