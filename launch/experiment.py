"""From the options of a run to what it consists of."""

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tasks
from launch import evaluation, populations, run_directory
from launch.options import RunOptions, TrainingOptions, build_optimizer, build_weighting
from tff_gs.encoders.encoder import Encoder

if TYPE_CHECKING:
    import tensorflow_federated as tff

    from tff_gs import learning


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """What a run consists of.

    Attributes:
      task: What is learned.
      clients: The clients' data.
      process: Initialize, initialize clients, next.
      evaluate: From a server state to what the task measures of it.
      initial_weights: Those of a trained model to start from; None: the model's own.
    """

    task: tasks.Task
    clients: tuple[tasks.ClientData, ...]
    process: "learning.SparsifiedProcess"
    evaluate: Callable[[Any], evaluation.Evaluation]
    initial_weights: "tff.learning.models.ModelWeights | None" = None

    @property
    def dimension(self) -> int:
        """D, the number of weights."""
        return self.process.objective.dimension


def build(options: RunOptions) -> Experiment:
    """Builds the experiment.

    Raises:
      ValueError: In one sentence, if options do not fit together or to the model,
        or the data are missing or malformed.
    """
    training, task = options.training, options.task
    # What can be wrong without it shows before the long import.
    if training.init_from is not None and not options.resumed:
        run_directory.RunDirectory(training.init_from).check_model()
    data = task.load(seed=training.seed)
    populations.check_clients(options.participation, len(data.clients))

    from tff_gs import learning

    model = task.build_model(training.seed)
    participation = None
    if options.participation.clients_per_round is not None:
        participation = learning.PartialParticipation()

    process = _builder(training)(
        model,
        controller=options.controller,
        cost=options.cost,
        sparsifier=options.method.sparsifier,
        uplink_encoder=options.method.uplink_encoder,
        downlink_encoder=options.method.downlink_encoder,
        probe_encoder=Encoder(options.method.downlink_encoder.index, "float32"),
        batch_size=training.batch_size,
        probe_examples=training.probe_examples,
        client_weighting=build_weighting(training.client_weighting),
        participation=participation,
        rounds=training.rounds,
        num_clients=len(data.clients),
        seed=training.seed,
    )
    evaluate = evaluation.build_evaluate(
        model, process.objective, data.test, task.metrics
    )
    return Experiment(
        task, data.clients, process, evaluate, _initial_weights(options, model)
    )


def _initial_weights(
    options: RunOptions, model: "tff.learning.models.FunctionalModel"
) -> "tff.learning.models.ModelWeights | None":
    """Those of `init_from`; a run that is resumed has others by now."""
    source = options.training.init_from
    if source is None or options.resumed:
        return None
    import tensorflow_federated as tff

    from tff_gs import programs

    return programs.load_model_weights(
        run_directory.RunDirectory(source).weights,
        like=tff.learning.models.ModelWeights(*model.initial_weights),
    )


def _builder(
    training: TrainingOptions,
) -> Callable[..., "learning.SparsifiedProcess"]:
    """Federated SGD, or local updates, with the optimizers of both sides."""
    from tff_gs import learning

    locally = training.updates_locally
    server_rate = training.server_learning_rate
    if server_rate is None:
        server_rate = 1.0 if locally else training.learning_rate
    server = None
    if training.server_optimizer is not None:
        server = build_optimizer(training.server_optimizer, server_rate)
    if locally:
        return functools.partial(
            learning.build_sparsified_fed_avg,
            client_optimizer=build_optimizer(
                training.client_optimizer or "sgd", training.learning_rate
            ),
            local_steps=training.local_steps,
            local_epochs=training.local_epochs,
            server_learning_rate=server_rate,
            server_optimizer=server,
        )
    if training.client_optimizer is not None:
        raise ValueError(
            "Expected local_epochs, or local_steps above 1, with client_optimizer, "
            f"found 1 local step and {training.client_optimizer!r}."
        )
    return functools.partial(
        learning.build_sparsified_fed_sgd,
        learning_rate=server_rate,
        server_optimizer=server,
    )
