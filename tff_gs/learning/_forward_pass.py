"""What a model's forward pass does beside computing, read from its graph."""

import re
from collections.abc import Iterable, Iterator

import tensorflow as tf

# Every stateful random operation of TensorFlow is seeded by a pair of attributes, or
# reads the state of a `tf.random.Generator`.
_SEED_ATTRIBUTE = "seed2"
_OF_GENERATORS = re.compile(r"(Rng|Stateful(?!PartitionedCall)|NonDeterministic)")

# What takes a variable and leaves it as it is.
_READS = re.compile(r"(Read|ResourceGather|VariableShape|VarIsInitialized|Identity)")
# TensorFlow notes on a call which of its arguments the function only reads.
_READ_ONLY = "_read_only_resource_inputs"


def random_operations(graph: tf.Graph) -> list[str]:
    """The types of the stateful random operations in `graph`, those of calls included.

    Their numbers come from a state that no seed of ours reaches, unlike those of
    stateless ones.
    """
    return sorted(
        {
            node.op
            for node in _nodes(graph)
            if _SEED_ATTRIBUTE in node.attr or _OF_GENERATORS.match(node.op)
        }
    )


def _nodes(graph: tf.Graph) -> Iterator[tf.compat.v1.NodeDef]:
    definition = graph.as_graph_def()
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def updated_variables(
    function: tf.types.experimental.ConcreteFunction, variables: Iterable[tf.Variable]
) -> list[str]:
    """The names of those of `variables` that `function` writes to."""
    inside = {
        id(captured): placeholder for captured, placeholder in function.graph.captures
    }
    return [
        variable.name
        for variable in variables
        if id(variable.handle) in inside and _is_written(inside[id(variable.handle)])
    ]


def _is_written(resource: tf.Tensor) -> bool:
    """Whether an operation that takes `resource` may change it."""
    return any(
        given is resource and not _only_reads(operation, position)
        for operation in resource.consumers()
        for position, given in enumerate(operation.inputs)
    )


def _only_reads(operation: tf.Operation, position: int) -> bool:
    if _READ_ONLY in operation.node_def.attr:
        return position in operation.get_attr(_READ_ONLY)
    return _READS.match(operation.type) is not None
