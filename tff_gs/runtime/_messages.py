"""Values as messages to and from workers, which take each other's as they are."""

from collections.abc import Sequence
from typing import Any

import tensorflow_federated as tff
from tensorflow_federated.proto.v0 import executor_pb2
from tensorflow_federated.python.core.impl.executors import value_serialization


def of_value(value: Any, type_signature: tff.Type) -> executor_pb2.Value:
    """The message of a value in Python."""
    if isinstance(value, tff.structure.Struct):
        value = tff.structure.to_odict_or_tuple(value)
    transformed = tff.tensorflow.transform_args(value)
    return value_serialization.serialize_value(transformed, type_signature)[0]


def of_computation(comp: tff.Computation) -> executor_pb2.Value:
    """The message of a computation, in a form that executors take."""
    return value_serialization.serialize_value(comp, comp.type_signature)[0]


def of_cardinality(clients: int) -> Sequence[Any]:
    """What a request says of the number of clients."""
    return value_serialization.serialize_cardinalities({tff.CLIENTS: clients})


def to_value(message: executor_pb2.Value, type_signature: tff.Type) -> Any:
    """The value in Python, with the containers of its type."""
    value, _ = value_serialization.deserialize_value(message, type_signature)
    return tff.tensorflow.transform_result(
        tff.types.type_to_py_container(value, type_signature)
    )


def joined(messages: Sequence[executor_pb2.Value]) -> executor_pb2.Value:
    """The value of all clients, of the values of blocks of them in their order."""
    if len(messages) == 1:
        return messages[0]
    whole = executor_pb2.Value()
    whole.federated.type.CopyFrom(messages[0].federated.type)
    for message in messages:
        whole.federated.value.extend(message.federated.value)
    return whole
