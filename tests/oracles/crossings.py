"""What crosses the network in a TFF computation, read off its building blocks."""

import math
from typing import NamedTuple

import numpy as np
import tensorflow_federated as tff

_LOCAL = {
    "federated_apply",
    "federated_eval_at_clients",
    "federated_eval_at_server",
    "federated_map",
    "federated_value_at_clients",
    "federated_value_at_server",
    "federated_zip_at_clients",
    "federated_zip_at_server",
}


class Crossings(NamedTuple):
    """The types of the values that are broadcast, aggregated, and sent to one client.

    The last ones with the keys by which the clients ask for them.
    """

    broadcast: list
    aggregated: list
    selected: list


def crossings(computation):
    """All values that travel between SERVER and CLIENTS in `computation`."""
    found = Crossings([], [], [])

    def visit(block):
        if isinstance(block, tff.framework.Call) and isinstance(
            block.function, tff.framework.Intrinsic
        ):
            uri, argument = block.function.uri, block.argument
            if uri == "federated_broadcast":
                found.broadcast.append(argument.type_signature.member)
            elif uri == "federated_aggregate":
                found.aggregated.append(argument.type_signature[0].member)
            elif uri == "federated_select":
                keys, _, _, select = argument.type_signature
                found.selected.extend([keys.member, select.result])
            else:
                assert uri in _LOCAL, f"{uri} moves values in a way not known here"
        return block, False

    tff.framework.transform_postorder(computation.to_building_block(), visit)
    return found


def tensors(type_signature):
    """The tensor types in `type_signature`."""
    if isinstance(type_signature, tff.TensorType):
        return [type_signature]
    return [leaf for element in type_signature.children() for leaf in tensors(element)]


def assert_sparse(members, dimension):
    """Asserts that `members` are scalars, short vectors, client ids and messages."""
    leaves = [leaf for member in members for leaf in tensors(member)]
    assert leaves
    for leaf in leaves:
        assert leaf.shape is not None, f"{leaf} may have any shape"
        shape = tuple(leaf.shape)
        assert dimension not in shape, f"{leaf} is dense"
        is_list = shape == (None,) and leaf.dtype.type in (np.uint8, np.int32)
        assert is_list or None not in shape, f"{leaf} has no known length"
        assert is_list or math.prod(shape) <= 4, f"{leaf} is long"
