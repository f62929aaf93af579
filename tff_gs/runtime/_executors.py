"""The executors in the worker, of which only a few are kept.

TFF's executors are each for one number of clients, and hold in the worker threads, and
a session for every computation that they ran, some ten megabytes: with cohorts of ever
other sizes these would add up. So few are kept: the one in use, one that is used again
and again, and those that hold a value which Python still has.
"""

import weakref
from typing import Any

import tensorflow_federated as tff

_KEPT_IDLE = 1


class Executor:
    """An executor for one number of clients.

    Attributes:
      remote: TFF's own.
      functions: The computations that it holds, by their id in Python.
      values: The values that live in it, for as long as Python has them.
    """

    def __init__(self, stub: tff.framework.RemoteExecutorStub, clients: int) -> None:
        """Makes the executor in the worker that `stub` reaches."""
        # Values are dropped as soon as Python does: a client state can be large.
        self.remote = tff.framework.RemoteExecutor(stub, dispose_batch_size=1)
        self.remote.set_cardinalities({tff.CLIENTS: clients})
        self.functions: dict[int, Any] = {}
        self.values: weakref.WeakSet[Any] = weakref.WeakSet()

    def close(self) -> None:
        """Frees what it holds in the worker."""
        self.functions.clear()
        self.remote.close()


class Executors:
    """Those of a worker, by their number of clients."""

    def __init__(self, stub: tff.framework.RemoteExecutorStub) -> None:
        """Begins without any."""
        self._stub = stub
        # The one used last is the last.
        self._executors: dict[int, Executor] = {}
        self._seen: set[int] = set()
        # Numbers of clients that were used again after another one.
        self._returning: set[int] = set()

    def use(self, clients: int) -> Executor:
        """The executor for `clients` clients.

        If it is a new one, those that hold no value are closed, except one whose
        number of clients has come back before and so can be expected to come again.
        """
        if next(reversed(self._executors), None) != clients:
            (self._returning if clients in self._seen else self._seen).add(clients)
        executor = self._executors.pop(clients, None)
        if executor is None:
            self._make_room()
            executor = Executor(self._stub, clients)
        self._executors[clients] = executor
        return executor

    def close(self) -> None:
        """Frees all of them."""
        for executor in self._executors.values():
            executor.close()
        self._executors.clear()

    def _make_room(self) -> None:
        idle = [n for n, executor in self._executors.items() if not executor.values]
        expected = [n for n in idle if n in self._returning][-_KEPT_IDLE:]
        for clients in set(idle) - set(expected):
            self._executors.pop(clients).close()
