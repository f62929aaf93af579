"""A computation as what server and clients do in turn.

In TFF's call-dominant form a computation is a list of calls, each of them made at one
place. Values cross from the server to the clients (`federated_broadcast`,
`federated_select`) and back (`federated_aggregate`; TFF writes all other aggregations
as this one). What one place computes between two crossings is a stage: a computation
of its own, so that the stages of the clients can run in other processes than those of
the server.

An aggregation is part of the stage of the server. What crosses is what each client
gives to it, in the clients' order, and never the sum of some of them. So the result
does not depend on where the clients are.
"""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

import tensorflow_federated as tff

_Block: TypeAlias = tff.framework.ComputationBuildingBlock
_Bindings: TypeAlias = Sequence[tuple[str, _Block]]
_STAGE = "stage_arg"
_WHOLE = "whole"


@dataclasses.dataclass(frozen=True)
class Stage:
    """What one place computes between two crossings.

    Attributes:
      place: `tff.SERVER` or `tff.CLIENTS`.
      inputs: The names of the values that it takes.
      outputs: The names of the values that it gives.
      computation: From the struct of the inputs, or nothing if there is none, to the
        struct of the outputs.
    """

    place: object
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    computation: tff.Computation


@dataclasses.dataclass(frozen=True)
class Plan:
    """A computation in stages, which run one after the other.

    Parameter and result are taken apart into leaves: what has a placement, is a tensor
    or is a sequence.

    Attributes:
      parameters: The names of the leaves of the parameter, in their order.
      results: The names of the leaves of the result, likewise.
      types: The type of every value that has a name here.
      stages: At the server and at the clients in turn; stages without work are left
        out.
    """

    parameters: tuple[str, ...]
    results: tuple[str, ...]
    types: Mapping[str, tff.Type]
    stages: tuple[Stage, ...]


def whole(native: tff.Computation) -> Plan:
    """The plan of one stage that computes everything, at the server.

    Args:
      native: Any computation that an executor takes.
    """
    parameter, _, types = _parameter(native)
    parameters = tuple(types)
    called = tff.framework.Call(native.to_building_block(), parameter)
    names, results = _result(called.type_signature, _reference(_WHOLE, called))
    types.update((name, value.type_signature) for name, value in results)
    stage = _build_stage(
        tff.SERVER,
        [(_WHOLE, called), *results],
        inputs=parameters,
        outputs=names,
        types=types,
    )
    return Plan(parameters, names, types, (stage,))


def split(native: tff.Computation) -> Plan:
    """The plan of a computation in call-dominant form.

    A call belongs to the first stage in which all that it needs is there. So there are
    as few stages as possible.
    """
    calls, results, types = _calls(native)
    parameters = tuple(types)
    types.update((name, value.type_signature) for name, value in calls.items())
    needs = {name: _references(value) & types.keys() for name, value in calls.items()}
    copied = {name for name in calls if _is_copied(calls[name], types, needs[name])}
    levels = _levels([*parameters, *calls], copied, types, needs)
    levels.update(_levels_of_unplaced(calls, copied, levels, needs, results))
    stages: list[Stage] = []
    wanted = set(results)
    for level in range(max(levels.values(), default=0), -1, -1):
        own = [name for name in calls if levels.get(name) == level]
        outputs = tuple(name for name in own if name in wanted)
        if not outputs:
            continue
        members = {*own, *(name for name in copied if _serves(name, own, needs))}
        stage = _build_stage(
            tff.CLIENTS if level % 2 else tff.SERVER,
            [(name, calls[name]) for name in calls if name in members],
            inputs=_inputs(members, needs, types),
            outputs=outputs,
            types=types,
        )
        stages.insert(0, stage)
        wanted |= set(stage.inputs)
    return Plan(parameters, results, types, tuple(stages))


def _calls(
    native: tff.Computation,
) -> tuple[dict[str, _Block], tuple[str, ...], dict[str, tff.Type]]:
    """The calls by name, the names of the result's leaves, the parameter's types."""
    block = native.to_building_block()
    parameter, name, types = _parameter(native)
    if not isinstance(block, tff.framework.Lambda):
        is_function = isinstance(block.type_signature, tff.FunctionType)
        body = tff.framework.Call(block, parameter) if is_function else block
    else:
        body = _replaced(block.result, name, parameter)
    locals_: _Bindings = []
    if isinstance(body, tff.framework.Block):
        locals_, body = body.locals, body.result
    names, results = _result(body.type_signature, body)
    known = {*types, *(name for name, _ in locals_)}
    calls = dict(locals_)
    aliases = {}
    for name, value in results:
        if isinstance(value, tff.framework.Reference) and value.name in known:
            aliases[name] = value.name
        else:
            calls[name] = value
    return calls, tuple(aliases.get(name, name) for name in names), types


def _parameter(
    native: tff.Computation,
) -> tuple[_Block | None, str | None, dict[str, tff.Type]]:
    """The parameter made of its leaves, its name in the computation, the leaves."""
    types: dict[str, tff.Type] = {}

    def reference(type_signature: tff.Type) -> _Block:
        if isinstance(type_signature, tff.StructType):
            return tff.framework.Struct(
                [
                    (name, reference(element))
                    for name, element in tff.structure.iter_elements(type_signature)
                ]
            )
        name = f"arg_{len(types)}"
        types[name] = type_signature
        return tff.framework.Reference(name, type_signature)

    block = native.to_building_block()
    if getattr(native.type_signature, "parameter", None) is None:
        return None, None, types
    return (
        reference(native.type_signature.parameter),
        getattr(block, "parameter_name", None),
        types,
    )


def _reference(name: str, value: _Block) -> _Block:
    return tff.framework.Reference(name, value.type_signature)


def _replaced(body: _Block, name: str | None, parameter: _Block | None) -> _Block:
    """The body in which the leaves stand for the parts of the parameter."""

    def replace(part: _Block) -> tuple[_Block, bool]:
        if isinstance(part, tff.framework.Reference) and part.name == name:
            return parameter, True
        if isinstance(part, tff.framework.Selection) and isinstance(
            part.source, tff.framework.Struct
        ):
            place = part.index if part.name is None else part.name
            return part.source[place], True
        return part, False

    if parameter is None:
        return body
    return tff.framework.transform_postorder(body, replace)[0]


def _result(
    type_signature: tff.Type, source: _Block
) -> tuple[tuple[str, ...], list[tuple[str, _Block]]]:
    """The names of the leaves of a result, and what each of them is."""
    found: list[tuple[str, _Block]] = []

    def walk(element_type: tff.Type, value: _Block) -> None:
        if not isinstance(element_type, tff.StructType):
            found.append((f"result_{len(found)}", value))
            return
        for index, part in enumerate(element_type):
            walk(
                part,
                value[index]
                if isinstance(value, tff.framework.Struct)
                else tff.framework.Selection(value, index=index),
            )

    walk(type_signature, source)
    return tuple(name for name, _ in found), found


def _references(value: _Block) -> set[str]:
    """The names that a building block refers to; they are unique in a computation."""
    found = set()

    def note(part: _Block) -> tuple[_Block, bool]:
        if isinstance(part, tff.framework.Reference):
            found.add(part.name)
        return part, False

    tff.framework.transform_postorder(value, note)
    return found


def _place(type_signature: tff.Type) -> object:
    """The placement of a value; None if it has none."""
    return getattr(type_signature, "placement", None)


def _is_copied(
    call: _Block, types: Mapping[str, tff.Type], needed: Collection[str]
) -> bool:
    """Whether it gives all clients a value without placement.

    Each stage does so for itself, those of the server too: to count the clients, it
    need not ask them.
    """
    return (
        isinstance(call, tff.framework.Call)
        and isinstance(call.function, tff.framework.Intrinsic)
        and call.function.uri == tff.framework.FEDERATED_VALUE_AT_CLIENTS.uri
        and all(_place(types[name]) is None for name in needed)
    )


def _levels(
    names: Sequence[str],
    copied: Collection[str],
    types: Mapping[str, tff.Type],
    needs: Mapping[str, Collection[str]],
) -> dict[str, int]:
    """The stage of each placed value: even at the server, odd at the clients."""
    levels: dict[str, int] = {}
    for name in names:
        if name in copied or _place(types[name]) is None:
            continue
        own = int(_place(types[name]) is tff.CLIENTS)
        earlier = [levels[other] for other in needs.get(name, ()) if other in levels]
        levels[name] = max([own, *(level + (level % 2 != own) for level in earlier)])
    return levels


def _levels_of_unplaced(
    calls: Mapping[str, _Block],
    copied: Collection[str],
    levels: Mapping[str, int],
    needs: Mapping[str, Collection[str]],
    results: Collection[str],
) -> dict[str, int]:
    """The stage of each call without placement, and of copied values that are results.

    A call is made once, because it may be a random draw: in the stage of the server
    that needs it, or if there are several, or clients need it, in the first one.
    """
    used: dict[str, set[int]] = {name: set() for name in calls}
    found = {}
    for name in reversed(list(calls)):
        if name in results and name not in levels:
            used[name].add(0)
        if name in levels:
            used[name] = {levels[name]}
        elif name not in copied:
            only = next(iter(used[name])) if len(used[name]) == 1 else 0
            found[name] = 0 if only % 2 else only
            used[name] = {found[name]}
        elif name in results:
            found[name] = 0
        for other in needs[name]:
            if other in used:
                used[other] |= used[name]
    return found


def _serves(
    name: str, others: Collection[str], needs: Mapping[str, Collection[str]]
) -> bool:
    """Whether one of the others needs it."""
    return any(name in needs[other] for other in others)


def _inputs(
    members: Collection[str],
    needs: Mapping[str, set[str]],
    types: Mapping[str, tff.Type],
) -> tuple[str, ...]:
    """What the members of a stage need from elsewhere, in a fixed order."""
    needed: set[str] = set().union(*(needs[name] for name in members))
    return tuple(name for name in types if name in needed - set(members))


def _build_stage(
    place: object,
    bindings: _Bindings,
    *,
    inputs: tuple[str, ...],
    outputs: tuple[str, ...],
    types: Mapping[str, tff.Type],
) -> Stage:
    """The stage that computes some calls."""
    parameter = tff.StructType([(None, types[name]) for name in inputs])
    argument = tff.framework.Reference(_STAGE, parameter)
    taken = [
        (name, tff.framework.Selection(argument, index=index))
        for index, name in enumerate(inputs)
    ]
    given = tff.framework.Struct(
        [(None, tff.framework.Reference(name, types[name])) for name in outputs]
    )
    function = tff.framework.Lambda(
        _STAGE if inputs else None,
        parameter if inputs else None,
        tff.framework.Block([*taken, *bindings], given),
    )
    computation = tff.framework.ConcreteComputation.from_building_block(function)
    return Stage(place, inputs, outputs, computation)
