"""Several workers are asked at the same time."""

import concurrent.futures
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from tff_gs.runtime import worker_errors

_T = TypeVar("_T")


def at_the_same_time(jobs: Sequence[Callable[[], _T]]) -> list[_T]:
    """What the jobs return, in their order; each runs in a thread of its own.

    Raises:
      WorkerLostError: As soon as a job does; the others may go on for a while.
      BaseException: What the first of the jobs raises, when all of them have ended.
    """
    if len(jobs) == 1:
        return [jobs[0]()]
    futures = [_begin(job) for job in jobs]
    left = set(futures)
    while left:
        ended, left = concurrent.futures.wait(
            left, return_when=concurrent.futures.FIRST_EXCEPTION
        )
        for future in ended:
            if isinstance(future.exception(), worker_errors.WorkerLostError):
                future.result()
    return [future.result() for future in futures]


def _begin(job: Callable[[], _T]) -> concurrent.futures.Future[_T]:
    future: concurrent.futures.Future[_T] = concurrent.futures.Future()

    def run() -> None:
        try:
            future.set_result(job())
        except BaseException as error:
            future.set_exception(error)

    # Not of a pool: its threads end with the main thread, and a notebook's goes on.
    threading.Thread(target=run, name="tff_gs worker call", daemon=True).start()
    return future
