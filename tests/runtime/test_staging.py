"""Computations in stages of server and clients."""

import collections

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tasks import cnn
from tff_gs import learning, sparsifiers
from tff_gs.runtime import _native_form, _staging

_CLIENTS = tff.FederatedType(np.int32, tff.CLIENTS)
_SERVER = tff.FederatedType(np.int32, tff.SERVER)


@tff.tensorflow.computation(np.int32)
def _double(x):
    return 2 * x


@tff.tensorflow.computation(np.int32, np.int32)
def _add(x, y):
    return x + y


def _split(comp):
    return _staging.split(_native_form.native_form(comp))


def _places(plan):
    return "".join("C" if s.place is tff.CLIENTS else "S" for s in plan.stages)


def _run(plan, *leaves):
    """Runs the stages one after the other, each in TFF's own context."""
    values = dict(zip(plan.parameters, leaves, strict=True))
    for stage in plan.stages:
        inputs = [[values[name] for name in stage.inputs]] if stage.inputs else []
        given = stage.computation(*inputs)
        values.update(zip(stage.outputs, given, strict=True))
    return [values[name] for name in plan.results]


def _crossing(plan):
    """The types of what goes from the server to clients, and of what comes back."""
    down, up = [], []
    for stage in plan.stages:
        for name in stage.inputs:
            placement = getattr(plan.types[name], "placement", None)
            if placement is tff.SERVER and stage.place is tff.CLIENTS:
                down.append(str(plan.types[name]))
            if placement is tff.CLIENTS and stage.place is tff.SERVER:
                up.append(str(plan.types[name]))
    return down, up


def test_a_sum_is_work_of_the_clients_and_then_of_the_server():
    @tff.federated_computation(_CLIENTS)
    def comp(x):
        return tff.federated_sum(tff.federated_map(_double, x))

    plan = _split(comp)
    assert _places(plan) == "CS"
    # Each client's number goes up, and no partial sum.
    assert _crossing(plan) == ([], ["{int32}@CLIENTS"])


def test_a_broadcast_begins_at_the_server():
    @tff.federated_computation(_SERVER, _CLIENTS)
    def comp(x, y):
        sent = tff.federated_broadcast(tff.federated_map(_double, x))
        return tff.federated_map(_add, (sent, y))

    plan = _split(comp)
    assert _places(plan) == "SC"
    assert _crossing(plan) == (["int32@SERVER"], [])


def test_a_broadcast_of_the_parameter_needs_no_stage_of_the_server():
    @tff.federated_computation(_SERVER, _CLIENTS)
    def comp(x, y):
        return tff.federated_map(_add, (tff.federated_broadcast(x), y))

    assert _places(_split(comp)) == "C"


def test_every_crossing_begins_a_stage():
    @tff.federated_computation(_CLIENTS)
    def comp(x):
        for _ in range(3):
            total = tff.federated_broadcast(tff.federated_sum(x))
            x = tff.federated_map(_add, (total, x))
        return x, tff.federated_sum(x)

    plan = _split(comp)
    assert _places(plan) == "SCSCSCS"
    # 1, 2: the sums are 3, 9 and 27; each is added once to both.
    values, total = _run(plan, [1, 2])
    assert values == [1 + 3 + 9 + 27, 2 + 3 + 9 + 27]
    assert total == 81


def test_select_goes_down_and_takes_what_it_selects_from_along():
    @tff.tensorflow.computation(tff.TensorType(np.int32, [4]), np.int32)
    def entry(values, key):
        return values[key]

    @tff.tensorflow.computation(tff.SequenceType(np.int32))
    def total(values):
        return values.reduce(np.int32(0), lambda x, y: x + y)

    @tff.federated_computation(
        tff.FederatedType(tff.TensorType(np.int32, [4]), tff.SERVER),
        tff.FederatedType(tff.TensorType(np.int32, [2]), tff.CLIENTS),
    )
    def comp(values, keys):
        most = tff.federated_value(4, tff.SERVER)
        selected = tff.federated_select(keys, most, values, entry)
        return tff.federated_map(total, selected)

    plan = _split(comp)
    assert _places(plan)[-1] == "C"
    values, keys = np.array([1, 10, 100, 1000], np.int32), [[0, 1], [2, 3]]
    (found,) = _run(plan, values, [np.array(key, np.int32) for key in keys])
    assert found == [11, 1100]


def test_results_at_both_places_and_a_value_that_both_use():
    @tff.federated_computation(_SERVER, _CLIENTS)
    def comp(x, y):
        doubled = tff.federated_map(_double, x)
        sent = tff.federated_map(_add, (tff.federated_broadcast(doubled), y))
        total = tff.federated_map(_add, (doubled, tff.federated_sum(sent)))
        return total, sent, doubled, x

    plan = _split(comp)
    assert _places(plan) == "SCS"
    # 2 x = 10; 10 + 1, 10 + 2; 10 + 11 + 12.
    assert _run(plan, 5, [1, 2]) == [33, [11, 12], 10, 5]


def test_a_computation_without_parameter():
    @tff.federated_computation
    def comp():
        return tff.federated_value(3, tff.SERVER)

    plan = _split(comp)
    assert plan.parameters == ()
    assert _run(plan) == [3]


def test_what_has_no_placement_goes_where_it_is_needed():
    @tff.federated_computation(_CLIENTS, np.int32)
    def comp(x, y):
        one = tff.federated_value(y, tff.CLIENTS)
        here = tff.federated_value(y, tff.SERVER)
        total = tff.federated_sum(tff.federated_map(_add, (one, x)))
        return tff.federated_map(_add, (here, total)), y

    plan = _split(comp)
    assert plan.parameters == ("arg_0", "arg_1")
    assert _run(plan, [1, 2], 7) == [7 + (1 + 7) + (2 + 7), 7]


def test_a_draw_without_placement_is_one_for_all_places():
    @tff.tensorflow.computation
    def draw():
        return tf.random.uniform([], maxval=2**30, dtype=tf.int32)

    @tff.federated_computation(_CLIENTS)
    def comp(x):
        drawn = draw()
        added = tff.federated_map(_add, (tff.federated_value(drawn, tff.CLIENTS), x))
        total = tff.federated_sum(added)
        return added, total, tff.federated_value(drawn, tff.SERVER), drawn

    plan = _split(comp)
    assert _places(plan) == "SCS"
    added, total, at_server, drawn = _run(plan, [1, 2])
    assert added == [drawn + 1, drawn + 2]
    assert (total, at_server) == (2 * drawn + 3, drawn)


def test_to_count_the_clients_the_server_asks_nobody():
    @tff.federated_computation(_SERVER, _CLIENTS)
    def comp(x, y):
        count = tff.federated_sum(tff.federated_value(1, tff.CLIENTS))
        sent = tff.federated_broadcast(tff.federated_map(_add, (x, count)))
        return tff.federated_map(_add, (sent, y))

    plan = _split(comp)
    assert _places(plan) == "SC"


def test_a_computation_of_tensorflow_is_one_stage():
    plan = _split(_add)
    assert _places(plan) == "S"
    assert _run(plan, 2, 3) == [5]


def test_structures_are_taken_apart_to_what_has_a_placement():
    pair = tff.FederatedType(
        tff.to_type([("a", np.int32), ("b", np.int32)]), tff.SERVER
    )

    @tff.federated_computation(
        [("left", [("x", pair)]), ("right", _CLIENTS), ("none", [])]
    )
    def comp(arg):
        return collections.OrderedDict(
            sum=tff.federated_sum(arg.right), same=[arg.left.x]
        )

    plan = _split(comp)
    assert [str(plan.types[name]) for name in plan.parameters] == [
        "<a=int32,b=int32>@SERVER",
        "{int32}@CLIENTS",
    ]
    assert [str(plan.types[name]) for name in plan.results] == [
        "int32@SERVER",
        "<a=int32,b=int32>@SERVER",
    ]
    # What is only handed on is in no stage.
    assert plan.results[1] == plan.parameters[0]
    assert [stage.inputs for stage in plan.stages] == [("arg_1",)]


def test_whole_is_one_stage_with_the_same_leaves():
    @tff.federated_computation(_SERVER, _CLIENTS)
    def comp(x, y):
        sent = tff.federated_map(_add, (tff.federated_broadcast(x), y))
        return collections.OrderedDict(sum=tff.federated_sum(sent), sent=(sent,))

    plan = _staging.whole(_native_form.native_form(comp))
    assert len(plan.stages) == 1
    assert _run(plan, 1, [10, 20]) == [32, [11, 21]]


@pytest.mark.parametrize(
    ("sparsifier", "places"),
    [
        # Decide; work; select; apply; finish.
        (sparsifiers.FabTopK(), "SCSCS"),
        # An election before: decide; work, ballots; elect; values; select; ...
        (sparsifiers.FabConsensus(), "SCSCSCS"),
        # The ballots travel with the values.
        (sparsifiers.PipelinedConsensus(), "SCSCS"),
    ],
)
def test_a_round_has_the_stages_of_its_protocol(sparsifier, places):
    process = learning.build_sparsified_fed_sgd(
        cnn.small_cnn((8, 8, 1), 10, 0), learning_rate=0.2, sparsifier=sparsifier
    )
    plan = _split(process.next)
    assert _places(plan) == places
    down, up = _crossing(plan)
    # Messages and scalars cross, and nothing of D entries.
    dimension = str(process.objective.dimension)
    assert not any(dimension in crossing for crossing in (*down, *up))
