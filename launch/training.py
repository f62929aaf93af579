"""The rounds of a run."""

import asyncio
import dataclasses
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from absl import logging

from launch import experiment as experiment_lib
from launch import (
    interruption,
    losses,
    populations,
    progress,
    recorder,
    run_directory,
    targets,
)
from launch.options import ParticipationOptions, TrainingOptions, WorkerOptions

if TYPE_CHECKING:
    from tff_gs import programs

# Rounds in a row in which no client's work can be used, after which a run ends.
_LOST_ROUNDS = 5
# A checkpoint may cost a while; what is lost without one costs more.
_CHECKPOINT_SECONDS = 600.0
_SHOWN_CLIENTS = 10


class Ending(NamedTuple):
    """How a run ended.

    Attributes:
      exit_code: The program's exit code; 0 if the run is complete.
      sentence: What went wrong, or "".
    """

    exit_code: int
    sentence: str


class Result(NamedTuple):
    """What a run came to.

    Attributes:
      ending: How it ended.
      initial_bits: The size of the dense download of each client before the first
        round; 0 if clients begin later.
      seconds: Wall-clock time of the rounds and evaluations that this program ran.
      resumed_from: The round that it went on from; 0 if it began from the start.
      state: `tff_gs.learning.ServerState` after the last round.
    """

    ending: Ending
    initial_bits: int
    seconds: float
    resumed_from: int = 0
    state: Any = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a run is, beside its experiment.

    Attributes:
      training: For how long.
      participation: Who takes part in a round.
      machines: Where it is computed.
      directory: Where checkpoints go.
      notes: What is kept with a checkpoint; see `RunDirectory.saved_notes`.
      checkpoint_every: Rounds between two checkpoints; 0: none is written.
      resumed: Whether the run goes on from its last checkpoint.
    """

    training: TrainingOptions
    participation: ParticipationOptions
    machines: WorkerOptions
    directory: run_directory.RunDirectory
    notes: Mapping[str, Any]
    checkpoint_every: int = 0
    resumed: bool = False


def run(
    experiment: experiment_lib.Experiment,
    plan: Plan,
    record: recorder.Recorder,
    show: progress.Progress,
) -> Result:
    """Runs rounds until they are enough, or come to nothing, or a signal ends them.

    They are enough when a limit or the targets are reached. If a worker is lost, the
    run goes on from its last checkpoint with the others; see `Losses`.

    Args:
      experiment: What to run.
      plan: How.
      record: Writes down every round.
      show: Shows every round.

    Raises:
      tff_gs.programs.ProgramStateError: If no checkpoint can be used.
      tff_gs.runtime.WorkerLostError: If a worker is lost, and the run cannot go on.
      OSError: If a file cannot be written.
    """
    from tff_gs import runtime

    left = losses.Losses(plan.machines.workers)
    with interruption.deferred() as interrupted:
        while True:
            try:
                output = _attempt(experiment, plan, record, show, interrupted, left)
                ending = _ending(output, record, plan, interrupted())
                return Result(
                    ending,
                    output.initial_bits,
                    output.seconds,
                    output.resumed_from,
                    output.state,
                )
            except runtime.WorkerLostError as error:
                reached = len(record.rows)
                told = f"{error} That was in round {reached + 1}"
                can_go_on = left.leave_any(error, reached) and not interrupted()
                if not can_go_on or not _prepare(plan, reached):
                    raise runtime.WorkerLostError(f"{told}.", error.address) from error
                logging.warning("%s; %s.", told, left.describe_next())


def _prepare(plan: Plan, reached: int) -> bool:
    """Whether a run that has reached a round can be started again."""
    if plan.directory.last_checkpoint() is not None:
        return True
    if not reached:
        # What was written in the round that is run again.
        states = populations.states_file(plan.participation, plan.directory)
        states.unlink(missing_ok=True)
    return not reached


def _attempt(
    experiment: experiment_lib.Experiment,
    plan: Plan,
    record: recorder.Recorder,
    show: progress.Progress,
    interrupted: Callable[[], int | None],
    left: losses.Losses,
) -> "programs.TrainOutput":
    """Runs rounds, from the last checkpoint on if there is one."""
    from tff_gs import programs, runtime

    options = plan.training
    with (
        runtime.execution_context(
            workers=left.workers or None,
            certificate=plan.machines.certificate,
            patience=plan.machines.worker_patience,
            needs_all=left.needs_all,
        ),
        populations.build(
            experiment.process,
            experiment.clients,
            plan.participation,
            seed=options.seed,
            file=populations.states_file(plan.participation, plan.directory),
        ) as population,
    ):
        return asyncio.run(
            programs.train_model(
                population=population,
                initial_weights=experiment.initial_weights,
                is_last_round=lambda metrics: _is_last(metrics, options),
                should_stop=lambda: _why_to_stop(record.rows, options, interrupted()),
                evaluation=experiment.evaluate,
                evaluation_periodicity=options.eval_every,
                metrics_managers=[programs.RecordReleaseManager(_Rounds(record, show))],
                program_state_manager=_checkpoint_manager(plan),
                program_state_periodicity=plan.checkpoint_every,
                program_state_seconds=_CHECKPOINT_SECONDS,
            )
        )


def _why_to_stop(
    rows: Sequence[Mapping[str, Any]],
    options: TrainingOptions,
    interrupted: int | None,
) -> "programs.Stop | None":
    """Why no round follows those that were run; None: one does."""
    from tff_gs import programs

    if rows:
        lost = _lost_rounds(rows)
        enough = _is_enough(rows[-1], options)
        if lost >= _LOST_ROUNDS or (lost and enough):
            return programs.Stop.FAILED
        if enough:
            return programs.Stop.COMPLETE
    return programs.Stop.PAUSED if interrupted else None


class _Rounds:
    """A record that is shown as well."""

    def __init__(self, record: recorder.Recorder, show: progress.Progress) -> None:
        self._record, self._show = record, show
        self._told: set[str] = set()

    async def record(self, value: Any, key: int) -> None:
        await self._record.record(value, key)
        self._show.update(self._record.rows[-1])
        self._tell_refusals(value.train, key)

    def _tell_refusals(self, metrics: Mapping[str, Any], key: int) -> None:
        """Says whose message or work did not count, each once."""
        from tff_gs import learning

        for sentence in learning.describe_refusals(metrics):
            if sentence not in self._told:
                self._told.add(sentence)
                logging.warning("Round %d: %s", key, sentence)

    def state(self) -> Any:
        return self._record.state()

    async def rewind(self, state: Any, key: int) -> None:
        await self._record.rewind(state, key)
        self._show.resume(self._record.rows)


def _checkpoint_manager(plan: Plan) -> "programs.CheckpointManager | None":
    from tff_gs import programs

    if not plan.checkpoint_every and not plan.resumed:
        return None
    plan.directory.remove_leftovers()
    return programs.CheckpointManager(
        plan.directory.checkpoints,
        prefix=run_directory.CHECKPOINT_PREFIX,
        notes=dict(plan.notes),
    )


def _lost_rounds(rows: Sequence[Mapping[str, Any]]) -> int:
    """How many rounds at the end there are in which no client's work could be used."""
    used = (number for number, row in enumerate(reversed(rows)) if not _is_lost(row))
    return next(used, len(rows))


def _is_lost(row: Mapping[str, Any]) -> bool:
    return row["non_finite"] == row["clients"]


def _is_last(row: Mapping[str, Any], options: TrainingOptions) -> bool:
    """Whether a limit is reached with a round, by its metrics or row."""
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
    plan: Plan,
    interrupted: int | None,
) -> Ending:
    from tff_gs import programs

    number = output.round_number
    if output.stop is programs.Stop.COMPLETE:
        return Ending(0, "")
    if output.stop is programs.Stop.FAILED:
        return Ending(1, _why_nothing_came(record, plan.training))
    return Ending(
        interruption.exit_code(interrupted or signal.SIGINT),
        f"Interrupted after round {number}.{plan.directory.resume_hint()}",
    )


def _why_nothing_came(record: recorder.Recorder, options: TrainingOptions) -> str:
    count, last = _lost_rounds(record.rows), record.rows[-1]["round"]
    ids = [str(client) for client in sorted(record.last_ids.tolist())]
    more = ", ..." if len(ids) > _SHOWN_CLIENTS else ""
    rounds = f"rounds {last - count + 1} to {last}" if count > 1 else f"round {last}"
    return (
        f"In {rounds} the work of all clients was not finite, in the last one of "
        f"{len(ids)} clients ({', '.join(ids[:_SHOWN_CLIENTS])}{more}), with "
        f"learning_rate {options.learning_rate}: try a smaller one."
    )
