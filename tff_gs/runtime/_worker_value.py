"""A value in worker processes, which goes where it is needed."""

import functools
from collections.abc import Sequence

import tensorflow_federated as tff
from tensorflow_federated.proto.v0 import executor_pb2

from tff_gs.runtime import _executors, _messages
from tff_gs.runtime._at_the_same_time import at_the_same_time


class WorkerValue:
    """A value at the server, or of all clients in blocks.

    Attributes:
      type_signature: Its type.
      parts: It in the executor of the server, or each block in the executor of its
        clients; nothing if it is only a message yet.
    """

    def __init__(
        self,
        type_signature: tff.Type,
        parts: Sequence[_executors.Handle] = (),
        message: executor_pb2.Value | None = None,
    ) -> None:
        """Is of parts that are there, or of a message."""
        self.type_signature = type_signature
        self.parts = tuple(parts)
        self._message = message
        self._places = {part.executor: part for part in parts}

    def message(self) -> executor_pb2.Value:
        """The value of the server, or of all clients."""
        if self._message is None:
            self._message = _messages.joined(
                at_the_same_time(
                    [
                        functools.partial(part.executor.fetch, part)
                        for part in self.parts
                    ]
                )
            )
        return self._message

    def is_in(self, executor: _executors.Executor) -> bool:
        """Whether it, or the block of the executor's clients, is there."""
        return executor in self._places

    def add(self, copy: _executors.Handle) -> None:
        """Notes that it is in one more executor."""
        self._places[copy.executor] = copy

    def within(self, executor: _executors.Executor) -> _executors.Handle:
        """It there, where it is."""
        return self._places[executor]
