"""Which workers a run goes on with after it has lost one."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tff_gs import runtime


class Losses:
    """The workers that are left to a run.

    Attributes:
      workers: As of `launch.options.WorkerOptions`.
      needs_all: Whether all of them have to be there: until one is lost.
    """

    def __init__(self, workers: int | tuple[str, ...] | None) -> None:
        """Begins with all workers."""
        self.workers = workers
        self.needs_all = True
        self._lost_at = -1

    def leave_any(self, error: "runtime.WorkerLostError", reached: int) -> bool:
        """Whether the run can go on after a loss.

        A worker may come back. One that is lost again before the run has made progress
        since the last loss is left out; if it is a process of this program, the run
        ends.

        Args:
          error: The loss.
          reached: The last round that was completed before.
        """
        from tff_gs import runtime
        from tff_gs.runtime import _addresses

        if isinstance(error, runtime.WorkerNotReachedError):
            return False
        self.needs_all = False
        has_progress, self._lost_at = reached > self._lost_at, reached
        if has_progress:
            return True
        if not isinstance(self.workers, tuple) or error.address is None:
            return False
        self.workers = tuple(
            text
            for text in self.workers
            if _addresses.parse_address(text).target != error.address
        )
        return bool(self.workers)

    def describe_next(self) -> str:
        """What happens after a loss, for the end of a sentence."""
        if isinstance(self.workers, tuple):
            return "the run goes on from its last checkpoint with those that answer"
        return "the worker is started again"
