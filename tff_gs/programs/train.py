"""Program logic for training with client state.

It is organised as `tff.learning.programs.train_model` is: it goes on from the latest
saved program state if there is one, runs rounds, evaluates some of them, releases
their metrics and saves the program state. What differs, and why:

* The program state holds the states of all clients, which TFF's clients do not have,
  or says where they are kept. They are fetched from the runtime for that only, hence a
  period of saving.
* There are no `tff.program` data sources and value references: who takes part in a
  round, and where data and states are meanwhile, is the population's affair, and a
  call returns the values of the server. So any TFF execution context will do, the
  resident one of `tff_gs.runtime` or another; it need not be a
  `tff.program.FederatedContext`.
* A round is released, and if due evaluated and saved, before the next one begins.
  So a program that is killed has released all rounds that it completed.
* The initial state is not saved: it follows from the seed. The state after the first
  round is, whatever the period, so a program that is killed early can go on.
* A saved state that is damaged is passed over for the one before it.
"""

import collections
import enum
import gc
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from absl import logging

from tff_gs import _sealed_folder, _tensor_specs
from tff_gs.learning import sparsified_process
from tff_gs.programs import checkpoints, releases
from tff_gs.programs import population as population_lib


class Stop(enum.Enum):
    """Why a program ends after a round, and whether it saves its state then."""

    #: The round was the last; the state is saved.
    COMPLETE = enum.auto()
    #: The program is to be resumed; the state is saved.
    PAUSED = enum.auto()
    #: The round came to nothing; the state saved before it is worth more.
    FAILED = enum.auto()


class ProgramState(NamedTuple):
    """Everything from which a program goes on, with the same numbers to the bit.

    Attributes:
      state: `tff_gs.learning.ServerState`.
      clients: Arrays [N, ...], as of `Population.client_states`: all clients' states,
        2 N D floats for plain SGD, or where a store keeps them.
      round_number: int64 scalar, the last round that has been run.
      initial_bits: int64 scalar, the size of each client's dense download before the
        first round.
      releases: The states of the `ResumableReleaseManager`s, in their order.
    """

    state: Any
    clients: Any
    round_number: Any
    initial_bits: Any
    releases: Any


class ProgramStateError(ValueError):
    """A saved program state from which the program cannot go on; in one sentence."""


class Release(NamedTuple):
    """What is released of a round.

    Attributes:
      train: The metrics of `SparsifiedProcess.next`.
      evaluation: What the evaluation returned; None if there was none.
      timing: Wall-clock seconds: `round_seconds`, `evaluation_seconds`, and what
        `SparsifiedProcess.next` measured.
    """

    train: Mapping[str, Any]
    evaluation: Any
    timing: Mapping[str, float]


class TrainOutput(NamedTuple):
    """What a program came to.

    Attributes:
      state: `tff_gs.learning.ServerState` after the last round.
      round_number: The last round that has been run, in this call or an earlier one.
      resumed_from: The round that this call went on from; 0 if it began from the start.
      stop: Why it ended.
      initial_bits: The size of each client's dense download before the first round;
        0 if clients begin later, each with its own first round.
      seconds: Wall-clock time of the rounds of this call, with all that belongs to
        them.
    """

    state: Any
    round_number: int
    resumed_from: int
    stop: Stop
    initial_bits: int
    seconds: float


async def train_model(
    *,
    population: population_lib.Population,
    initial_weights: tff.learning.models.ModelWeights | None = None,
    total_rounds: int | None = None,
    is_last_round: Callable[[Mapping[str, Any]], bool] | None = None,
    should_stop: Callable[[], Stop | None] | None = None,
    evaluation: Callable[[sparsified_process.ServerState], Any] | None = None,
    evaluation_periodicity: int = 1,
    metrics_managers: Sequence[tff.program.ReleaseManager] = (),
    program_state_manager: tff.program.ProgramStateManager | None = None,
    program_state_periodicity: int = 1,
    program_state_seconds: float = math.inf,
) -> TrainOutput:
    """Runs rounds of training, and evaluates, releases and saves on the way.

    If `program_state_manager` has saved states, the latest is restored and the
    program goes on from it; it then gives the numbers of a program that was never
    stopped, to the bit. Otherwise it begins with round 1. Of a `CheckpointManager` it
    is the latest state that is whole, and from which population and release managers
    can go on; later ones are removed, with a warning.

    Args:
      population: The clients, with the process that trains their model.
      initial_weights: Those of a trained model to start from, as of
        `SparsifiedProcess.set_model_weights`; None: the model's own. Not used if
        the program goes on from a saved state.
      total_rounds: The most rounds, those of an earlier call included; None: no
        limit.
      is_last_round: Whether the round of these metrics is the last one. The last
        round is always evaluated.
      should_stop: Whether the program ends, and why; asked when a round has been
        released, before the first one, and when a round raises an error: an error
        of a round that is to be `Stop.PAUSED` is no error.
      evaluation: From a server state to what is released of it, such as
        `tff_gs.learning.build_federated_evaluation` returns.
      evaluation_periodicity: Rounds between two evaluations.
      metrics_managers: Where every round's `Release` goes; the key is the round.
      program_state_manager: Where the program state is saved and restored, such as a
        `CheckpointManager`; None: nowhere.
      program_state_periodicity: Rounds between two savings; the state is also saved
        after the first round that is run without a saved one, and when the program
        ends. 0: it is restored only.
      program_state_seconds: Wall-clock time after which it is saved although fewer
        rounds have been run.

    Raises:
      ProgramStateError: If there are saved states and the program can go on from
        none of them: they cannot be read, or are not of this process and these
        clients. It says why of the latest one.
      ValueError: If nothing would end the program, or `initial_weights` are not of
        the model's structure, shapes and dtypes.
    """
    if total_rounds is None and is_last_round is None and should_stop is None:
        raise ValueError(
            "Expected total_rounds, is_last_round or should_stop, found none of them."
        )
    ending = _Ending(total_rounds, is_last_round, should_stop or _never)
    saver = None
    if program_state_manager is not None:
        saver = _Saver(
            program_state_manager,
            population,
            metrics_managers,
            rounds=program_state_periodicity,
            seconds=program_state_seconds,
        )
    program = _Program(
        population,
        ending,
        metrics_managers,
        evaluation=evaluation,
        evaluation_periodicity=evaluation_periodicity,
        saver=saver,
    )
    await program.begin(initial_weights)
    begun = time.perf_counter()
    resumed_from = program.round_number
    stop = ending.before(program.round_number)
    while stop is None:
        stop = await program.run_round()
    return TrainOutput(
        state=program.state,
        round_number=program.round_number,
        resumed_from=resumed_from,
        stop=stop,
        initial_bits=program.initial_bits,
        seconds=time.perf_counter() - begun,
    )


def _never() -> Stop | None:
    return None


class _Ending(NamedTuple):
    """What ends a program; see `train_model`."""

    total_rounds: int | None
    is_last_round: Callable[[Mapping[str, Any]], bool] | None
    should_stop: Callable[[], Stop | None]

    def before(self, round_number: int) -> Stop | None:
        """Why no round is run after that one; None: one is."""
        stop = self.should_stop()
        if stop is None and self.total_rounds is not None:
            stop = Stop.COMPLETE if round_number >= self.total_rounds else None
        return stop

    def is_last(self, round_number: int, metrics: Mapping[str, Any]) -> bool:
        """Whether a round that was run is the last one."""
        return round_number == self.total_rounds or (
            self.is_last_round is not None and self.is_last_round(metrics)
        )


class _Program:
    """A program of training that is under way.

    Attributes:
      state: The server's.
      round_number: The last round that has been run.
      initial_bits: See `TrainOutput`.
    """

    state: sparsified_process.ServerState
    round_number: int
    initial_bits: int

    def __init__(
        self,
        population: population_lib.Population,
        ending: _Ending,
        metrics_managers: Sequence[tff.program.ReleaseManager],
        *,
        evaluation: Callable[[sparsified_process.ServerState], Any] | None,
        evaluation_periodicity: int,
        saver: "_Saver | None",
    ) -> None:
        """Prepares the program; `begin` gives it a state."""
        self._population = population
        self._ending = ending
        self._metrics_managers = metrics_managers
        self._evaluation = evaluation
        self._evaluation_periodicity = evaluation_periodicity
        self._saver = saver

    async def begin(
        self, initial_weights: tff.learning.models.ModelWeights | None
    ) -> None:
        """Goes on from a saved state, or begins with the first round."""
        process = self._population.process
        state = process.initialize()
        if initial_weights is not None:
            state = process.set_model_weights(state, initial_weights)
        saved = None
        if self._saver is not None:
            saved = await self._saver.go_on(state)
        if saved is None:
            self.round_number = 0
            self.state, self.initial_bits = self._population.initialize(state)
        else:
            self.state = saved.state
            self.round_number = int(saved.round_number)
            self.initial_bits = int(saved.initial_bits)
            logging.info("Resuming after training round %d", self.round_number)
        # Else the states of all clients would stay in this process as well.
        del saved
        gc.collect()

    async def run_round(self) -> Stop | None:
        """Runs a round, evaluates, releases and saves; why the program ends, if so."""
        started = time.perf_counter()
        try:
            self.state, metrics, timing = self._population.next(self.state)
        except Exception:
            stop = self._ending.should_stop()
            if stop is not Stop.PAUSED:
                raise
            # Not saved: the clients' states may be lost with the runtime.
            return stop
        ran = time.perf_counter()
        self.round_number += 1
        is_last = self._ending.is_last(self.round_number, metrics)
        evaluated = self._evaluate(is_last)
        seconds = collections.OrderedDict(
            round_seconds=ran - started,
            evaluation_seconds=time.perf_counter() - ran,
            **timing,
        )
        for manager in self._metrics_managers:
            await manager.release(
                Release(metrics, evaluated, seconds), self.round_number
            )
        stop = self._ending.should_stop()
        if stop is None and is_last:
            stop = Stop.COMPLETE
        if self._saver is not None and self._saver.is_due(self.round_number, stop):
            await self._saver.save(self.state, self.round_number, self.initial_bits)
        return stop

    def _evaluate(self, is_last: bool) -> Any:
        """What is released of the state; None if no evaluation is due."""
        due = is_last or self.round_number % self._evaluation_periodicity == 0
        if self._evaluation is None or not due:
            return None
        return self._evaluation(self.state)


class _Saver:
    """Saves the program state when it is time, and goes on from what was saved."""

    def __init__(
        self,
        manager: tff.program.ProgramStateManager,
        population: population_lib.Population,
        metrics_managers: Sequence[tff.program.ReleaseManager],
        *,
        rounds: int,
        seconds: float,
    ) -> None:
        self._manager, self._population = manager, population
        self._resumable = [
            each
            for each in metrics_managers
            if isinstance(each, releases.ResumableReleaseManager)
        ]
        self._rounds, self._seconds = rounds, seconds
        self._has_saved = False
        self._last = time.monotonic()

    async def go_on(
        self, initial: sparsified_process.ServerState
    ) -> ProgramState | None:
        """Takes population and release managers back to the latest usable state."""
        expected = ProgramState(
            state=initial,
            clients=self._population.client_states_spec(),
            round_number=np.int64(0),
            initial_bits=np.int64(0),
            releases=tuple(manager.state() for manager in self._resumable),
        )
        first_error = None
        async for version in self._versions():
            try:
                saved = await _load(self._manager, version, expected)
                _check(saved, expected, self._population)
                await self._restore(saved)
            except ProgramStateError as error:
                first_error = first_error or error
                continue
            if first_error is not None:
                logging.warning("%s Going on from round %d.", first_error, version)
                self._manager.remove_after(version)
            self._has_saved = True
            return saved
        if first_error is not None:
            raise first_error
        return None

    def is_due(self, round_number: int, stop: Stop | None) -> bool:
        """Whether the state is to be saved after a round that has been run."""
        if not self._rounds or stop is Stop.FAILED:
            return False
        return (
            stop is not None
            or not self._has_saved
            or round_number % self._rounds == 0
            or time.monotonic() - self._last >= self._seconds
        )

    async def save(
        self,
        state: sparsified_process.ServerState,
        round_number: int,
        initial_bits: int,
    ) -> None:
        await self._manager.save(
            ProgramState(
                state=state,
                clients=self._population.client_states(),
                round_number=np.int64(round_number),
                initial_bits=np.int64(initial_bits),
                releases=tuple(manager.state() for manager in self._resumable),
            ),
            version=round_number,
        )
        self._population.client_states_saved()
        # A SavedModel leaves the state in cycles of few objects: large ones.
        gc.collect()
        self._has_saved = True
        self._last = time.monotonic()

    async def _versions(self) -> AsyncIterator[int]:
        """The versions to try, the latest first."""
        versions = await self._manager.get_versions() or []
        # Others cannot remove the states that were passed over.
        if not isinstance(self._manager, checkpoints.CheckpointManager):
            versions = versions[-1:]
        for version in reversed(versions):
            yield version

    async def _restore(self, saved: ProgramState) -> None:
        try:
            self._population.restore(saved.clients)
            for manager, its_state in zip(self._resumable, saved.releases, strict=True):
                await manager.rewind(its_state, int(saved.round_number))
        except ValueError as error:
            raise ProgramStateError(str(error)) from error


async def _load(
    manager: tff.program.ProgramStateManager, version: int, expected: ProgramState
) -> ProgramState:
    """The program state of that version, which is like `expected`."""
    try:
        return await manager.load(version, expected)
    except _sealed_folder.BrokenSealError as error:
        raise ProgramStateError(str(error)) from error
    # What a damaged file leads to is not documented, and is of many kinds.
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) is not None:
            raise  # The state may be whole.
        text = re.sub(r"{{.*?}}", "", str(error))
        reason = " ".join(text.split()) or type(error).__name__
        raise ProgramStateError(
            "Expected a saved program state of this process that is whole, found one "
            f"that cannot be read: {reason[:200].rstrip('.')}."
        ) from error


def _check(
    saved: ProgramState,
    expected: ProgramState,
    population: population_lib.Population,
) -> None:
    found = len(tf.nest.flatten(saved.clients)[0])
    if found != len(population):
        raise ProgramStateError(
            f"Expected a saved program state of {len(population)} clients, found one "
            f"of {found}."
        )
    # The type says which lengths are open; those of `expected` are of a first round.
    state_type = population.process.initialize.type_signature.result.member
    wanted_specs = [
        *_tensor_specs.leaves(state_type),
        *map(_spec, tf.nest.flatten(expected[1:])),
    ]
    for leaf, wanted in zip(tf.nest.flatten(saved), wanted_specs, strict=True):
        if not wanted.is_compatible_with(_spec(leaf)):
            raise ProgramStateError(
                f"Expected a saved program state of this process, with "
                f"{_describe(wanted)}, found {_describe(_spec(leaf))} in its place."
            )


def _spec(leaf: Any) -> tf.TensorSpec:
    array = np.asarray(leaf)
    return tf.TensorSpec(array.shape, array.dtype)


def _describe(spec: tf.TensorSpec) -> str:
    return f"{spec.dtype.name} {spec.shape.as_list()}"
