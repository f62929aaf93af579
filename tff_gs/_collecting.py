"""From what clients have to all of it at the server: one aggregation."""

from collections.abc import Callable
from typing import Any

import tensorflow_federated as tff


def build_collect(
    member_type: tff.Type,
    *,
    zero: Callable[[], Any],
    add: Callable[[Any, Any], Any],
    join: Callable[[Any, Any], Any],
) -> tff.Computation:
    """A computation `member@CLIENTS -> collected@SERVER`.

    Args:
      member_type: The type of what each client has.
      zero: TensorFlow code; what is collected before any.
      add: Takes one more in.
      join: What two aggregators have collected.
    """
    start = tff.tensorflow.computation(zero)
    collected_type = start.type_signature.result
    accumulate = tff.tensorflow.computation(add, (collected_type, member_type))
    merge = tff.tensorflow.computation(join, (collected_type, collected_type))
    report = tff.tensorflow.computation(lambda collected: collected, collected_type)

    @tff.federated_computation(tff.FederatedType(member_type, tff.CLIENTS))
    def collect(members: tff.Value) -> tff.Value:
        return tff.federated_aggregate(members, start(), accumulate, merge, report)

    return collect
