"""A worker of an execution context, and which clients it has."""

from collections.abc import Sequence
from typing import NamedTuple

from tff_gs.runtime import _delivery, _executors, _link


class Worker:
    """A worker process that is there for one execution context.

    Attributes:
      executors: In it.
      delivery: The way of clients' values there and back.
      share: How many clients it has in comparison to the others.
    """

    def __init__(
        self, link: _link.Link, delivery: _delivery.Delivery, *, share: int = 1
    ) -> None:
        """Uses the worker that `link` reaches."""
        self.executors = _executors.Executors(link)
        self.delivery = delivery
        self.share = share

    def close(self) -> None:
        """Frees all that it holds."""
        self.executors.close()


class Block(NamedTuple):
    """The clients that a worker has.

    Attributes:
      worker: It.
      places: Of its clients among all, one after the other.
    """

    worker: Worker
    places: range

    @property
    def executor(self) -> _executors.Executor:
        """The worker's executor for so many clients."""
        return self.worker.executors.use(len(self.places))


def divide(clients: int, workers: Sequence[Worker]) -> list[Block]:
    """The workers that have clients, each with its block of them.

    If there is no client, the first worker has none of them.

    >>> divide(5, [Worker(None, None), Worker(None, None, share=2)])[1].places
    range(1, 5)
    """
    blocks, total = [], sum(worker.share for worker in workers)
    end = shares = 0
    for worker in workers:
        shares += worker.share
        start, end = end, clients * shares // total
        if end > start:
            blocks.append(Block(worker, range(start, end)))
    return blocks or [Block(workers[0], range(0))]
