"""The exchange as it runs, against the definitions of its steps in NumPy."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tests.exchange.made_up import DIMENSION, SIZES, draw_gradients
from tests.oracles import sparsification
from tff_gs import _seeds, sparse_vector
from tff_gs.controllers import controller
from tff_gs.encoders import codec
from tff_gs.encoders.encoder import Encoder
from tff_gs.exchange import (
    client_state,
    client_work,
    messages,
    server_update,
    sparse_exchange,
)
from tff_gs.exchange import receipts as receipts_lib
from tff_gs.sparsifiers import (
    _seeded_permutation,
    fab_top_k,
    fub_top_k,
    gtop_k,
    periodic_k,
    random_k,
    send_all,
    unidirectional_top_k,
)

_SEED = np.array([0, 7], np.int32)


def _forgetting(select):
    """With the selection, what each client forgets: what was sent and selected."""

    def oracle(residuals, client_weights, k):
        selected = select(residuals, client_weights, k)
        sent = [sparsification.top_k(residual, k) for residual in residuals]
        return selected, [np.intersect1d(js, selected.indices) for js in sent]

    return oracle


def _send_all(residuals, client_weights, k):
    selected = sparsification.send_all(residuals, client_weights, k)
    return selected, [selected.indices] * len(residuals)


def _order(number):
    """The order of all coordinates that the seed's `number`-th draw stands for."""
    drawn = _seeds.draw(_SEED, _seeds.Purpose.SHARED_ORDER, number)
    return _seeded_permutation.permute(
        tf.range(DIMENSION), tf.stack([drawn, 0]), dimension=DIMENSION
    ).numpy()


class _SharedOrder:
    """The oracle of a run: every call is the next round."""

    def __init__(self, take):
        self._take = take

    def __call__(self, residuals, client_weights, k):
        coordinates = self._take(k)
        selected = sparsification.shared_order(residuals, client_weights, coordinates)
        return selected, [coordinates] * len(residuals)


def _random_k():
    numbers = itertools.count()
    return _SharedOrder(lambda k: _order(next(numbers))[:k])


def _periodic_k():
    return _SharedOrder(sparsification.Passes(_order).take)


# With each method, what builds the oracle of a run.
_METHODS = {
    "fab": (fab_top_k.FabTopK, lambda: _forgetting(sparsification.fab)),
    "fub": (fub_top_k.FubTopK, lambda: _forgetting(sparsification.fub)),
    "unidirectional": (
        unidirectional_top_k.UnidirectionalTopK,
        lambda: _forgetting(sparsification.unidirectional),
    ),
    "gtopk": (gtop_k.GTopK, lambda: sparsification.gtop_k),
    "random": (random_k.RandomK, _random_k),
    "periodic": (periodic_k.PeriodicK, _periodic_k),
    "send_all": (send_all.SendAll, lambda: _send_all),
}
_IMPLICIT = ("random", "periodic", "send_all")


def test_type_signature(build_exchange):
    exchange = build_exchange(fab_top_k.FabTopK, DIMENSION)
    vector = tff.TensorType(np.float32, [DIMENSION])
    replica = tff.to_type(server_update.Replica(vector, ()))
    state = client_state.client_state_type(replica)
    parameter = exchange.next.type_signature.parameter
    assert parameter.replica == tff.FederatedType(replica, tff.SERVER)
    assert parameter.clients == tff.FederatedType(state, tff.CLIENTS)
    given = tff.to_type(client_work.Given(vector, np.float32))
    assert parameter.inputs == tff.FederatedType(given, tff.CLIENTS)
    result = exchange.next.type_signature.result
    assert result.replica == tff.FederatedType(replica, tff.SERVER)
    assert result.clients == tff.FederatedType(state, tff.CLIENTS)
    assert result.contributed == tff.FederatedType(np.int32, tff.CLIENTS)
    assert result.outcome.placement is tff.SERVER


@pytest.mark.parametrize("method", _METHODS)
def test_rounds_follow_the_definition_and_lose_nothing(
    build_exchange, build_rounds, method
):
    sparsifier, build_oracle = _METHODS[method]
    oracle = build_oracle()
    run = build_rounds(build_exchange(sparsifier, DIMENSION, probes=True), SIZES)
    residuals = np.zeros([len(SIZES), DIMENSION], np.float32)
    applied = np.zeros([len(SIZES), DIMENSION])
    gradients = draw_gradients(1, 7)
    for gradient, k in zip(gradients, [1, 5, DIMENSION, 13, 6, 2, 39], strict=True):
        before = run.weights
        output = run.run(gradient, k, k // 2)

        residuals += gradient
        selected, forgotten = oracle(residuals, SIZES, k)
        applied_now = np.zeros_like(applied)
        for i, (residual, dropped) in enumerate(zip(residuals, forgotten, strict=True)):
            applied_now[i, dropped] = residual[dropped]
            residual[dropped] = 0.0
            assert output.contributed[i] == len(dropped)
        applied += applied_now
        np.testing.assert_array_equal(run.residuals(), residuals)
        # What is applied is the weighted mean of what the clients forget.
        np.testing.assert_allclose(
            before.astype(np.float64) - run.weights,
            np.average(applied_now, axis=0, weights=SIZES),
            rtol=1e-5,
            atol=1e-5,
        )
        assert output.outcome.downlink_elements == len(selected.indices)
        assert output.outcome.kappa == selected.kappa
        sent = len(selected.indices) if method in _IMPLICIT else k
        np.testing.assert_array_equal(
            output.outcome.receipts.elements, [sent] * len(SIZES)
        )
    np.testing.assert_allclose(
        gradients.sum(axis=0, dtype=np.float64),
        applied + run.residuals(),
        rtol=1e-5,
        atol=1e-4,
    )


@pytest.mark.parametrize("method", _METHODS)
def test_replicas_equal_the_server_to_the_bit(build_exchange, build_rounds, method):
    sparsifier, _ = _METHODS[method]
    exchange = build_exchange(sparsifier, DIMENSION, probes=True, learning_rate=0.037)
    weights = np.random.default_rng(5).normal(size=DIMENSION).astype(np.float32)
    run = build_rounds(exchange, SIZES, weights=weights)
    for number, gradient in enumerate(draw_gradients(2, 25)):
        k = 1 + 7 * number % DIMENSION
        run.run(gradient, k, k // 3)
        for client in run.clients:
            np.testing.assert_array_equal(client.weights, run.weights)
            assert client.rounds == number + 1
    assert not np.any(run.weights == weights)


def test_the_probe_message_tells_the_round_at_the_other_k(
    build_exchange, build_rounds, exact_encoder
):
    for method in ("fab", "fub", "unidirectional", "gtopk", "random", "periodic"):
        sparsifier, _ = _METHODS[method]
        exchange = build_exchange(sparsifier, DIMENSION, probes=True)
        run = build_rounds(exchange, SIZES)
        run.run(draw_gradients(3, 1)[0], 6, 2)
        run.reset_weights()
        start, gradient = run.clients, draw_gradients(4, 1)[0]
        method_state = run.method_state
        outcome = run.run(gradient, 9, 4).outcome
        after = run.weights
        other = build_rounds(exchange, SIZES)
        other.clients, other.method_state = start, method_state
        other.run(gradient, 4)

        decoded = exact_encoder.bind(dimension=DIMENSION).decode(
            outcome.probe_message, np.int32(DIMENSION)
        )
        assert decoded.error == 0
        assert outcome.probe_elements == len(decoded.vector.indices) > 0
        told = after.copy()
        told[decoded.vector.indices.numpy()] = -decoded.vector.values.numpy()
        np.testing.assert_array_equal(told, other.weights)


def test_the_order_of_clients_does_not_matter(build_exchange, build_rounds):
    run = build_rounds(build_exchange(fab_top_k.FabTopK, DIMENSION), SIZES)
    gradient = draw_gradients(6, 1)[0]
    start = run.clients
    in_order = run.run(gradient, 8)
    order = np.random.default_rng(0).permutation(len(SIZES))
    shuffled = build_rounds(build_exchange(fab_top_k.FabTopK, DIMENSION), SIZES)
    shuffled.clients = [start[i] for i in order]
    shuffled.client_weights = [np.float32(SIZES[i]) for i in order]
    in_disorder = shuffled.run(gradient[order], 8)
    np.testing.assert_array_equal(in_order.replica.weights, in_disorder.replica.weights)
    for place, client in enumerate(order):
        np.testing.assert_array_equal(
            in_order.clients[client].residual, in_disorder.clients[place].residual
        )
    for first, second in zip(
        in_order.outcome.receipts, in_disorder.outcome.receipts, strict=True
    ):
        np.testing.assert_array_equal(first, second)


def test_a_tree_of_aggregators_gives_the_same(build_exchange, build_rounds):
    exchange = build_exchange(fab_top_k.FabTopK, DIMENSION, probes=True)
    gradients = draw_gradients(7, 1)[0]
    run = build_rounds(exchange, SIZES)
    start = run.clients
    expected = run.run(gradients, 8, 3)
    workers = [
        tff.backends.native.create_async_local_cpp_execution_context() for _ in range(2)
    ]
    tree = tff.backends.native.create_mergeable_comp_execution_context(
        workers, num_subrounds=4
    )
    with tff.framework.get_context_stack().install(tree):
        found = exchange.next(
            server_update.Replica(np.zeros(DIMENSION, np.float32), ()),
            messages.RoundConfig(
                controller.Decision(np.int32(8), np.int32(3)), np.zeros(0, np.int32)
            ),
            run.roster,
            _SEED,
            start,
            [
                client_work.Given(gradient, weight)
                for gradient, weight in zip(gradients, run.client_weights, strict=True)
            ],
        )
    np.testing.assert_array_equal(found.replica.weights, expected.replica.weights)
    # TFF gives the parts back in the order in which their workers finished.
    places = np.argsort([client.client_id for client in found.clients])
    for place, client, contributed in zip(
        places, expected.clients, expected.contributed, strict=True
    ):
        assert found.clients[place].client_id == client.client_id
        assert found.contributed[place] == contributed
        np.testing.assert_array_equal(found.clients[place].residual, client.residual)
    for first, second in zip(
        found.outcome.receipts, expected.outcome.receipts, strict=True
    ):
        np.testing.assert_array_equal(first, second)


def _exchange_with(uplink, damaging=lambda encoder: encoder, method=fab_top_k.FabTopK):
    exact = Encoder("int32", "float32").bind(dimension=DIMENSION)
    return sparse_exchange.SparseExchange(
        sparsifier=method().bind(dimension=DIMENSION, probes=False),
        uplink_encoder=damaging(Encoder(*uplink).bind(dimension=DIMENSION)),
        downlink_encoder=exact,
        probe_encoder=exact,
        update=server_update.SparseSgd(learning_rate=1.0).bind(DIMENSION),
    )


def test_what_a_value_code_changes_stays_in_the_residual(build_rounds):
    run = build_rounds(_exchange_with(("int32", "bfloat16")), SIZES)
    gradient = draw_gradients(8, 1)[0]
    run.run(gradient, 10)
    received = tf.cast(tf.cast(gradient, tf.bfloat16), tf.float32).numpy()
    forgotten = run.residuals() != gradient
    assert forgotten.sum() > len(SIZES)
    np.testing.assert_array_equal(
        run.residuals()[forgotten], (gradient - received)[forgotten]
    )
    applied = np.average(np.where(forgotten, received, 0), axis=0, weights=SIZES)
    np.testing.assert_allclose(-run.weights, applied, rtol=1e-6)


def test_work_that_is_not_finite_counts_for_nothing(build_rounds):
    gradient = draw_gradients(9, 1)[0]
    gradient[2, 5] = np.nan
    exchange = _exchange_with(("int32", "float32"))
    run = build_rounds(exchange, SIZES)
    output = run.run(gradient, 8)
    receipts = output.outcome.receipts
    expected = np.zeros(len(SIZES))
    expected[2] = receipts_lib.NON_FINITE_WORK
    np.testing.assert_array_equal(receipts.errors, expected)
    # Its id and a weight of nothing.
    assert receipts.bits[2] == 64
    weights = [size * (i != 2) for i, size in enumerate(SIZES)]
    assert receipts.weights.tolist() == weights
    assert output.contributed[2] == 0
    np.testing.assert_array_equal(output.clients[2].residual, np.zeros(DIMENSION))

    others = [i for i in range(len(SIZES)) if i != 2]
    sizes = [SIZES[i] for i in others]
    selected = sparsification.fab(gradient[others], sizes, 8)
    np.testing.assert_array_equal(np.flatnonzero(run.weights), selected.indices)
    np.testing.assert_allclose(
        -run.weights[selected.indices], selected.values, rtol=1e-6
    )
    np.testing.assert_array_equal(output.clients[2].weights, run.weights)
    # In the next round it is as if it had not been there in this one.
    second = draw_gradients(17, 1)[0]
    after = run.run(second, 8)
    assert not after.outcome.receipts.errors.any()
    sent = second[2] * (after.clients[2].residual == 0)
    np.testing.assert_array_equal(after.clients[2].residual, second[2] - sent)


class _Damaging(codec.Codec):
    """Damages the messages whose largest value stands for a kind of damage."""

    DAMAGES = (
        (1e6, lambda message: message[:-1]),
        (1e7, lambda message: message[:0]),
        (
            1e8,
            lambda message: tf.bitwise.bitwise_xor(
                message, tf.one_hot(12, tf.size(message), dtype=tf.uint8)
            ),
        ),
        (1e9, lambda message: tf.concat([message, message], axis=0)),
    )

    def __init__(self, inner):
        self._inner = inner

    def encode(self, vector, seed):
        encoded = self._inner.encode(vector, seed)
        message = encoded.message
        for mark, damage in self.DAMAGES:
            marked = tf.equal(tf.reduce_max(vector.values), mark)
            message = tf.cond(
                marked, lambda d=damage: d(encoded.message), lambda m=message: m
            )
        return encoded._replace(message=message)

    def decode(self, message, max_count):
        return self._inner.decode(message, max_count)

    def estimate_bits(self, count):
        return self._inner.estimate_bits(count)

    def sizes(self, message):
        return self._inner.sizes(message)


def test_damaged_messages_are_as_if_their_clients_had_not_taken_part(build_rounds):
    exchange = _exchange_with(("rice", "float32"), _Damaging)
    run = build_rounds(exchange, SIZES)
    gradient = draw_gradients(12, 1)[0]
    damaged = [0, 2, 3, 6]
    for client, (mark, _) in zip(damaged, _Damaging.DAMAGES, strict=True):
        gradient[client, 7] = mark
    output = run.run(gradient, 8)
    refused = np.flatnonzero(output.outcome.receipts.errors)
    np.testing.assert_array_equal(refused, damaged)
    assert not output.outcome.receipts.elements[damaged].any()

    others = [1, 4, 5]
    selected = sparsification.fab(gradient[others], [SIZES[i] for i in others], 8)
    np.testing.assert_array_equal(np.flatnonzero(run.weights), selected.indices)
    np.testing.assert_allclose(
        -run.weights[selected.indices], selected.values, rtol=1e-6
    )
    for client in damaged:
        np.testing.assert_array_equal(output.clients[client].residual, gradient[client])
        np.testing.assert_array_equal(output.clients[client].weights, run.weights)


def test_receipts_count_what_was_sent(build_exchange, build_rounds, exact_encoder):
    run = build_rounds(build_exchange(fab_top_k.FabTopK, DIMENSION), SIZES)
    gradient = draw_gradients(10, 1)[0]
    outcome = run.run(gradient, 8).outcome
    np.testing.assert_array_equal(outcome.receipts.client_ids, range(len(SIZES)))
    for i, bits in enumerate(outcome.receipts.bits):
        sent = sparsification.top_k(gradient[i], 8)
        vector = sparse_vector.SparseVector(sent.astype(np.int32), gradient[i][sent])
        code = exact_encoder.bind(dimension=DIMENSION)
        message = code.encode(vector, np.zeros(2, np.int32))
        # Beside the entries: id and weight.
        assert bits == 8 * len(message.message) + 2 * 32


@pytest.mark.parametrize("method", ["fab", *_IMPLICIT])
def test_nothing_is_lost_where_value_codes_are(build_rounds, method):
    exchange = _exchange_with(("rice", "quantised4"), method=_METHODS[method][0])
    run = build_rounds(exchange, SIZES)
    gradients = draw_gradients(13, 9)
    for gradient, k in zip(gradients, itertools.cycle([7, 30, 1]), strict=False):
        output = run.run(gradient, k)
        assert not output.outcome.receipts.errors.any()
    assert np.count_nonzero(run.weights) > DIMENSION / 2
    np.testing.assert_allclose(
        np.average(gradients.sum(axis=0, dtype=np.float64), axis=0, weights=SIZES),
        np.average(run.residuals().astype(np.float64), axis=0, weights=SIZES)
        - run.weights,
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("method", ["random", "periodic"])
def test_work_that_is_not_finite_counts_for_nothing_by_position(build_rounds, method):
    sparsifier, build_oracle = _METHODS[method]
    exchange = _exchange_with(("int32", "float32"), method=sparsifier)
    run = build_rounds(exchange, SIZES)
    oracle = build_oracle()
    refused, others = [1, 4], [0, 2, 3, 5, 6]
    gradient = draw_gradients(14, 1)[0]
    selected, (coordinates, *_) = oracle(gradient[others], np.take(SIZES, others), 8)
    gradient[refused, coordinates[3]] = np.nan
    output = run.run(gradient, 8)
    np.testing.assert_array_equal(
        np.flatnonzero(output.outcome.receipts.errors), refused
    )
    np.testing.assert_array_equal(np.flatnonzero(run.weights), selected.indices)
    np.testing.assert_allclose(
        -run.weights[selected.indices], selected.values, rtol=1e-6
    )
    assert not run.residuals()[refused].any()
    assert not run.residuals()[others][:, coordinates].any()
    # Without any message, nothing changes, and the order goes on.
    before = run.weights
    everyone = np.full_like(gradient, np.nan)
    outcome = run.run(everyone, 8).outcome
    assert outcome.downlink_elements == 0
    np.testing.assert_array_equal(run.weights, before)


@pytest.mark.parametrize(
    ("method", "shared_bytes"), [("random", 4), ("periodic", 8), ("send_all", 0)]
)
def test_messages_without_indices_by_hand(
    build_exchange, build_rounds, method, shared_bytes
):
    run = build_rounds(build_exchange(_METHODS[method][0], DIMENSION), SIZES)
    outcome = run.run(draw_gradients(15, 1)[0], 8).outcome
    count = DIMENSION if method == "send_all" else 8
    # Start, codes, D, count and checksum, and 4 bytes a value.
    message = 1 + 1 + 1 + 1 + 4 + 4 * count
    # Beside it: id and weight; k and k' and what is shared.
    assert set(outcome.receipts.bits) == {8 * (message + 8)}
    assert outcome.downlink_bits == 8 * (message + 8 + shared_bytes)
    assert outcome.shared_elements == shared_bytes / 4
    assert not outcome.receipts.index_bits.any()
    assert set(outcome.receipts.value_bits) == {32 * count}
    assert outcome.downlink_sizes == (0, 32 * count, 64)


def test_an_encoder_that_always_writes_indices_will_do(build_rounds):
    exchange = _exchange_with(
        ("rice", "float32"), _Damaging, method=periodic_k.PeriodicK
    )
    exact = _exchange_with(("rice", "float32"), method=periodic_k.PeriodicK)
    with_indices, without = (build_rounds(e, SIZES) for e in (exchange, exact))
    for gradient in draw_gradients(16, 3):
        first = with_indices.run(gradient, 17).outcome
        second = without.run(gradient, 17).outcome
        assert np.all(first.receipts.bits > second.receipts.bits)
        np.testing.assert_array_equal(with_indices.weights, without.weights)
        np.testing.assert_array_equal(with_indices.residuals(), without.residuals())
