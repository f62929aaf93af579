"""An execution context in which clients' values stay in the TFF runtime.

TFF's own contexts carry every result of a computation to Python, and back with the
next call. Here a CLIENTS-placed result comes back as a `ResidentValue`, a handle to
the value inside the worker process, which later calls accept in the value's place;
only server-placed results are fetched. Computations are written and called as usual.
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from tensorflow_federated.python.core.environments.tensorflow_backend import (
    tensorflow_tree_transformations,
)

from tff_gs.runtime import spool, worker

_REMEMBERED = 4


class ResidentValue(tff.framework.Ingestable, tff.framework.CardinalityCarrying):
    """A CLIENTS-placed value that lives in the worker of a `ResidentContext`."""

    def __init__(
        self,
        value: Any,
        type_signature: tff.FederatedType,
        clients: int,
        context: "ResidentContext",
    ):
        """Called by `ResidentContext` only.

        Args:
          value: The value of the context's executor.
          type_signature: Its type, {T}@CLIENTS.
          clients: How many clients it has values of.
          context: Where it lives.
        """
        self._value = value
        self._type_signature = type_signature
        self._clients = clients
        self._context = context

    @property
    def type_signature(self) -> tff.FederatedType:
        """The TFF type of the value."""
        return self._type_signature

    @property
    def cardinality(self) -> Mapping[Any, int]:
        """See base class."""
        return {tff.CLIENTS: self._clients}

    def __len__(self) -> int:
        return self._clients

    async def ingest(self, executor: Any) -> Any:
        """See base class; only executors of the value's own context accept it."""
        if executor is not self._context.executor(self._clients):
            raise ValueError(
                "Expected a value that lives in the execution context of this call, "
                "found a ResidentValue of another one: fetch() it first."
            )
        return self._value

    def fetch(self) -> list[Any]:
        """The clients' values as a list in Python, copied out of the worker."""
        return self._context.fetch(self._value, self._type_signature)

    def fetch_quickly(self) -> list[Any]:
        """The same, several times as fast where values are large.

        For a type as of `ResidentContext.place_quickly`.
        """
        return self._context.fetch_quickly(self)


class ResidentContext(tff.framework.SyncContext):
    """Runs computations in one worker process; see the module."""

    def __init__(self, stub: tff.framework.RemoteExecutorStub):
        """Uses the worker that `stub` reaches."""
        self._stub = stub
        self._executors: dict[int, tff.framework.RemoteExecutor] = {}
        self._compiled: dict[int, tuple[tff.Computation, Any]] = {}
        # Computations in the worker, by the number of clients too.
        self._functions: dict[tuple[int, int], Any] = {}
        # What was fetched last, by the id of its Python form, with its handle: the
        # server's state mostly comes back unchanged with the next round.
        self._fetched: collections.OrderedDict[int, _Fetched] = (
            collections.OrderedDict()
        )
        # A thread of its own: a notebook's thread has a running event loop already.
        self._thread = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self._spool = spool.Spool()

    def close(self) -> None:
        """Forgets all values."""
        self._thread.shutdown()
        self._functions.clear()
        self._fetched.clear()
        for executor in self._executors.values():
            executor.close()
        self._executors.clear()
        self._spool.close()

    def executor(self, clients: int) -> tff.framework.RemoteExecutor:
        """The executor for `clients` clients."""
        if clients not in self._executors:
            # Values are dropped as soon as Python does: a client state can be large.
            executor = tff.framework.RemoteExecutor(self._stub, dispose_batch_size=1)
            executor.set_cardinalities({tff.CLIENTS: clients})
            self._executors[clients] = executor
        return self._executors[clients]

    def place(self, values: list[Any], type_signature: tff.Type) -> ResidentValue:
        """Moves clients' values into the worker.

        Args:
          values: One value per client.
          type_signature: {T}@CLIENTS, or T.
        """
        if not isinstance(type_signature, tff.FederatedType):
            type_signature = tff.FederatedType(type_signature, tff.CLIENTS)
        clients = len(values)
        created = self._run(
            self.executor(clients).create_value(
                tff.tensorflow.transform_args(values), type_signature
            )
        )
        return ResidentValue(created, type_signature, clients, self)

    def place_quickly(
        self, values: list[Any], type_signature: tff.Type
    ) -> ResidentValue:
        """As `place`, through files: several times as fast where values are large.

        Args:
          values: One value per client, at least one.
          type_signature: {T}@CLIENTS, or T; a structure of tensors of numbers, of
            known rank.

        Raises:
          ValueError: If a value is not of the type.
        """
        if isinstance(type_signature, tff.FederatedType):
            type_signature = type_signature.member
        numbers = self._spool.number(len(values))
        try:
            self._spool.write(numbers, values, type_signature)
            placed, _ = self.invoke(self._spool.reader(type_signature), numbers)
        finally:
            self._spool.clear()
        placed_type = tff.FederatedType(type_signature, tff.CLIENTS)
        return ResidentValue(placed._value, placed_type, len(values), self)

    def fetch_quickly(self, value: ResidentValue) -> list[Any]:
        """As `value.fetch()`, through files; for types as of `place_quickly`."""
        member_type = value.type_signature.member
        numbers = self._spool.number(len(value))
        try:
            self.invoke(
                self._spool.writer(member_type),
                tff.structure.Struct.unnamed(value, numbers),
            )
            return self._spool.read(numbers, member_type)
        finally:
            self._spool.clear()

    def fetch(self, value: Any, type_signature: tff.Type) -> Any:
        """The Python form of a value in the worker."""
        return self._run(_compute(value, type_signature))

    def invoke(self, comp: tff.Computation, arg: Any) -> Any:
        """See base class."""
        return self._run(self._invoke(comp, arg))

    def _run(self, coroutine: Any) -> Any:
        return self._thread.submit(asyncio.run, coroutine).result()

    def _compile(self, comp: tff.Computation) -> Any:
        if id(comp) not in self._compiled:
            native = _native_form(comp)
            # With the computation itself, so that its id stays taken.
            self._compiled[id(comp)] = (comp, native)
        return self._compiled[id(comp)][1]

    async def _function(self, comp: tff.Computation, clients: int) -> Any:
        """The computation as a value in the worker; its graphs travel once."""
        key = (id(comp), clients)
        if key not in self._functions:
            native = self._compile(comp)
            self._functions[key] = await self.executor(clients).create_value(
                native, native.type_signature
            )
        return self._functions[key]

    async def _invoke(self, comp: tff.Computation, arg: Any) -> Any:
        parameter, result = comp.type_signature.parameter, comp.type_signature.result
        clients = _count_clients(arg, parameter) if parameter is not None else set()
        if len(clients) > 1:
            raise ValueError(
                "Expected values of the same number of clients in all arguments, "
                f"found {sorted(clients)}."
            )
        count = clients.pop() if clients else 0
        executor = self.executor(count)
        argument = None
        if parameter is not None:
            argument = await self._ingest(executor, arg, parameter)
        function = await self._function(comp, count)
        called = await executor.create_call(function, argument)
        return await self._unpack(executor, called, result, count)

    async def _unpack(
        self, executor: Any, value: Any, type_signature: tff.Type, clients: int
    ) -> Any:
        """Fetches what is at the server, and hands out the rest."""
        if isinstance(type_signature, tff.StructType):
            elements = []
            for index, (name, element_type) in enumerate(
                tff.structure.iter_elements(type_signature)
            ):
                selected = await executor.create_selection(value, index)
                element = await self._unpack(executor, selected, element_type, clients)
                elements.append((name, element))
            return tff.types.type_to_py_container(
                tff.structure.Struct(elements), _finished(type_signature)
            )
        if (
            isinstance(type_signature, tff.FederatedType)
            and type_signature.placement is tff.CLIENTS
            and not type_signature.all_equal
        ):
            return ResidentValue(value, type_signature, clients, self)
        fetched = await _compute(value, type_signature)
        self._remember(fetched, value, executor)
        return fetched

    def _remember(self, fetched: Any, value: Any, executor: Any) -> None:
        """Keeps the handle of a structure that nobody can change."""
        if isinstance(fetched, tuple) and _is_frozen(fetched):
            self._fetched[id(fetched)] = _Fetched(fetched, value, executor)
            if len(self._fetched) > _REMEMBERED:
                self._fetched.popitem(last=False)

    async def _ingest(self, executor: Any, arg: Any, type_signature: tff.Type) -> Any:
        if isinstance(arg, tff.framework.Ingestable):
            type_signature.check_assignable_from(arg.type_signature)
            return await arg.ingest(executor)
        known = self._fetched.get(id(arg))
        if known is not None and known.executor is executor:
            type_signature.check_assignable_from(known.value.type_signature)
            return known.value
        if isinstance(type_signature, tff.StructType):
            parts = tff.structure.from_container(arg)
            elements = tff.structure.to_elements(type_signature)
            return await executor.create_struct(
                tff.structure.Struct(
                    [
                        (name, await self._ingest(executor, part, element_type))
                        for part, (name, element_type) in zip(
                            parts, elements, strict=True
                        )
                    ]
                )
            )
        return await executor.create_value(
            tff.tensorflow.transform_args(_to_python(arg)), type_signature
        )


async def _compute(value: Any, type_signature: tff.Type) -> Any:
    """The Python form of a value in the worker."""
    return tff.tensorflow.transform_result(
        tff.types.type_to_py_container(await value.compute(), type_signature)
    )


class _Fetched(NamedTuple):
    """A fetched structure; held here, so that its id stays taken."""

    structure: Any
    value: Any
    executor: Any


def _is_frozen(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_frozen(element) for element in value)
    if isinstance(value, np.ndarray):
        return not value.flags.writeable
    return isinstance(value, np.generic)


def _native_form(comp: tff.Computation) -> tff.Computation:
    """What the worker runs: as TFF's native contexts compile it, but for Grappler.

    Those let Grappler trade time for memory (activations are computed twice), which
    costs a third of a CNN's gradient; its default settings do not.
    """
    desugared, _ = tensorflow_tree_transformations.replace_intrinsics_with_bodies(
        comp.to_building_block()
    )
    return tff.backends.native.transform_to_native_form(
        tff.framework.ConcreteComputation.from_building_block(desugared),
        grappler_config=tf.compat.v1.ConfigProto(),
    )


def _finished(type_signature: tff.StructType) -> tff.StructType:
    """A type of the same container whose elements TFF leaves as they are."""
    elements = [
        (name, tff.TensorType(np.int32))
        for name, _ in tff.structure.iter_elements(type_signature)
    ]
    if isinstance(type_signature, tff.StructWithPythonType):
        return tff.StructWithPythonType(elements, type_signature.python_container)
    return tff.StructType(elements)


def _count_clients(arg: Any, type_signature: tff.Type) -> set[int]:
    """The numbers of clients that the CLIENTS-placed parts of `arg` have."""
    if isinstance(type_signature, tff.FederatedType):
        if type_signature.placement is tff.CLIENTS and not type_signature.all_equal:
            return {len(arg)}
        return set()
    if isinstance(type_signature, tff.StructType):
        parts = tff.structure.from_container(arg)
        return set().union(
            *(
                _count_clients(part, t)
                for part, t in zip(parts, type_signature, strict=True)
            )
        )
    return set()


def _to_python(arg: Any) -> Any:
    if isinstance(arg, tff.structure.Struct):
        return tff.structure.to_odict_or_tuple(arg)
    return arg


@contextlib.contextmanager
def execution_context(
    *,
    max_concurrent_computation_calls: int | None = None,
    intra_op_threads: int | None = None,
) -> Iterator[ResidentContext]:
    """Makes a resident context TFF's default; the worker ends with the `with` block.

    Args:
      max_concurrent_computation_calls: How many clients compute at the same time; by
        default one per processor core.
      intra_op_threads: How many threads one operation uses; by default as many as
        TensorFlow finds cores.
    """
    calls = max_concurrent_computation_calls or len(os.sched_getaffinity(0))
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # oneDNN's own allocator doubles its regions and never gives one back: a fifth
        # more memory than the clients' values need.
        "TF_ONEDNN_USE_SYSTEM_ALLOCATOR": "1",
    }
    if intra_op_threads is not None:
        environment["TF_NUM_INTRAOP_THREADS"] = str(intra_op_threads)
    stack = tff.framework.get_context_stack()
    with worker.running_worker(
        max_concurrent_computation_calls=calls, environment=environment
    ) as stub:
        context = ResidentContext(stub)
        try:
            with stack.install(context):
                yield context
        finally:
            context.close()
