"""Where computations run, and where clients' state lives meanwhile."""

from typing import TYPE_CHECKING

from tff_gs import _lazy

if TYPE_CHECKING:
    from tff_gs.runtime.client_store import (
        ClientStore as ClientStore,
        MemoryStore as MemoryStore,
    )
    from tff_gs.runtime.cohorts import (
        CohortOutput as CohortOutput,
        build_cohort_fn as build_cohort_fn,
        run_round as run_round,
    )
    from tff_gs.runtime.disk_store import (
        DiskSnapshot as DiskSnapshot,
        DiskStore as DiskStore,
    )
    from tff_gs.runtime.execution import execution_context as execution_context
    from tff_gs.runtime.resident import (
        ResidentContext as ResidentContext,
        ResidentValue as ResidentValue,
    )
    from tff_gs.runtime.resident_store import ResidentStore as ResidentStore
    from tff_gs.runtime.snapshots import Snapshot as Snapshot
    from tff_gs.runtime.spool_folder import SpoolError as SpoolError
    from tff_gs.runtime.worker_errors import (
        WorkerError as WorkerError,
        WorkerLostError as WorkerLostError,
        WorkerNotReachedError as WorkerNotReachedError,
    )
else:
    __getattr__, __dir__, __all__ = _lazy.exports(__name__)
