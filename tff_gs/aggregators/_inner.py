"""What factories around another one have in common: weighted if the other one is."""

from collections.abc import Callable
from typing import Any

import tensorflow_federated as tff

#: From the types of a value and of the weight, if there is one, to the process.
Create = Callable[..., tff.templates.AggregationProcess]


class _Weighted(tff.aggregators.WeightedAggregationFactory):
    """A factory that is a function."""

    def __init__(self, create: Create) -> None:
        self._create = create

    def create(
        self, value_type: tff.Type, weight_type: tff.Type
    ) -> tff.templates.AggregationProcess:
        return self._create(value_type, weight_type)


class _Unweighted(tff.aggregators.UnweightedAggregationFactory):
    """Likewise, without a weight."""

    def __init__(self, create: Create) -> None:
        self._create = create

    def create(self, value_type: tff.Type) -> tff.templates.AggregationProcess:
        return self._create(value_type)


def factory_around(
    inner: tff.aggregators.AggregationFactory, create: Create
) -> tff.aggregators.AggregationFactory:
    """A factory by its `create`, weighted if `inner` is.

    Raises:
      TypeError: If `inner` is no aggregation factory.
    """
    kinds = {
        tff.aggregators.WeightedAggregationFactory: _Weighted,
        tff.aggregators.UnweightedAggregationFactory: _Unweighted,
    }
    for kind, factory in kinds.items():
        if isinstance(inner, kind):
            return factory(create)
    raise TypeError(
        f"Expected inner_agg_factory to be an aggregation factory, found {inner!r}."
    )


def build_initialize(
    state: Callable[[tff.Value, tff.Value], Any],
    inner: tff.templates.AggregationProcess,
    first: Callable[[], Any],
) -> tff.Computation:
    """Gives the first state of a process around `inner`.

    Args:
      state: From the inner state and that of the process itself to both.
      inner: The process inside.
      first: TensorFlow code; the first state of the process itself.
    """
    own = tff.tensorflow.computation(first)

    @tff.federated_computation
    def initialize_fn() -> tff.Value:
        return tff.federated_zip(
            state(inner.initialize(), tff.federated_eval(own, tff.SERVER))
        )

    return initialize_fn


def aggregation_process(
    initialize_fn: tff.Computation,
    run: Callable[..., tff.templates.MeasuredProcessOutput],
    *client_types: tff.Type,
) -> tff.templates.AggregationProcess:
    """The process of a `run(state, value, *weights)`.

    Args:
      initialize_fn: Gives the first state.
      run: A round.
      *client_types: The types of a value and of the weight, if there is one.
    """

    def run_weighted(
        state: tff.Value, value: tff.Value, weight: tff.Value
    ) -> tff.templates.MeasuredProcessOutput:
        return run(state, value, weight)

    def run_unweighted(
        state: tff.Value, value: tff.Value
    ) -> tff.templates.MeasuredProcessOutput:
        return run(state, value)

    next_fn = tff.federated_computation(
        # TFF reads how many arguments there are, and takes no *weights.
        run_weighted if len(client_types) > 1 else run_unweighted,
        initialize_fn.type_signature.result,
        *(tff.FederatedType(kind, tff.CLIENTS) for kind in client_types),
    )
    return tff.templates.AggregationProcess(initialize_fn, next_fn)


def create_inner(
    inner: tff.aggregators.AggregationFactory,
    picked_type: tff.TensorType,
    *weight_types: tff.Type,
) -> Any:
    """The process of `inner` for vectors of k.

    Raises:
      TypeError: If its result is no such vector.
    """
    process = inner.create(picked_type, *weight_types)
    found = process.next.type_signature.result.result.member
    if found != picked_type:
        raise TypeError(
            f"Expected an inner aggregation that results in {picked_type}, found "
            f"{found}."
        )
    return process
