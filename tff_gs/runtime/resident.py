"""An execution context in which clients' values stay in the TFF runtime.

TFF's own contexts carry every result of a computation to Python, and back with the
next call. Here a CLIENTS-placed result comes back as a `ResidentValue`, a handle to
the value inside the worker process, which later calls accept in the value's place;
only server-placed results are fetched. Computations are written and called as usual.
"""

import asyncio
import atexit
import collections
import contextlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff
from tensorflow_federated.python.core.environments.tensorflow_backend import (
    tensorflow_tree_transformations,
)
from typing_extensions import override

from tff_gs import _client_values
from tff_gs.runtime import (
    _default_context,
    _executors,
    _lasting_thread,
    _spool,
    _worker,
    _worker_process,
    spool_folder,
)

atexit.register(_default_context.let_go)

_REMEMBERED = 4
# Up to here the values of all clients go in one message; it is quicker than files.
_MESSAGE_BYTES = 2**20
# What a leaf takes in a message beside its bytes, generously.
_LEAF_BYTES = 64
# The numbers of clients' files are the one message that grows with the clients.
_NUMBERS = tff.FederatedType(np.int32, tff.CLIENTS)


class ResidentValue(tff.framework.Ingestable, tff.framework.CardinalityCarrying):
    """A CLIENTS-placed value that lives in the worker of a `ResidentContext`."""

    def __init__(
        self,
        value: Any,
        type_signature: tff.FederatedType,
        clients: int,
        context: "ResidentContext",
        executor: tff.framework.RemoteExecutor,
    ):
        """Called by `ResidentContext` only.

        Args:
          value: The value of the executor.
          type_signature: Its type, {T}@CLIENTS.
          clients: How many clients it has values of.
          context: Where it lives.
          executor: That of the context in which it lives.
        """
        self._value = value
        self._type_signature = type_signature
        self._clients = clients
        self._context = context
        self._executor = executor

    @property
    def type_signature(self) -> tff.FederatedType:
        """The TFF type of the value."""
        return self._type_signature

    @property
    @override
    def cardinality(self) -> Mapping[Any, int]:
        return {tff.CLIENTS: self._clients}

    def __len__(self) -> int:
        return self._clients

    @override
    async def ingest(self, executor: Any) -> Any:
        """Only executors of the value's own context accept it.

        Raises:
          ValueError: In one sentence, if it is another one, or closed.
        """
        self._context.require_open("a value")
        if executor is not self._executor:
            raise ValueError(
                "Expected a value that lives in the execution context of this call, "
                "found a ResidentValue of another one: fetch() it first."
            )
        return self._value

    def fetch(self, places: Sequence[int] | None = None) -> list[Any]:
        """The clients' values as a list in Python, copied out of the worker.

        A sequence comes as the list of its elements.

        Args:
          places: Which of the clients', by their place, in this order; None: all.

        Raises:
          ValueError: In one sentence, if the context is closed, or a tensor is of
            more than 2 GiB.
          SpoolError: If the temporary folder has no room.
        """
        return self._context.fetch(self, places)


class ResidentContext(tff.framework.SyncContext):
    """Runs computations in one worker process; see the module.

    What clients have moves to the worker and back through files (`spool`), whatever
    its size; only what is small goes in a message.

    Errors of the worker are of one sentence: a `ValueError` for an assertion in a
    computation, "Expected ..., found ...", a `WorkerLostError` if the worker process
    ended, else a `WorkerError`.
    """

    def __init__(self, stub: tff.framework.RemoteExecutorStub, files: _spool.Spool):
        """Uses the worker that `stub` reaches.

        Args:
          stub: It.
          files: For values on their way.
        """
        self._executors = _executors.Executors(stub)
        self._compiled: dict[int, tuple[tff.Computation, Any]] = {}
        # What was fetched last, by the id of its Python form, with its handle: the
        # server's state mostly comes back unchanged with the next round.
        self._fetched: collections.OrderedDict[int, _Fetched] = (
            collections.OrderedDict()
        )
        # A thread of its own: a notebook's thread has a running event loop already.
        self._thread = _lasting_thread.LastingThread("tff_gs resident context")
        self._spool = files
        self._closed = False

    def close(self) -> None:
        """Forgets all values."""
        if self._closed:
            return
        self._closed = True
        self._thread.end()
        self._fetched.clear()
        self._executors.close()

    def require_open(self, wanted: str) -> None:
        """Raises ValueError, in one sentence, if the context is closed."""
        if self._closed:
            raise ValueError(
                f"Expected {wanted} of an execution context in use, found one whose "
                "with block has ended: fetch() values before that."
            )

    def place(self, values: Sequence[Any], type_signature: tff.Type) -> ResidentValue:
        """Moves clients' values into the worker.

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
        return self._run(self._place_resident(values, type_signature))

    def fetch(
        self, value: ResidentValue, places: Sequence[int] | None = None
    ) -> list[Any]:
        """See `ResidentValue.fetch`."""
        self.require_open("a value")
        if places is None:
            places = range(len(value))
        return self._run(self._fetch(value, places))

    @override
    def invoke(self, comp: tff.Computation, arg: Any) -> Any:
        self.require_open("a call")
        return self._run(self._invoke(comp, arg))

    def _run(self, coroutine: Any) -> Any:
        return self._thread.run(asyncio.run, coroutine)

    def _compile(self, comp: tff.Computation) -> Any:
        if id(comp) not in self._compiled:
            native = _native_form(comp)
            # With the computation itself: its id then stays taken.
            self._compiled[id(comp)] = (comp, native)
        return self._compiled[id(comp)][1]

    def _resident(
        self, value: Any, type_signature: tff.FederatedType, clients: int
    ) -> ResidentValue:
        """The handle of a value, whose executor is kept for as long as it is there."""
        executor = self._executors.use(clients)
        handle = ResidentValue(value, type_signature, clients, self, executor.remote)
        executor.values.add(handle)
        return handle

    async def _place_resident(
        self, values: Sequence[Any], placed: tff.FederatedType
    ) -> ResidentValue:
        value = await self._place(values, placed)
        return self._resident(value, placed, len(values))

    async def _place(self, values: Sequence[Any], placed: tff.FederatedType) -> Any:
        """The value in the worker."""
        values = _client_values.as_list(values, f"a value of {placed.member} for each")
        flat = [
            _client_values.flatten(value, placed.member, f"client {client}")
            for client, value in enumerate(values)
        ]
        if _size(flat) <= _MESSAGE_BYTES and _has_ranks(placed.member):
            return await self._send(flat, placed)
        numbers = self._spool.number(len(flat))
        try:
            self._spool.write(numbers, flat, placed.member)
            sent = await self._send([[np.int32(n)] for n in numbers], _NUMBERS)
            read = self._spool.reader(placed.member)
            called = await self._call(read, sent, len(flat))
            remote = self._executors.use(len(flat)).remote
            await (await remote.create_selection(called, 1)).compute()
            return await remote.create_selection(called, 0)
        finally:
            self._spool.clear()

    async def _send(self, flat: list[list[Any]], placed: tff.FederatedType) -> Any:
        """The value in the worker, of values that are small, in one message."""
        packed = [_client_values.pack(leaves, placed.member) for leaves in flat]
        remote = self._executors.use(len(flat)).remote
        return await remote.create_value(tff.tensorflow.transform_args(packed), placed)

    async def _fetch(self, value: ResidentValue, places: Sequence[int]) -> list[Any]:
        member = value.type_signature.member
        remote = self._executors.use(len(value)).remote
        inside = await value.ingest(remote)
        if _type_size(member) * len(value) <= _MESSAGE_BYTES:
            everybody = await _compute(inside, value.type_signature)
            return [everybody[place] for place in places]
        numbers = np.full(len(value), -1, np.int32)
        numbers[list(places)] = self._spool.number(len(places))
        try:
            sent = await self._send([[number] for number in numbers], _NUMBERS)
            argument = await remote.create_struct([inside, sent])
            write = self._spool.writer(member)
            with spool_folder.full_disk_in_worker(self._spool.folder):
                await (await self._call(write, argument, len(value))).compute()
            return self._spool.read(numbers[list(places)].tolist(), member)
        finally:
            self._spool.clear()

    async def _call(self, comp: tff.Computation, argument: Any, clients: int) -> Any:
        """Calls a computation, whose graphs travel to an executor once."""
        executor = self._executors.use(clients)
        if id(comp) not in executor.functions:
            native = self._compile(comp)
            executor.functions[id(comp)] = await executor.remote.create_value(
                native, native.type_signature
            )
        return await executor.remote.create_call(executor.functions[id(comp)], argument)

    async def _invoke(self, comp: tff.Computation, arg: Any) -> Any:
        parameter, result = comp.type_signature.parameter, comp.type_signature.result
        clients = _count_clients(arg, parameter) if parameter is not None else set()
        if len(clients) > 1:
            raise ValueError(
                "Expected values of the same number of clients in all arguments, "
                f"found {sorted(clients)}."
            )
        count = clients.pop() if clients else 0
        executor = self._executors.use(count).remote
        argument = None
        if parameter is not None:
            argument = await self._ingest(executor, arg, parameter)
        called = await self._call(comp, argument, count)
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
            return _client_values.as_container(elements, type_signature)
        if _is_of_clients(type_signature):
            return self._resident(value, type_signature, clients)
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
        if _is_of_clients(type_signature):
            return await self._place(arg, type_signature)
        return await executor.create_value(
            tff.tensorflow.transform_args(_to_python(arg)), type_signature
        )


async def _compute(value: Any, type_signature: tff.Type) -> Any:
    """The Python form of a value in the worker."""
    return tff.tensorflow.transform_result(
        tff.types.type_to_py_container(await value.compute(), type_signature)
    )


class _Fetched(NamedTuple):
    """A fetched structure; held here to keep its id taken."""

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
    """What the worker runs: as TFF's native contexts compile it, except for Grappler.

    Those let Grappler trade time for memory (activations are computed twice), which
    costs a third of a CNN's gradient; its default settings do not.

    Secure sums are simulated: computed in the clear.
    """
    desugared, _ = tensorflow_tree_transformations.replace_intrinsics_with_bodies(
        tff.backends.test.replace_secure_intrinsics_with_bodies(
            comp
        ).to_building_block()
    )
    return tff.backends.native.transform_to_native_form(
        tff.framework.ConcreteComputation.from_building_block(desugared),
        grappler_config=tf.compat.v1.ConfigProto(),
    )


def _is_of_clients(type_signature: tff.Type) -> bool:
    """Whether each client has a value of its own."""
    return (
        isinstance(type_signature, tff.FederatedType)
        and type_signature.placement is tff.CLIENTS
        and not type_signature.all_equal
    )


def _size(leaves: Any) -> int:
    """An upper bound on the bytes of values in a message, if they are small."""
    if isinstance(leaves, list):
        return sum(map(_size, leaves)) + _LEAF_BYTES
    if leaves.dtype == object:
        return sum(len(entry) * 4 for entry in leaves.flat) + _LEAF_BYTES
    return leaves.nbytes + _LEAF_BYTES


def _type_size(value_type: tff.Type) -> float:
    """The same of a value of a type; infinite if the type does not fix it."""
    size = float(_LEAF_BYTES)
    for leaf in _client_values.leaf_types(value_type):
        if not isinstance(leaf, tff.TensorType) or not _is_fixed(leaf):
            return math.inf
        size += math.prod(leaf.shape) * leaf.dtype.itemsize + _LEAF_BYTES
    return size


def _has_ranks(value_type: tff.Type) -> bool:
    """Whether TFF can send values of the type in a message."""
    return all(
        _has_ranks(leaf.element)
        if isinstance(leaf, tff.SequenceType)
        else leaf.shape is not None
        for leaf in _client_values.leaf_types(value_type)
    )


def _is_fixed(tensor_type: tff.TensorType) -> bool:
    shape = tf.TensorShape(tensor_type.shape)
    return shape.is_fully_defined() and tf.as_dtype(tensor_type.dtype) != tf.string


def _count_clients(arg: Any, type_signature: tff.Type) -> set[int]:
    """The numbers of clients that the CLIENTS-placed parts of `arg` have."""
    if _is_of_clients(type_signature):
        if isinstance(arg, ResidentValue):
            return {len(arg)}
        return {len(_client_values.as_list(arg, f"a value of {type_signature.member}"))}
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
    stack = tff.framework.get_context_stack()
    with (
        contextlib.closing(_spool.Spool()) as files,
        _worker.running_worker(
            max_concurrent_computation_calls=calls,
            environment=_worker_process.usual_environment(intra_op_threads),
        ) as stub,
        contextlib.closing(ResidentContext(stub, files)) as context,
        stack.install(context),
    ):
        yield context
