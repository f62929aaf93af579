"""Where computations run, and where clients' state lives meanwhile."""

from tff_gs.runtime.resident import ResidentContext, ResidentValue, execution_context
from tff_gs.runtime.worker import WorkerError

__all__ = ["ResidentContext", "ResidentValue", "WorkerError", "execution_context"]
