"""Catch-up messages: to the bit, whatever was missed, and their size by hand."""

import itertools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from hypothesis import strategies as st

from tff_gs import exchange as exchange_lib
from tff_gs.exchange import (
    catch_up,
    client_state,
    server_update,
)

_D = 12
_SIZES = [4, 8]


def _build(update=None, **options):
    return exchange_lib.CatchUp(
        update or server_update.SparseSgd(_D, learning_rate=1.0),
        tensor_sizes=_SIZES,
        participation=exchange_lib.PartialParticipation(**options),
    )


@pytest.fixture(scope="module")
def pairs():
    """Its sparse messages are pairs of 32 bits."""
    return _build(index_code="int32")


@pytest.fixture(scope="module")
def smallest():
    return _build()


@pytest.fixture(scope="module")
def adam():
    optimizer = tff.learning.optimizers.build_adam(0.1)
    return _build(server_update.OptimizerUpdate(_D, optimizer=optimizer))


@pytest.fixture(scope="module")
def advance(smallest):
    vector = tf.TensorSpec([_D], tf.float32)
    changed = tf.TensorSpec([_D], tf.int32)
    signature = [changed, vector, vector, tf.TensorSpec([], tf.int32)]
    return tf.function(smallest.advance, input_signature=signature)


def _client(weights, optimizer=()):
    return client_state.initial_client_state(
        np.int32(0),
        server_update.Replica(np.array(weights, np.float32), optimizer),
        np.zeros(2, np.int32),
    )


def _current(weights, last_changed, number, optimizer=()):
    return catch_up.CurrentModel(
        server_update.Replica(np.array(weights, np.float32), optimizer),
        np.array(last_changed, np.int32),
        np.int32(number),
    )


def _as_arrays(state):
    return tf.nest.map_structure(lambda leaf: tf.convert_to_tensor(leaf).numpy(), state)


def _bits(array):
    return np.asarray(array, np.float32).view(np.int32)


def test_a_message_by_hand(pairs):
    before = np.arange(_D, dtype=np.float32)
    after = before.copy()
    after[[3, 7]] = -1.5, 2.5
    last_changed = np.zeros(_D, np.int32)
    last_changed[[3, 7]] = 4, 6
    current = _current(after, last_changed, 6)
    half = np.where(np.arange(_D) == 3, after, before)
    found = pairs.next(
        current, [_client(before), _client(half), _client(after)], [2, 5, 6]
    )
    for caught_up in found:
        np.testing.assert_array_equal(_bits(caught_up.client.weights), _bits(after))
        assert caught_up.round == 6
    receipts = [caught_up.receipt for caught_up in found]
    # The round takes 4 bytes; a message of n entries 4 bytes of header, n of 8, and 4
    # of checksum. Who has the model of this round is sent nothing.
    assert [r.bits for r in receipts] == [8 * (4 + 24), 8 * (4 + 16), 0]
    assert [r.rounds for r in receipts] == [4, 1, 0]
    assert [r.elements for r in receipts] == [2, 1, 0]
    assert [r.units for r in receipts] == [4, 2, 0]
    assert [r.dense for r in receipts] == [0, 0, 0]


def test_all_weights_exactly_where_that_is_smaller(pairs):
    # 8 n bytes of pairs against 48 of weights: equal at n = 6.
    after = np.linspace(1, 2, _D)
    found = {}
    for count in range(_D + 1):
        # The last ones: a message with the first ones only needs no indices.
        last_changed = np.where(np.arange(_D) >= _D - count, 3, 1)
        (caught_up,) = pairs.next(
            _current(after, last_changed, 3),
            [_client(np.where(last_changed == 3, 0.0, after))],
            [2],
        )
        np.testing.assert_array_equal(caught_up.client.weights, after.astype("f4"))
        found[count] = caught_up.receipt
    for count, receipt in found.items():
        dense = count > 6
        assert receipt.dense == dense, count
        assert receipt.elements == (_D if dense else count)
        assert receipt.units == (_D if dense else 2 * count)
        assert receipt.bits == 8 * (4 + 8 + (4 * _D if dense else 8 * count))


_histories = st.lists(
    st.tuples(
        st.lists(
            st.tuples(
                st.integers(0, _D - 1),
                st.floats(-2, 2, width=32) | st.sampled_from([0.0, -0.0]),
            ),
            max_size=_D,
        ),
        st.sets(st.integers(0, 3), min_size=2, max_size=2),
    ),
    min_size=1,
    max_size=5,
)


@hypothesis.settings(deadline=None, max_examples=25)
@hypothesis.given(history=_histories)
def test_replicas_equal_the_model_whatever_they_missed(smallest, advance, history):
    weights = np.linspace(-1, 1, _D).astype(np.float32)
    last_changed = np.zeros(_D, np.int32)
    clients = [(_client(weights), 0)] * 4
    of_round = [weights]
    for number, (changes, cohort) in enumerate(history, start=1):
        before, weights = weights, weights.copy()
        for coordinate, value in changes:
            weights[coordinate] = value
        last_changed = advance(last_changed, before, weights, number).numpy()
        of_round.append(weights)
        cohort = sorted(cohort)
        found = smallest.next(
            _current(weights, last_changed, number),
            [clients[client][0] for client in cohort],
            [clients[client][1] for client in cohort],
        )
        for client, caught_up in zip(cohort, found, strict=True):
            np.testing.assert_array_equal(
                _bits(caught_up.client.weights), _bits(weights)
            )
            # No more than what some round in between changed, or all.
            missed = of_round[clients[client][1] :]
            changed = {
                j
                for one, two in itertools.pairwise(missed)
                for j in np.flatnonzero(_bits(one) != _bits(two))
            }
            assert caught_up.receipt.elements in (len(changed), _D)
            clients[client] = caught_up.client, caught_up.round


def test_the_optimizer_state_goes_with_the_weights(adam):
    optimizer = tff.learning.optimizers.build_adam(0.1)
    spec = tf.TensorSpec([_D], tf.float32)
    first = _as_arrays(optimizer.initialize(spec))
    state, weights = optimizer.initialize(spec), tf.zeros([_D])
    for _ in range(3):
        gradient = tf.one_hot(5, _D)
        state, weights = optimizer.next(state, weights, gradient)
    state = _as_arrays(state)
    last_changed = np.where(np.arange(_D) == 5, 3, 0)
    current = _current(weights.numpy(), last_changed, 3, state)
    clients = [_client(np.zeros(_D), first), _client(weights.numpy(), state)]
    behind, present = adam.next(current, clients, [0, 3])
    for caught_up in (behind, present):
        np.testing.assert_array_equal(
            _bits(caught_up.client.weights), _bits(weights.numpy())
        )
        tf.nest.map_structure(
            np.testing.assert_array_equal, caught_up.client.optimizer, state
        )
    assert present.receipt.bits == present.receipt.units == 0
    leaves = tf.nest.flatten(state)
    numbers = sum(leaf.size for leaf in leaves)
    assert numbers > 2 * _D
    assert behind.receipt.elements == 1
    assert behind.receipt.units == 2 + numbers
    # Round, optimizer and its checksum; of the weight: header, itself, checksum, and
    # its index in one byte at least and two at most.
    others = 4 + sum(leaf.nbytes for leaf in leaves) + 4 + 4 + 4 + 4
    assert others + 1 <= behind.receipt.bits / 8 <= others + 2


def test_a_client_of_a_later_round_is_refused(smallest):
    weights = np.zeros(_D)
    with pytest.raises(Exception, match=r"server.*s round or an earlier one, found"):
        smallest.next(_current(weights, np.zeros(_D), 1), [_client(weights)], [2])


def test_index_codes_that_cannot_write_any_list_are_refused():
    for name in ("leading", "zip"):
        with pytest.raises(ValueError, match=f"index code .*one of .*, found '{name}'"):
            exchange_lib.PartialParticipation(index_code=name)
