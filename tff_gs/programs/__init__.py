"""Program logic: training that is measured, evaluated, saved and resumed."""

from tff_gs.programs.checkpoints import CheckpointManager
from tff_gs.programs.population import (
    CohortPopulation,
    Population,
    WholePopulation,
)
from tff_gs.programs.releases import RecordReleaseManager, ResumableReleaseManager
from tff_gs.programs.train import (
    ProgramState,
    ProgramStateError,
    Release,
    Stop,
    TrainOutput,
    train_model,
)

__all__ = [
    "CheckpointManager",
    "CohortPopulation",
    "Population",
    "ProgramState",
    "ProgramStateError",
    "RecordReleaseManager",
    "Release",
    "ResumableReleaseManager",
    "Stop",
    "TrainOutput",
    "WholePopulation",
    "train_model",
]
