"""The rounds of a run."""

import asyncio
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from launch import experiment as experiment_lib
from launch import (
    interruption,
    populations,
    progress,
    recorder,
    run_directory,
    targets,
)
from launch.options import ParticipationOptions, TrainingOptions

if TYPE_CHECKING:
    from tff_gs import programs


class Ending(NamedTuple):
    """How a run ended.

    Attributes:
      exit_code: The program's exit code; 0 where the run is complete.
      sentence: What went wrong, or "".
    """

    exit_code: int
    sentence: str


class Result(NamedTuple):
    """What a run came to.

    Attributes:
      ending: How it ended.
      initial_bits: The size of the dense download of each client before the first
        round; 0 where clients begin later.
      seconds: Wall-clock time of the rounds and evaluations that this program ran.
      resumed_from: The round that it went on from; 0 where it began anew.
    """

    ending: Ending
    initial_bits: int
    seconds: float
    resumed_from: int = 0


def run(
    experiment: experiment_lib.Experiment,
    options: TrainingOptions,
    record: recorder.Recorder,
    show: progress.Progress,
    directory: run_directory.RunDirectory,
    *,
    participation: ParticipationOptions,
    checkpoint_every: int = 0,
    resumed: bool = False,
) -> Result:
    """Runs rounds until they are enough, or the loss is not finite, or Ctrl-C.

    They are enough when a limit or the targets are reached.

    Args:
      experiment: What to run.
      options: For how long.
      record: Writes down every round.
      show: Shows every round.
      directory: Where checkpoints go.
      participation: Who takes part in a round.
      checkpoint_every: Rounds between two checkpoints; 0: none is written.
      resumed: Whether the run goes on from its last checkpoint.

    Raises:
      ValueError: If the checkpoint is damaged, or is not of this experiment.
    """
    from tff_gs import programs
    from tff_gs.runtime import resident

    manager = None
    if checkpoint_every or resumed:
        directory.remove_broken_checkpoints()
        manager = _checkpoint_manager(directory)
    with (
        interruption.deferred() as interrupted,
        resident.execution_context() as runtime,
        populations.build(
            populations.Setting(
                experiment,
                participation,
                options.seed,
                populations.states_file(participation, directory),
                runtime,
            )
        ) as population,
    ):

        def should_stop() -> "programs.Stop | None":
            row = record.rows[-1] if record.rows else None
            if row is not None and not math.isfinite(row["training_loss"]):
                return programs.Stop.FAILED
            if row is not None and _is_enough(row, options):
                return programs.Stop.COMPLETE
            return programs.Stop.PAUSED if interrupted() else None

        output = asyncio.run(
            programs.train_model(
                population=population,
                is_last_round=lambda metrics: _is_last(metrics, options),
                should_stop=should_stop,
                evaluation=experiment.evaluate,
                evaluation_periodicity=options.eval_every,
                metrics_managers=[programs.RecordReleaseManager(_Rounds(record, show))],
                program_state_manager=manager,
                program_state_periodicity=checkpoint_every,
            )
        )
        ending = _ending(output, record, options, directory)
        return Result(ending, output.initial_bits, output.seconds, output.resumed_from)


class _Rounds:
    """A record that is shown as well."""

    def __init__(self, record: recorder.Recorder, show: progress.Progress) -> None:
        self._record, self._show = record, show

    async def record(self, value: Any, key: int) -> None:
        await self._record.record(value, key)
        self._show.update(self._record.rows[-1])

    def state(self) -> Any:
        return self._record.state()

    async def rewind(self, state: Any, key: int) -> None:
        await self._record.rewind(state, key)
        self._show.resume(self._record.rows)


def _checkpoint_manager(directory: run_directory.RunDirectory) -> Any:
    import tensorflow_federated as tff

    # One at a time: it is as large as all clients' states.
    return tff.program.FileProgramStateManager(
        directory.checkpoints,
        prefix=run_directory.CHECKPOINT_PREFIX,
        keep_total=1,
        keep_first=False,
    )


def _is_last(row: Mapping[str, Any], options: TrainingOptions) -> bool:
    """Whether a limit is reached with a round, by its metrics or row."""
    if not math.isfinite(row["training_loss"]):
        return False
    if options.rounds is not None and row["round"] >= options.rounds:
        return True
    return options.time_budget is not None and row["time"] >= options.time_budget


def _is_enough(row: Mapping[str, Any], options: TrainingOptions) -> bool:
    if options.targets and targets.first_reached(options.targets, [row]):
        return True
    return _is_last(row, options)


def _ending(
    output: "programs.TrainOutput",
    record: recorder.Recorder,
    options: TrainingOptions,
    directory: run_directory.RunDirectory,
) -> Ending:
    from tff_gs import programs

    number = output.round_number
    if output.stop is programs.Stop.COMPLETE:
        return Ending(0, "")
    if output.stop is programs.Stop.FAILED:
        return Ending(
            1,
            f"The training loss is {record.rows[-1]['training_loss']} in round "
            f"{number} with learning_rate {options.learning_rate}: try a smaller one.",
        )
    resume = ""
    if directory.last_checkpoint() is not None:
        resume = f" Go on: python -m launch.train --resume={directory.path}"
    return Ending(130, f"Interrupted after round {number}.{resume}")
