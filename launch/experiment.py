"""From the options of a run to what it consists of."""

import dataclasses
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import tasks
from launch import evaluation
from launch.options import RunOptions

if TYPE_CHECKING:
    from tff_gs.learning import sparsified_fed_sgd


@dataclasses.dataclass(frozen=True, eq=False)
class Experiment:
    """What a run consists of.

    Attributes:
      task: The clients' data and the test data.
      process: Initialize, initialize clients, next.
      evaluate: From a server state to its test accuracy and loss.
    """

    task: tasks.Task
    process: "sparsified_fed_sgd.SparsifiedFedSgd"
    evaluate: Callable[[Any], evaluation.Evaluation]

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
    # The data first: what is wrong with them shows before the long import.
    task = tasks.build(options.task, options.task_options)

    from tff_gs.controllers import registry as controllers
    from tff_gs.costs import registry as costs
    from tff_gs.encoders import message_encoder
    from tff_gs.learning import sparsified_fed_sgd
    from tff_gs.sparsifiers import registry as sparsifiers

    training = options.training
    model = task.build_model(training.seed)

    def encoder(index: str, value: str) -> Callable[..., Any]:
        return functools.partial(message_encoder.build_encoder, index, value)

    process = sparsified_fed_sgd.build_sparsified_fed_sgd(
        model,
        sparsifier=functools.partial(
            sparsifiers.build_sparsifier, options.method.sparsifier
        ),
        controller=lambda dimension: controllers.build_controller(
            options.controller, dimension, options.controller_options
        ),
        cost=lambda dimension: costs.build_cost(
            options.cost, dimension, len(task.clients), options.cost_options
        ),
        uplink_encoder=encoder(*options.method.uplink_encoder),
        downlink_encoder=encoder(*options.method.downlink_encoder),
        probe_encoder=encoder(options.method.downlink_encoder.index, "float32"),
        learning_rate=training.learning_rate,
        batch_size=training.batch_size,
        probe_examples=training.probe_examples,
        seed=training.seed,
    )
    evaluate = evaluation.build_evaluate(model, process.objective, task.test)
    return Experiment(task, process, evaluate)
