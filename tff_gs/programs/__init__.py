"""Program logic: training that is measured, evaluated, saved and resumed."""

from typing import TYPE_CHECKING

from tff_gs import _lazy

if TYPE_CHECKING:
    from tff_gs.programs.checkpoints import CheckpointManager as CheckpointManager
    from tff_gs.programs.client_id_process import ClientIdProcess as ClientIdProcess
    from tff_gs.programs.model_weights import (
        load_model_weights as load_model_weights,
        save_model_weights as save_model_weights,
    )
    from tff_gs.programs.population import Population as Population
    from tff_gs.programs.releases import (
        Record as Record,
        RecordReleaseManager as RecordReleaseManager,
        ResumableReleaseManager as ResumableReleaseManager,
    )
    from tff_gs.programs.train import (
        ProgramState as ProgramState,
        ProgramStateError as ProgramStateError,
        Release as Release,
        Stop as Stop,
        TrainOutput as TrainOutput,
        train_model as train_model,
    )
else:
    __getattr__, __dir__, __all__ = _lazy.exports(__name__)
