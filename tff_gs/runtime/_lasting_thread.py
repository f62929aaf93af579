"""A thread that lasts as long as its program."""

import concurrent.futures
import queue
import threading
from collections.abc import Callable
from typing import Any


class LastingThread:
    """Runs functions one after the other, in a thread of its own.

    Unlike an executor of `concurrent.futures` it also serves threads that go on after
    the main thread has ended.
    """

    def __init__(self, name: str) -> None:
        """Starts the thread.

        Args:
          name: The thread's.
        """
        self._calls: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(target=self._serve, name=name, daemon=True).start()

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """What the function returns, or raises, in the thread."""
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._calls.put((future, function, args))
        return future.result()

    def _serve(self) -> None:
        while True:
            future, function, args = self._calls.get()
            try:
                future.set_result(function(*args))
            except BaseException as error:
                future.set_exception(error)
            # Nothing of a call is held while the thread waits for the next one.
            del future, function, args
