"""Where computations run, and where clients' state lives meanwhile."""

from tff_gs.runtime.client_store import ClientStore, MemoryStore
from tff_gs.runtime.cohorts import CohortOutput, build_cohort_fn, run_round
from tff_gs.runtime.disk_store import DiskSnapshot, DiskStore
from tff_gs.runtime.resident import ResidentContext, ResidentValue, execution_context
from tff_gs.runtime.resident_store import ResidentStore
from tff_gs.runtime.snapshots import Snapshot
from tff_gs.runtime.worker import WorkerError

__all__ = [
    "ClientStore",
    "CohortOutput",
    "DiskSnapshot",
    "DiskStore",
    "MemoryStore",
    "ResidentContext",
    "ResidentStore",
    "ResidentValue",
    "Snapshot",
    "WorkerError",
    "build_cohort_fn",
    "execution_context",
    "run_round",
]
