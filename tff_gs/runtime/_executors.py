"""The executors in a worker, of which only a few are kept.

TFF's executors are each for one number of clients, and hold in the worker threads, and
a session for every computation that they ran, some ten megabytes: with cohorts of ever
other sizes these would add up. So few are kept: the one in use, one that is used again
and again, and those that hold a value which Python still has.
"""

import collections
import contextlib
import weakref
from collections.abc import Sequence
from typing import Any

import tensorflow_federated as tff
from tensorflow_federated.proto.v0 import executor_pb2

from tff_gs.runtime import _link, _messages

_KEPT_IDLE = 1


class Handle:
    """A value in an executor, which is dropped there when Python drops this."""

    __slots__ = ("executor", "id")

    def __init__(self, executor: "Executor", value_id: str) -> None:
        """Is of the value with this id."""
        self.executor, self.id = executor, value_id

    def __del__(self) -> None:
        # No call from here: Python may be in any thread, or at its end.
        self.executor.dropped.append(self.id)


class Executor:
    """An executor for one number of clients.

    Attributes:
      clients: Their number.
      dropped: The ids of values that Python has dropped; the worker learns of them with
        the next call.
      values: The values that live in it, for as long as Python has them.
    """

    def __init__(self, link: _link.Link, clients: int) -> None:
        """Makes the executor in the worker that `link` reaches."""
        self.clients = clients
        self.dropped: collections.deque[str] = collections.deque()
        self.values: weakref.WeakSet[Any] = weakref.WeakSet()
        self._link = link
        self._functions: dict[int, Handle] = {}
        request = executor_pb2.GetExecutorRequest(
            cardinalities=_messages.of_cardinality(clients)
        )
        self._id = link.ask("GetExecutor", request).executor

    def create(self, messages: Sequence[executor_pb2.Value]) -> list[Handle]:
        """The values that `_messages` made messages of."""
        self.sweep()
        return self._handles(
            "CreateValue",
            [
                executor_pb2.CreateValueRequest(executor=self._id, value=message)
                for message in messages
            ],
        )

    def call(
        self, comp: tff.Computation, arguments: Sequence[Handle], results: int
    ) -> list[Handle]:
        """Calls a computation, whose graphs travel to the executor once.

        Args:
          comp: In a form that executors take, of a struct or, without `arguments`, of
            nothing, to a struct.
          arguments: The elements of its parameter.
          results: How many elements its result has.

        Returns:
          They; errors show when a value is fetched.
        """
        self.sweep()
        if id(comp) not in self._functions:
            (self._functions[id(comp)],) = self.create([_messages.of_computation(comp)])
        function = self._functions[id(comp)]
        argument = self._struct(arguments) if arguments else None
        request = executor_pb2.CreateCallRequest(
            executor=self._id,
            function_ref=_reference(function),
            argument_ref=None if argument is None else _reference(argument),
        )
        (called,) = self._handles("CreateCall", [request])
        return self._handles(
            "CreateSelection",
            [
                executor_pb2.CreateSelectionRequest(
                    executor=self._id, source_ref=_reference(called), index=index
                )
                for index in range(results)
            ],
        )

    def fetch(self, handle: Handle) -> executor_pb2.Value:
        """The value as a message."""
        request = executor_pb2.ComputeRequest(
            executor=self._id, value_ref=_reference(handle)
        )
        return self._link.ask("Compute", request).value

    def sweep(self) -> None:
        """Tells the worker what Python has dropped; does not wait for the answer."""
        ids = []
        with contextlib.suppress(IndexError):
            while True:
                ids.append(self.dropped.popleft())
        if ids:
            references = [executor_pb2.ValueRef(id=value_id) for value_id in ids]
            request = executor_pb2.DisposeRequest(
                executor=self._id, value_ref=references
            )
            self._link.tell("Dispose", request)

    def close(self) -> None:
        """Frees what it holds in the worker; does not wait for the answer."""
        self._functions.clear()
        request = executor_pb2.DisposeExecutorRequest(executor=self._id)
        self._link.tell("DisposeExecutor", request)

    def _struct(self, elements: Sequence[Handle]) -> Handle:
        parts = [
            executor_pb2.CreateStructRequest.Element(value_ref=_reference(element))
            for element in elements
        ]
        request = executor_pb2.CreateStructRequest(executor=self._id, element=parts)
        return self._handles("CreateStruct", [request])[0]

    def _handles(self, method: str, requests: Sequence[Any]) -> list[Handle]:
        """What the worker makes of requests that are all on their way at once."""
        calls = [self._link.start(method, request) for request in requests]
        answers = [self._link.answer(call) for call in calls]
        return [Handle(self, answer.value_ref.id) for answer in answers]


class Executors:
    """Those of a worker, by their number of clients."""

    def __init__(self, link: _link.Link) -> None:
        """Begins without any."""
        self._link = link
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
            executor = Executor(self._link, clients)
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


def _reference(handle: Handle) -> executor_pb2.ValueRef:
    return executor_pb2.ValueRef(id=handle.id)
