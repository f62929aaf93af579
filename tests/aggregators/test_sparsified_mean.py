"""Rounds of the sparsified means: by hand, and against the transcription."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from hypothesis import strategies as st

from tests.oracles import server_memory
from tff_gs import aggregators
from tff_gs.controllers import exp3, fixed, schedule
from tff_gs.encoders import encoder
from tff_gs.sparsifiers import fab_top_k, unidirectional_top_k

_FLOAT = tff.TensorType(np.float32)
_D = 12
_VECTOR = tff.TensorType(np.float32, [_D])
_FACTORIES = {
    "fab": aggregators.fab_top_k_factory,
    "fub": aggregators.fub_top_k_factory,
    "top_k": aggregators.top_k_factory,
}


def _floats(numbers):
    return [np.float32(number) for number in numbers]


@pytest.fixture(scope="module")
def processes(exact_encoder):
    """The weighted processes of vectors of twelve, all with error feedback."""
    return {
        name: build(3, uplink_encoder=exact_encoder, error_feedback=True).create(
            _VECTOR, _FLOAT
        )
        for name, build in _FACTORIES.items()
    }


@pytest.fixture(scope="module")
def fab_of_nested(nested_type, exact_encoder):
    return aggregators.fab_top_k_factory(3, uplink_encoder=exact_encoder).create(
        nested_type, _FLOAT
    )


def _pad(*numbers):
    return np.float32([*numbers, *[0] * (_D - len(numbers))])


def test_fab_by_hand(fab_of_nested, nest, unnest):
    updates = [nest([1, -5, 3, 0, 2, 0, 0, 0.5]), nest([0, 0, 7, 1, -6, 2, 0, 0])]
    # The clients send coordinates 1, 2, 4 and 2, 4, 5, largest first. Both first
    # ranks and both second ranks are three coordinates, and kappa is 2.
    output = fab_of_nested.next(
        fab_of_nested.initialize(), updates, _floats([1.0, 3.0])
    )
    assert unnest(output.result) == [0, -1.25, 6, 0, -4, 0, 0, 0]
    assert output.state.memory.tolist() == [0, 0, 0, 0, 0, 1.5, 0, 0]
    measurements = output.measurements
    assert measurements["kappa"] == 2
    assert measurements["selected"] == measurements["k"] == 3
    assert measurements["memory_norm"] == 1.5
    # Of 39.25 and 90, energies of 1.25 and 1 were not sent.
    dropped = (1.25 / 39.25 + 1 / 90) / 2
    assert measurements["dropped_energy"] == pytest.approx(dropped)

    # The memory, of weight 4, ranks coordinate 5 first: J is {1, 2, 5}.
    output = fab_of_nested.next(output.state, updates, _floats([1.0, 3.0]))
    assert unnest(output.result) == [0, -1.25, 6, 0, 0, 3, 0, 0]
    assert output.state.memory.tolist() == [0, 0, 0, 0, -4, 0, 0, 0]
    assert output.measurements["kappa"] == 1

    # Only the second client has weight; its three and coordinate 4 fit.
    output = fab_of_nested.next(output.state, updates, _floats([0.0, 3.0]))
    assert unnest(output.result) == [0, 0, 7, 0, -10, 2, 0, 0]
    assert not output.state.memory.any()


def test_the_result_has_the_dtypes_of_the_value(fab_of_nested, nest):
    output = fab_of_nested.next(
        fab_of_nested.initialize(), [nest(range(8))], _floats([1.0])
    )
    assert output.result["a"].dtype == np.float32
    assert output.result["b"][0].dtype == np.float64
    assert output.result["b"][1].dtype == np.float16


def test_fub_by_hand(processes):
    process = processes["fub"]
    state = process.initialize()
    state = state._replace(rule=fixed.FixedState(1))
    output = process.next(state, [_pad(4, 0, 3), _pad(0, 1, 6)], _floats([1, 1]))
    assert output.result.tolist() == _pad(0, 0, 3).tolist()
    assert output.state.memory.tolist() == _pad(2).tolist()
    assert output.measurements["kappa"] == 0
    output = process.next(output.state, [_pad(1), _pad(0, 1)], _floats([1, 1]))
    assert output.result.tolist() == _pad(2.5).tolist()
    assert output.state.memory.tolist() == _pad(0, 0.5).tolist()


def test_top_k_by_hand(processes):
    process = processes["top_k"]
    state = process.initialize()._replace(rule=fixed.FixedState(1))
    output = process.next(state, [_pad(4, 0, 3), _pad(0, 1, 6)], _floats([1, 3]))
    assert output.result.tolist() == _pad(1, 0, 4.5).tolist()
    assert not output.state.memory.any()
    assert output.measurements["selected"] == 2


def test_bits_by_hand(processes):
    # 4 bytes of header, 4 + 4 for each entry, 4 of checksum; weight and energy.
    bits = 8 * (4 + 3 * 8 + 4) + 64
    output = processes["fab"].next(
        processes["fab"].initialize(), [_pad(1, 2, 3)] * 2, _floats([1, 0])
    )
    empty = 8 * (4 + 4) + 64
    assert output.measurements["uplink_bits"] == bits + empty
    assert output.measurements["largest_uplink_bits"] == bits
    assert output.measurements["bits_per_index"] == 32
    assert output.measurements["messages"] == 2
    assert output.measurements["refused"] == 0


@pytest.mark.parametrize("name", _FACTORIES)
def test_all_weights_zero(processes, name):
    process = processes[name]
    memory = np.arange(_D, dtype=np.float32)
    state = process.initialize()._replace(memory=memory)
    output = process.next(state, [_pad(1, 2), _pad(3)], _floats([0, 0]))
    assert not output.result.any()
    np.testing.assert_array_equal(output.state.memory, memory)
    assert output.measurements["selected"] == 0


@pytest.mark.parametrize("name", _FACTORIES)
@pytest.mark.parametrize(
    ("update", "weight"),
    [
        (_pad(np.nan), 100.0),
        (_pad(0, np.inf), 100.0),
        (_pad(9, 9, 9), -1.0),
        (_pad(9, 9, 9), np.nan),
        (_pad(9, 9, 9), np.inf),
    ],
)
def test_what_is_refused_counts_for_nothing(processes, name, update, weight):
    process = processes[name]
    good = [_pad(1, -5, 3), _pad(0, 2, 2, 2)]
    expected = process.next(process.initialize(), good, _floats([1, 3]))
    output = process.next(
        process.initialize(), [*good, update], _floats([1, 3, weight])
    )
    np.testing.assert_array_equal(output.result, expected.result)
    np.testing.assert_array_equal(output.state.memory, expected.state.memory)
    assert output.measurements["messages"] == 3
    assert output.measurements["refused"] == 1
    for same in ("dropped_energy", "bits_per_index", "memory_norm", "kappa"):
        assert output.measurements[same] == expected.measurements[same]


def test_a_client_of_no_weight_may_hold_anything(processes):
    process = processes["fab"]
    output = process.next(
        process.initialize(), [_pad(1, 2, 3), _pad(np.nan)], _floats([1, 0])
    )
    assert output.result.tolist() == _pad(1, 2, 3).tolist()
    assert output.measurements["refused"] == 0
    assert output.measurements["dropped_energy"] == 0.5


_entries = st.lists(st.integers(-9, 9), min_size=_D, max_size=_D)
_rounds = st.lists(
    st.lists(st.tuples(_entries, st.integers(0, 4)), min_size=1, max_size=4),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("name", _FACTORIES)
@hypothesis.settings(deadline=None, max_examples=15)
@hypothesis.given(rounds=_rounds, k=st.integers(1, _D))
def test_equals_the_transcription(processes, name, rounds, k):
    process = processes[name]
    state = process.initialize()._replace(rule=fixed.FixedState(k))
    memory = np.zeros(_D, np.float32)
    for clients in rounds:
        updates = [np.float32(update) for update, _ in clients]
        weights = [weight for _, weight in clients]
        expected = server_memory.sparsified_mean(updates, weights, memory, k, name)
        output = process.next(state, updates, _floats(weights))
        state, memory = output.state, expected.memory
        np.testing.assert_array_equal(output.result, expected.result)
        np.testing.assert_array_equal(state.memory, expected.memory)
        assert output.measurements["selected"] == expected.selected


def test_unweighted_is_weight_one(processes, exact_encoder):
    process = aggregators.fab_top_k_factory(
        3, weighted=False, uplink_encoder=exact_encoder
    ).create(_VECTOR)
    updates = [_pad(1, -5, 3), _pad(0, 2, 2, 2)]
    expected = processes["fab"].next(
        processes["fab"].initialize(), updates, _floats([1, 1])
    )
    output = process.next(process.initialize(), updates)
    np.testing.assert_array_equal(output.result, expected.result)
    np.testing.assert_array_equal(output.state.memory, expected.state.memory)
    assert output.measurements == expected.measurements


def test_k_by_a_schedule(exact_encoder):
    rule = schedule.Schedule(schedule=[(0, 1), (2, 0.5)])
    process = aggregators.top_k_factory(rule, uplink_encoder=exact_encoder).create(
        _VECTOR, _FLOAT
    )
    state, selected = process.initialize(), []
    for _ in range(3):
        output = process.next(state, [np.arange(_D, dtype=np.float32)], _floats([1]))
        state = output.state
        selected.append(output.measurements["selected"])
    assert selected == [1, 1, 6]


class _Greedy(fab_top_k.FabTopK):
    """Clients send all that they have if their first entry is 1,000."""

    def sparsify(self, residual, k, shared, seed):
        everything = tf.equal(residual[0], 1000.0)
        return super().sparsify(
            residual, tf.where(everything, self.dimension, k), shared, seed
        )


@pytest.mark.parametrize("k", [3, schedule.Schedule(schedule=[(0, 3)])])
def test_a_client_that_sends_more_than_k_counts_for_nothing(exact_encoder, k):
    """Whatever k it claims: the server knows k from nobody but itself."""
    process = aggregators.SparsifiedMeanFactory(
        sparsifier=_Greedy(), k=k, uplink_encoder=exact_encoder
    ).create(_VECTOR, _FLOAT)
    greedy = np.full(_D, 1000.0, np.float32)
    output = process.next(
        process.initialize(), [greedy, _pad(0, 1, 6)], _floats([5, 1])
    )
    assert output.measurements["refused"] == 1
    assert output.result.tolist() == _pad(0, 1, 6).tolist()


def test_a_rule_that_probes_is_refused():
    rule = exp3.Exp3(arms=(2, 4), horizon=10)
    with pytest.raises(ValueError, match=r"needs no probe .*, found Exp3"):
        aggregators.fab_top_k_factory(rule).create(_VECTOR, _FLOAT)


def test_rounding_is_fixed_by_the_seed_and_differs_by_client_and_round():
    factory = aggregators.SparsifiedMeanFactory(
        sparsifier=unidirectional_top_k.UnidirectionalTopK(),
        k=1.0,
        uplink_encoder=encoder.Encoder("bitmap", "quantised1"),
        seed=5,
    )
    process = factory.create(_VECTOR, _FLOAT)
    update = np.linspace(-1, 1, _D).astype(np.float32)
    state = process.initialize()
    one = process.next(state, [update], _floats([1]))
    again = process.next(state, [update], _floats([1]))
    np.testing.assert_array_equal(one.result, again.result)
    other_round = process.next(one.state, [update], _floats([1]))
    assert np.any(other_round.result != one.result)
    # Of two clients that rounded alike, the mean would be what each sent.
    mirrored = process.next(state, [update, -update], _floats([1, 1]))
    assert mirrored.result.any()
    assert one.measurements["dropped_energy"] > 0
