"""An execution context in which clients' values stay in the TFF runtime.

TFF's own contexts carry every result of a computation to Python, and back with the
next call. Here a CLIENTS-placed result comes back as a `ResidentValue`, a handle to
the value inside worker processes, which later calls accept in the value's place;
only server-placed results are fetched. Computations are written and called as usual.

With one worker it computes everything there. With several, clients are divided among
them in blocks, and computations are run in stages (`_staging`): those of the clients at
the same time in all workers, those of the server in a worker of the program's own.
Results are the same to the bit.
"""

import collections
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow_federated as tff
from typing_extensions import override

from tff_gs import _client_values
from tff_gs.runtime import _executors, _messages, _native_form, _staging, _workers
from tff_gs.runtime._at_the_same_time import at_the_same_time
from tff_gs.runtime._worker_value import WorkerValue

_REMEMBERED = 4


class ResidentValue(tff.framework.Ingestable, tff.framework.CardinalityCarrying):
    """A CLIENTS-placed value that lives in the workers of a `ResidentContext`."""

    def __init__(self, value: WorkerValue, clients: int, context: "ResidentContext"):
        """Called by `ResidentContext` only.

        Args:
          value: It.
          clients: How many clients it has values of.
          context: Where it lives.
        """
        self._value = value
        self._clients = clients
        self._context = context
        for part in value.parts:
            part.executor.values.add(self)

    @property
    def type_signature(self) -> tff.FederatedType:
        """The TFF type of the value."""
        return self._value.type_signature

    @property
    @override
    def cardinality(self) -> Mapping[Any, int]:
        return {tff.CLIENTS: self._clients}

    def __len__(self) -> int:
        return self._clients

    @override
    async def ingest(self, executor: Any) -> Any:
        """For TFF's own contexts, which cannot take it.

        Raises:
          ValueError: In one sentence.
        """
        del executor
        raise self._misplaced()

    def inside(self, context: "ResidentContext") -> WorkerValue:
        """The value in the workers, which only its own context accepts.

        Raises:
          ValueError: In one sentence, if it is another one, or closed.
        """
        self._context.require_open("a value")
        if context is not self._context:
            raise self._misplaced()
        return self._value

    def fetch(self, places: Sequence[int] | None = None) -> list[Any]:
        """The clients' values as a list in Python, copied out of the workers.

        A sequence comes as the list of its elements.

        Args:
          places: Which of the clients', by their place, in this order; None: all.

        Raises:
          ValueError: In one sentence, if the context is closed, or a tensor is of
            more than 2 GiB.
          SpoolError: If the temporary folder has no room.
        """
        return self._context.fetch(self, places)

    def _misplaced(self) -> ValueError:
        return ValueError(
            "Expected a value that lives in the execution context of this call, "
            "found a ResidentValue of another one: fetch() it first."
        )


class ResidentContext(tff.framework.SyncContext):
    """Runs computations in worker processes; see the module.

    What clients have moves to a worker on this machine and back through files, whatever
    its size; only what is small goes in a message.

    Errors of a worker are of one sentence: a `ValueError` for an assertion in a
    computation, "Expected ..., found ...", a `WorkerLostError` if a worker process
    ended or hangs, else a `WorkerError`.
    """

    def __init__(self, server: _workers.Worker, workers: Sequence[_workers.Worker]):
        """Uses workers that run.

        Args:
          server: Computes what the server does.
          workers: What the clients do; if that is `server` alone, it computes
            everything.
        """
        self._server = server
        self._workers = tuple(workers)
        is_alone = self._workers == (server,)
        self._stage = _staging.whole if is_alone else _staging.split
        self._plans: dict[int, tuple[tff.Computation, _staging.Plan]] = {}
        # What was fetched last, by the id of its Python form: the server's state mostly
        # comes back unchanged with the next round.
        self._fetched: collections.OrderedDict[int, _Fetched] = (
            collections.OrderedDict()
        )
        self._closed = False

    def close(self) -> None:
        """Forgets all values."""
        if self._closed:
            return
        self._closed = True
        self._fetched.clear()
        for worker in {self._server, *self._workers}:
            worker.close()

    def require_open(self, wanted: str) -> None:
        """Raises ValueError, in one sentence, if the context is closed."""
        if self._closed:
            raise ValueError(
                f"Expected {wanted} of an execution context in use, found one whose "
                "with block has ended: fetch() values before that."
            )

    def place(self, values: Sequence[Any], type_signature: tff.Type) -> ResidentValue:
        """Moves clients' values into the workers.

        Args:
          values: One value per client, as of `tff_gs._client_values.flatten`: in any
            container with the names of the type's, and of its dtypes or exactly cast.
          type_signature: {T}@CLIENTS, or T: tensors, structures and sequences.

        Raises:
          ValueError: In one sentence, if there is no client, a value is not of the
            type or of more than 2 GiB, or the context is closed.
          SpoolError: If the temporary folder has no room.
        """
        self.require_open("a call")
        if not isinstance(type_signature, tff.FederatedType):
            type_signature = tff.FederatedType(type_signature, tff.CLIENTS)
        placed = self._place(values, type_signature)
        return ResidentValue(placed, len(values), self)

    def fetch(
        self, value: ResidentValue, places: Sequence[int] | None = None
    ) -> list[Any]:
        """See `ResidentValue.fetch`."""
        inside = value.inside(self)
        wanted = list(range(len(value)) if places is None else places)
        jobs, found = [], []
        blocks = _workers.divide(len(value), self._workers)
        for block, part in zip(blocks, inside.parts, strict=True):
            own = [place for place in wanted if place in block.places]
            if own:
                found += own
                jobs.append(
                    functools.partial(
                        block.worker.delivery.fetch,
                        part.executor,
                        part,
                        value.type_signature,
                        [place - block.places.start for place in own],
                    )
                )
        fetched = itertools.chain.from_iterable(at_the_same_time(jobs))
        by_place = dict(zip(found, fetched, strict=True))
        return [by_place[place] for place in wanted]

    @override
    def invoke(self, comp: tff.Computation, arg: Any) -> Any:
        self.require_open("a call")
        plan = self._plan(comp)
        leaves = list(_leaves(arg, comp.type_signature.parameter))
        clients = _count_clients(leaves)
        values = {
            name: self._ingest(part, part_type)
            for name, (part, part_type) in zip(plan.parameters, leaves, strict=True)
        }
        self._run(plan, values, clients)
        results = iter([values[name] for name in plan.results])
        return self._unpack(results, comp.type_signature.result, clients)

    def _plan(self, comp: tff.Computation) -> _staging.Plan:
        if id(comp) not in self._plans:
            plan = self._stage(_native_form.native_form(comp))
            # With the computation itself: its id then stays taken.
            self._plans[id(comp)] = (comp, plan)
        return self._plans[id(comp)][1]

    def _run(
        self, plan: _staging.Plan, values: dict[str, WorkerValue], clients: int
    ) -> None:
        """Runs all stages; adds what they give to the values."""
        server = [self._server.executors.use(clients)]
        blocks = _workers.divide(clients, self._workers)
        at_clients = [block.executor for block in blocks]
        for number, stage in enumerate(plan.stages):
            executors = at_clients if stage.place is tff.CLIENTS else server
            inputs = [values[name] for name in stage.inputs]
            for value in inputs:
                if not all(map(value.is_in, executors)):
                    value.message()  # Once, and not once for each worker.
            given = at_the_same_time(
                [functools.partial(_call, stage, inputs, each) for each in executors]
            )
            for name, *parts in zip(stage.outputs, *given, strict=True):
                values[name] = WorkerValue(plan.types[name], parts)
            # What nobody needs any more leaves the workers.
            to_come = plan.stages[number + 1 :]
            needed = {*plan.results, *(name for s in to_come for name in s.inputs)}
            for name in values.keys() - needed:
                del values[name]

    def _place(self, values: Sequence[Any], placed: tff.FederatedType) -> WorkerValue:
        values = _client_values.as_list(values, f"a value of {placed.member} for each")
        flat = [
            _client_values.flatten(value, placed.member, f"client {client}")
            for client, value in enumerate(values)
        ]
        jobs = [
            functools.partial(
                block.worker.delivery.place,
                block.executor,
                flat[block.places.start : block.places.stop],
                placed,
            )
            for block in _workers.divide(len(flat), self._workers)
        ]
        return WorkerValue(placed, at_the_same_time(jobs))

    def _ingest(self, part: Any, type_signature: tff.Type) -> WorkerValue:
        known = self._fetched.get(id(part))
        if isinstance(part, ResidentValue):
            value = part.inside(self)
        elif known is not None:
            value = known.value
        elif _is_of_clients(type_signature):
            return self._place(part, type_signature)
        else:
            message = _messages.of_value(part, type_signature)
            return WorkerValue(type_signature, message=message)
        type_signature.check_assignable_from(value.type_signature)
        return value

    def _unpack(
        self, results: Iterator[WorkerValue], type_signature: tff.Type, clients: int
    ) -> Any:
        """Fetches what is at the server, and hands out the rest."""
        if isinstance(type_signature, tff.StructType):
            elements = [
                (name, self._unpack(results, element_type, clients))
                for name, element_type in tff.structure.iter_elements(type_signature)
            ]
            return _client_values.as_container(elements, type_signature)
        value = next(results)
        if _is_of_clients(type_signature):
            # The type that the computation was written with has Python's containers.
            kept = WorkerValue(type_signature, value.parts)
            return ResidentValue(kept, clients, self)
        fetched = _messages.to_value(value.message(), type_signature)
        self._remember(fetched, value)
        return fetched

    def _remember(self, fetched: Any, value: WorkerValue) -> None:
        """Keeps the handle of a structure that nobody can change."""
        if isinstance(fetched, tuple) and _is_frozen(fetched):
            self._fetched[id(fetched)] = _Fetched(fetched, value)
            if len(self._fetched) > _REMEMBERED:
                self._fetched.popitem(last=False)


class _Fetched(NamedTuple):
    """A fetched structure; held here to keep its id taken."""

    structure: Any
    value: WorkerValue


def _call(
    stage: _staging.Stage, inputs: Sequence[WorkerValue], executor: _executors.Executor
) -> list[_executors.Handle]:
    """Calls a stage in an executor, where what is not there yet goes first."""
    missing = [value for value in inputs if not value.is_in(executor)]
    copies = executor.create([value.message() for value in missing])
    for value, copy in zip(missing, copies, strict=True):
        value.add(copy)
    arguments = [value.within(executor) for value in inputs]
    return executor.call(stage.computation, arguments, len(stage.outputs))


def _leaves(
    arg: Any, type_signature: tff.Type | None
) -> Iterator[tuple[Any, tff.Type]]:
    """The parts of an argument that are leaves in its type."""
    if isinstance(type_signature, tff.StructType):
        parts = tff.structure.from_container(arg)
        for part, part_type in zip(parts, type_signature, strict=True):
            yield from _leaves(part, part_type)
    elif type_signature is not None:
        yield arg, type_signature


def _count_clients(leaves: Sequence[tuple[Any, tff.Type]]) -> int:
    """The number of clients that all CLIENTS-placed parts have.

    Raises:
      ValueError: If they do not have the same.
    """
    counts = {
        len(part)
        if isinstance(part, ResidentValue)
        else len(_client_values.as_list(part, f"a value of {part_type.member}"))
        for part, part_type in leaves
        if _is_of_clients(part_type)
    }
    if len(counts) > 1:
        raise ValueError(
            "Expected values of the same number of clients in all arguments, "
            f"found {sorted(counts)}."
        )
    return counts.pop() if counts else 0


def _is_frozen(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_frozen(element) for element in value)
    if isinstance(value, np.ndarray):
        return not value.flags.writeable
    return isinstance(value, np.generic)


def _is_of_clients(type_signature: tff.Type) -> bool:
    """Whether each client has a value of its own."""
    return (
        isinstance(type_signature, tff.FederatedType)
        and type_signature.placement is tff.CLIENTS
        and not type_signature.all_equal
    )
