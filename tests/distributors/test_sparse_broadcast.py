"""Rounds of the sparse broadcast: by hand, to the bit, and against a transcription."""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.oracles import sparsification
from tff_gs import distributors
from tff_gs.controllers import fixed, schedule
from tff_gs.distributors import sparse_broadcast
from tff_gs.encoders import encoder

_Model = tff.learning.models.ModelWeights
_MODEL_TYPE = tff.to_type(_Model([np.float32, (np.float32, [2, 2])], [np.int64]))
_D = 12
_VECTOR = tff.TensorType(np.float32, [_D])


def _model(numbers, counter):
    numbers = np.float32(numbers)
    return _Model([numbers[0], numbers[1:].reshape(2, 2)], [np.int64(counter)])


@pytest.fixture(scope="module")
def of_model(exact_encoder):
    return distributors.build_sparse_broadcast_process(
        _MODEL_TYPE, k=2, downlink_encoder=exact_encoder
    )


@pytest.fixture(scope="module")
def of_vector(exact_encoder):
    return distributors.build_sparse_broadcast_process(
        _VECTOR, k=2, downlink_encoder=exact_encoder
    )


def test_by_hand(of_model, distribute):
    state = of_model.initialize()
    clients, output = distribute(of_model, state, _model([1, 2, 3, 4, 5], 7))
    for client in clients:
        assert client.trainable[0] == 1
        assert client.trainable[1].tolist() == [[2, 3], [4, 5]]
        assert client.non_trainable == [7]
    # The first model is sent dense: 5 floats, and the 64-bit counter beside it.
    expected = {
        "k": 0,
        "downlink_bits": 160 + 64,
        "message_bits": 0,
        "dense_bits": 160,
        "whole_bits": 64,
        "cached_bits": 0,
        "bits_per_index": 0,
        "change_norm": 0,
        "pending_norm": 0,
    }
    assert dict(output.measurements) == expected

    # The changes are 0.5, 0, -3, 4, 0.
    clients, output = distribute(of_model, output.state, _model([1.5, 2, 0, 8, 5], 8))
    for client in clients:
        assert client.trainable[0] == 1
        assert client.trainable[1].tolist() == [[2, 0], [8, 5]]
        assert client.non_trainable == [8]
    # 4 bytes of header, 8 for each of two entries, 4 of checksum.
    expected = {
        "k": 2,
        "downlink_bits": 192 + 64,
        "message_bits": 192,
        "dense_bits": 0,
        "whole_bits": 64,
        "cached_bits": 160,
        "bits_per_index": 32,
        "change_norm": np.sqrt(np.float32(25.25)),
        "pending_norm": 0.5,
    }
    assert dict(output.measurements) == pytest.approx(expected)

    # What was left out is still wanted; nothing else has changed.
    clients, output = distribute(of_model, output.state, _model([1.5, 2, 0, 8, 5], 8))
    assert clients[1].trainable[0] == 1.5
    assert output.measurements["change_norm"] == 0.5
    assert output.measurements["pending_norm"] == 0


# Multiples of 1/64: their differences are no denormals, which TensorFlow flushes.
_walks = hnp.arrays(
    np.float32, (4, _D), elements=st.integers(-6400, 6400).map(lambda n: n / 64)
)


@hypothesis.settings(deadline=None, max_examples=15)
@hypothesis.given(walk=_walks, k=st.integers(1, _D))
def test_equals_the_transcription_and_clients_the_server(
    of_vector, distribute, walk, k
):
    state = of_vector.initialize()._replace(rule=fixed.FixedState(k))
    replica = walk[0]
    for number, weights in enumerate(walk):
        clients, output = distribute(of_vector, state, weights)
        state = output.state
        change = weights - replica
        if number > 0:
            sent = sparsification.top_k(change, k)
            replica = replica.copy()
            replica[sent] += change[sent]
        np.testing.assert_array_equal(state.replica, replica)
        for client in clients:
            np.testing.assert_array_equal(client, state.replica)


@pytest.mark.parametrize("value", ["quantised4", "bfloat16", "ternary"])
def test_what_a_lossy_code_changes_stays_pending(value, distribute):
    process = distributors.build_sparse_broadcast_process(
        _VECTOR,
        k=1.0,
        downlink_encoder=encoder.Encoder("auto", value),
        seed=3,
    )
    rng = np.random.default_rng(0)
    state, pending = process.initialize(), []
    _, output = distribute(process, state, np.zeros(_D, np.float32))
    weights = rng.normal(size=_D).astype(np.float32)
    for _ in range(30):
        clients, output = distribute(process, output.state, weights)
        np.testing.assert_array_equal(clients[0], output.state.replica)
        pending.append(float(output.measurements["pending_norm"]))
        assert pending[-1] == pytest.approx(
            np.linalg.norm(weights - output.state.replica), rel=1e-5
        )
    assert pending[0] > 0
    assert pending[-1] < 0.01 * pending[0]


def test_k_by_the_share_of_energy(distribute, exact_encoder):
    process = distributors.build_sparse_broadcast_process(
        _VECTOR,
        k=distributors.EnergyShare(share=0.9, k_max=3),
        downlink_encoder=exact_encoder,
    )
    weights = np.zeros(_D, np.float32)
    _, output = distribute(process, process.initialize(), weights)
    counts = []
    for change in ([0, 9, 0, 1], [1, -1, 0, 0], [1, 1, 1, 1, 1]):
        weights = output.state.replica.copy()
        weights[: len(change)] += change
        _, output = distribute(process, output.state, weights)
        counts.append(output.measurements["k"])
    assert counts == [1, 2, 3]


def test_k_by_a_schedule(distribute, exact_encoder):
    process = distributors.build_sparse_broadcast_process(
        _VECTOR,
        k=schedule.Schedule(schedule=[(0, 1), (2, 0.5)]),
        downlink_encoder=exact_encoder,
    )
    state, counts = process.initialize(), []
    for number in range(4):
        _, output = distribute(process, state, np.full(_D, number, np.float32))
        state = output.state
        counts.append(output.measurements["k"])
    assert counts == [0, 1, 6, 6]


def test_a_model_that_diverged(of_vector, distribute):
    weights = np.zeros(_D, np.float32)
    _, output = distribute(of_vector, of_vector.initialize(), weights)
    weights[:2] = np.nan, np.inf
    message = r"Expected finite trainable weights to send, found.*2.*that are not"
    with pytest.raises(Exception, match=message):
        distribute(of_vector, output.state, weights)


def test_the_steps_run_eagerly(exact_encoder):
    steps = sparse_broadcast.SparseBroadcast(
        tff.TensorType(np.float32, [3]), k=1, downlink_encoder=exact_encoder, seed=0
    )
    first, broadcast, _ = steps.write(steps.initial_state(), tf.constant([1.0, 2, 3]))
    assert steps.read(broadcast).numpy().tolist() == [1, 2, 3]
    second, broadcast, measured = steps.write(first, tf.constant([1.5, 2, 5]))
    assert steps.read(broadcast).numpy().tolist() == [1, 2, 5]
    assert second.replica.numpy().tolist() == [1, 2, 5]
    assert measured["pending_norm"] == 0.5
