"""The rounds of a run."""

import math
import time
from typing import NamedTuple

from launch import experiment as experiment_lib
from launch import interruption, progress, recorder, targets
from launch.options import TrainingOptions


class Ending(NamedTuple):
    """How a run ended.

    Attributes:
      exit_code: The program's exit code; 0 where the run is complete.
      sentence: What went wrong, or "".
    """

    exit_code: int
    sentence: str


COMPLETE = Ending(0, "")


class Result(NamedTuple):
    """What a run came to.

    Attributes:
      ending: How it ended.
      initial_bits: The size of the dense download by which each client began.
      seconds: Wall-clock time of the rounds and evaluations.
    """

    ending: Ending
    initial_bits: int
    seconds: float


def run(
    experiment: experiment_lib.Experiment,
    options: TrainingOptions,
    record: recorder.Recorder,
    show: progress.Progress,
) -> Result:
    """Runs rounds until they are enough, or the loss is not finite, or Ctrl-C.

    They are enough when a limit or the targets are reached.

    Args:
      experiment: What to run.
      options: For how long.
      record: Writes down every round.
      show: Shows every round.
    """
    import tensorflow_federated as tff

    from tff_gs.runtime import resident

    process, clients_data = experiment.process, experiment.task.clients
    wanted = targets.wanted(loss=options.target_loss, accuracy=options.target_accuracy)
    with (
        interruption.deferred() as interrupted,
        resident.execution_context() as runtime,
    ):
        data = runtime.place(
            [(client.features, client.labels) for client in clients_data],
            tff.types.tensorflow_to_type(process.objective.input_spec),
        )
        state = process.initialize()
        clients, bits = process.initialize_clients(
            state, list(range(len(clients_data)))
        )
        begun = time.perf_counter()
        ending = None
        while ending is None:
            started = time.perf_counter()
            try:
                state, clients, metrics, timing = process.next(state, clients, data)
            except Exception:
                # Ctrl-C in a terminal reaches the worker process too.
                if not interrupted():
                    raise
                ending = _interrupted_after(len(record.rows))
                break
            ran = time.perf_counter()
            ending = _ending(metrics, options, interrupted())
            due = ending is COMPLETE or metrics["round"] % options.eval_every == 0
            evaluated = experiment.evaluate(state) if due else None
            row = record.record(
                metrics,
                evaluated,
                timing=timing,
                round_seconds=ran - started,
                evaluation_seconds=time.perf_counter() - ran,
            )
            show.update(row)
            if ending is None and wanted and targets.first_reached(wanted, [row]):
                ending = COMPLETE
        return Result(ending, int(bits), time.perf_counter() - begun)


def _ending(
    metrics: dict[str, float], options: TrainingOptions, interrupted: bool
) -> Ending | None:
    """How the run ends with the round that `metrics` is of; None where it goes on."""
    number, loss = int(metrics["round"]), float(metrics["training_loss"])
    if not math.isfinite(loss):
        return Ending(
            1,
            f"The training loss is {loss} in round {number} with learning_rate "
            f"{options.learning_rate}: try a smaller one.",
        )
    if options.rounds is not None and number >= options.rounds:
        return COMPLETE
    if options.time_budget is not None and metrics["time"] >= options.time_budget:
        return COMPLETE
    return _interrupted_after(number) if interrupted else None


def _interrupted_after(rounds: int) -> Ending:
    return Ending(130, f"Interrupted after round {rounds}.")
