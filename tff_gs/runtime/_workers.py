"""A worker of an execution context, and which clients it has."""

from collections.abc import Sequence

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


def divide(clients: int, workers: Sequence[Worker]) -> list[tuple[Worker, int]]:
    """The workers that have clients, each with their number.

    Clients are divided in their order, in blocks. If there are none, the first worker
    has them.

    >>> divide(5, [Worker(None, None), Worker(None, None, share=2)])[1][1]
    4
    """
    blocks, total = [], sum(worker.share for worker in workers)
    end = shares = 0
    for worker in workers:
        shares += worker.share
        start, end = end, clients * shares // total
        if end > start:
            blocks.append((worker, end - start))
    return blocks or [(workers[0], 0)]
