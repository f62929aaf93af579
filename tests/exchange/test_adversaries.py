"""Rounds with clients that lie: the server goes on, and honest clients keep theirs."""

import functools
import os

import hypothesis
import numpy as np
import psutil
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.oracles import sparsification
from tff_gs import _tensor_specs, sparse_vector
from tff_gs.controllers import controller
from tff_gs.encoders import names
from tff_gs.encoders.encoder import Encoder
from tff_gs.exchange import (
    client_state,
    client_work,
    messages,
    reading,
    receipts,
    server_update,
    sparse_exchange,
)
from tff_gs.sparsifiers import registry

_D = 40
_SIZES = [3, 250, 17, 40, 40, 1]
_N = len(_SIZES)
_SEED = np.array([0, 7], np.int32)
_REPLICA_FIELDS = client_state.ClientReplica._fields
_METHODS = ("fab_top_k", "fub_top_k", "unidirectional_top_k", "gtop_k", "random_k")


class Federation:
    """The steps of an exchange as TensorFlow functions; every call is one more round.

    Between `upload` and `collect` a round lets somebody change the messages.
    """

    def __init__(self, method, **options):
        code = Encoder("rice", "float32").bind(dimension=_D)
        self.code = code
        self.exchange = sparse_exchange.SparseExchange(
            sparsifier=registry.SPARSIFIERS.build(method).bind(
                dimension=_D, probes=True
            ),
            uplink_encoder=code,
            downlink_encoder=code,
            probe_encoder=code,
            update=server_update.SparseSgd(learning_rate=0.5).bind(_D),
            **options,
        )
        method = self.exchange.sparsifier
        self.upload = tf.function(self.exchange.upload, reduce_retracing=True)
        self.receive = tf.function(self.exchange.receive, reduce_retracing=True)
        collected = tf.nest.map_structure(
            lambda t: tf.TensorSpec(t.shape, t.dtype),
            tf.function(self.exchange.no_messages)
            .get_concrete_function()
            .structured_outputs,
        )
        self.collect = tf.function(
            self.exchange.collect,
            input_signature=[collected, _tensor_specs.structure(messages.UPLINK_TYPE)],
        )
        self.join = tf.function(messages.join, input_signature=[collected] * 2)
        self.select = tf.function(self.exchange.select, reduce_retracing=True)
        shared = method.share(method.initialize(), tf.constant(_SEED), tf.constant(1))
        self.config = messages.RoundConfig(None, shared)
        self.reset()

    def reset(self):
        self.roster = np.arange(_N, dtype=np.int32)
        self.replica = server_update.Replica(tf.zeros([_D]), ())
        self.clients = [
            self.exchange.initialize_client(tf.constant(i), self.replica, _SEED)
            for i in range(_N)
        ]

    def round(self, gradients, k, k_probe=0, change=lambda sent: sent):
        """One round; returns the outcome, what each contributed, and the messages."""
        config = self.config._replace(
            decision=controller.Decision(tf.constant(k), tf.constant(k_probe))
        )
        uploads = [
            self.upload(
                client, client_work.Given(tf.constant(g), tf.constant(w)), config
            )
            for client, g, w in zip(
                self.clients, gradients, np.array(_SIZES, np.float32), strict=True
            )
        ]
        sent = change([message for message, _ in uploads])
        collected = self.collect_all(sent)
        answer, self.replica, outcome = self.select(
            collected, self.replica, config, self.roster, tf.constant(_SEED)
        )
        contributed = []
        for i, (_, pending) in enumerate(uploads):
            client = client_state.ClientReplica(
                *(
                    getattr(self.clients[i], n)
                    for n in client_state.ClientReplica._fields
                )
            )
            received = self.receive(client, pending, answer)
            self.clients[i] = received.client
            contributed.append(int(received.contributed))
        return outcome, contributed, uploads

    def collect_all(self, sent):
        """The messages in one accumulator."""
        collected = self.exchange.no_messages()
        for message in sent:
            collected = self.collect(collected, message)
        return collected


@functools.cache
def _federation(method, **options):
    return Federation(method, **options)


def _gradients(rng):
    scale = rng.lognormal(sigma=1.5, size=_D)
    return (rng.normal(size=(_N, _D)) * scale).astype(np.float32)


def _encode(code, indices, values):
    vector = sparse_vector.SparseVector(
        np.asarray(indices, np.int32), np.asarray(values, np.float32)
    )
    return code.encode(vector, _SEED).message


# What a liar may send in place of its message: (rng, message, k, code) -> message.


def _more_entries(rng, message, k, code):
    values = rng.normal(size=_D) * 1e6
    return message._replace(encoded=_encode(code, range(_D), values))


def _fewer_entries(rng, message, k, code):
    return message._replace(encoded=_encode(code, [int(rng.integers(_D))], [1e3]))


def _huge_values(rng, message, k, code):
    indices = np.sort(rng.choice(_D, k, replace=False))
    return message._replace(encoded=_encode(code, indices, np.full(k, 1e30)))


def _weight(rng, message, k, code):
    weights = [np.nan, np.inf, -np.inf, -1.0, 1e30, 2.0**25, -0.0, 0.0, 1e-45]
    return message._replace(weight=tf.constant(rng.choice(weights), tf.float32))


def _unknown_id(rng, message, k, code):
    ids = [-1, _N, 2**31 - 1, -(2**31), 10**6]
    return message._replace(client_id=tf.constant(int(rng.choice(ids))))


def _anothers_id(rng, message, k, code):
    return message._replace(client_id=tf.constant(int(rng.integers(_N))))


def _anothers_id_and_damage(rng, message, k, code):
    return _damage(rng, _anothers_id(rng, message, k, code), k, code)


def _damage(rng, message, k, code):
    entries = message.encoded.numpy().copy()
    if len(entries):
        entries[rng.integers(len(entries))] ^= 1 << rng.integers(8)
    return message._replace(encoded=tf.constant(entries))


def _noise(rng, message, k, code):
    noise = rng.integers(0, 256, rng.integers(0, 400)).astype(np.uint8)
    return message._replace(encoded=tf.constant(noise))


def _counts(rng, message, k, code):
    """A header that claims up to 2**32 - 1 entries."""
    entries = message.encoded.numpy()
    start = np.array([entries[0] | 3, entries[1], entries[2]], np.uint8)
    count = np.frombuffer(
        np.uint32(rng.choice([2**27, 2**31 - 1, 2**31, 2**32 - 1])).tobytes(), np.uint8
    )
    forged = np.concatenate([start, count, entries[4:]])
    return message._replace(encoded=tf.constant(forged))


def _long(rng, message, k, code):
    return message._replace(encoded=tf.tile(message.encoded, [500]))


def _empty(rng, message, k, code):
    return message._replace(encoded=message.encoded[:0])


_LIES = (
    _more_entries,
    _fewer_entries,
    _huge_values,
    _weight,
    _unknown_id,
    _anothers_id,
    _anothers_id_and_damage,
    _damage,
    _noise,
    _counts,
    _long,
    _empty,
)


def _lying_round(federation, rng):
    """A round in which some clients lie; checks what has to hold. Returns refusals."""
    k = int(rng.integers(1, _D + 1))
    liars = rng.choice(_N, rng.integers(1, _N), replace=False)
    stolen = set()

    def change(sent):
        for i in liars:
            sent[i] = rng.choice(_LIES)(rng, sent[i], k, federation.code)
            stolen.add(int(sent[i].client_id))
        return [sent[i] for i in rng.permutation(_N)]

    outcome, contributed, uploads = federation.round(_gradients(rng), k, k // 2, change)
    accepted = np.asarray(outcome.receipts.errors) == names.ACCEPTED
    assert len(accepted) == _N
    kept = receipts.of_participants(outcome.receipts)
    ids = np.asarray(kept.client_ids)
    assert len(set(ids.tolist())) == len(ids)
    assert set(ids.tolist()) <= set(range(_N))
    assert int(outcome.downlink_elements) <= k
    assert np.isfinite(federation.replica.weights).all()
    for i in range(_N):
        np.testing.assert_array_equal(
            federation.clients[i].weights, federation.replica.weights
        )
        if i in liars or i in stolen:
            continue
        # Whoever is honest, and whose name nobody took, is heard.
        assert contributed[i] >= k // max(accepted.sum(), 1)
        gradient_added = np.asarray(uploads[i][1].residual)
        forgotten = gradient_added != np.asarray(federation.clients[i].residual)
        assert forgotten.sum() <= contributed[i]
    return np.asarray(outcome.receipts.errors)


def test_liars_never_stop_a_round_nor_silence_the_honest():
    federation = _federation("fab_top_k")
    federation.reset()
    seen = set()
    for seed in range(60):
        # Huge values would own the model: there are bounds for them.
        if seed % 10 == 0:
            federation.reset()
        seen.update(_lying_round(federation, np.random.default_rng(seed)).tolist())
    assert {
        names.ACCEPTED,
        names.TOO_MANY_ENTRIES,
        names.BAD_CHECKSUM,
        names.WRONG_LENGTH,
        names.UNKNOWN_CLIENT,
        names.REPEATED_CLIENT,
        names.INVALID_WEIGHT,
    } <= seen


@pytest.mark.slow
def test_ten_thousand_rounds_with_liars():
    federation = _federation("fab_top_k")
    rng = np.random.default_rng(1)
    process = psutil.Process(os.getpid())
    sizes = []
    for number in range(10_000):
        if number % 10 == 0:
            federation.reset()
        _lying_round(federation, rng)
        if number % 1000 == 999:
            sizes.append(process.memory_info().rss)
    assert sizes[-1] < 1.2 * sizes[0]


@pytest.mark.parametrize("method", _METHODS)
@hypothesis.settings(deadline=None, max_examples=15)
@hypothesis.given(data=st.data())
def test_refused_messages_are_as_if_their_clients_had_not_taken_part(method, data):
    """Against the same round among those whose messages were accepted."""
    federation = _federation(method)
    federation.reset()
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    # At k = D, all entries are no lie.
    k = data.draw(st.integers(1, _D - 1))
    liars = data.draw(st.sets(st.integers(0, _N - 1), max_size=_N - 1))
    lies = (_more_entries, _unknown_id, _damage, _counts, _noise)

    def change(sent):
        for i in liars:
            sent[i] = rng.choice(lies)(rng, sent[i], k, federation.code)
        return sent

    gradients = _gradients(rng)
    outcome, contributed, _ = federation.round(gradients, k, change=change)
    errors = np.asarray(receipts.of_participants(outcome.receipts).errors)
    heard = [
        i
        for i, e in zip(
            np.asarray(receipts.of_participants(outcome.receipts).client_ids),
            errors,
            strict=True,
        )
        if e == names.ACCEPTED
    ]
    after = federation.replica.weights.numpy()
    federation.reset()

    def only_heard(sent):
        return [message for i, message in enumerate(sent) if i in heard]

    expected, among, _ = federation.round(gradients, k, change=only_heard)
    np.testing.assert_array_equal(after, federation.replica.weights)
    assert [contributed[i] for i in heard] == [among[i] for i in heard]
    assert int(outcome.kappa) == int(expected.kappa)


def test_what_counts_is_the_servers_k():
    """A client that sends all its entries, or few, changes nobody's share."""
    federation = _federation("fab_top_k")
    for lie, error in (
        (_more_entries, names.TOO_MANY_ENTRIES),
        (_fewer_entries, names.ACCEPTED),
    ):
        federation.reset()
        rng = np.random.default_rng(5)
        gradients = _gradients(rng)

        def change(sent, lie=lie, rng=rng):
            return [lie(rng, sent[0], 30, federation.code), *sent[1:]]

        outcome, contributed, _ = federation.round(gradients, 30, 10, change)
        assert outcome.receipts.errors[0] == error
        assert min(contributed[1:]) >= 30 // _N
        assert int(outcome.downlink_elements) == 30


def test_of_two_messages_under_one_id_one_counts_and_its_sender_knows():
    """Whichever comes first; the other's client keeps what it sent."""
    federation = _federation("fab_top_k")
    for order in ([1, 0, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]):
        federation.reset()
        gradients = _gradients(np.random.default_rng(6))

        def change(sent, order=order):
            sent[1] = sent[1]._replace(client_id=sent[0].client_id)
            return [sent[i] for i in order]

        outcome, contributed, uploads = federation.round(gradients, 12, 0, change)
        np.testing.assert_array_equal(
            outcome.receipts.errors,
            [names.ACCEPTED, names.REPEATED_CLIENT] + [names.ACCEPTED] * 4,
        )
        if order[0] == 1:
            # The message of client 1 was taken for that of client 0.
            assert contributed[0] == 0
            np.testing.assert_array_equal(federation.clients[0].residual, gradients[0])
        else:
            assert contributed[0] > 0
            np.testing.assert_array_equal(uploads[0][1].residual, gradients[0])
        sent = np.count_nonzero(federation.clients[0].residual == 0)
        assert sent == contributed[0]


def test_a_damaged_message_under_anothers_id_does_not_reach_that_client():
    federation = _federation("fab_top_k")
    for order in ([1, 0, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]):
        federation.reset()
        rng = np.random.default_rng(7)
        gradients = _gradients(rng)

        def change(sent, order=order, rng=rng):
            forged = sent[1]._replace(client_id=sent[0].client_id)
            sent[1] = _damage(rng, forged, 12, federation.code)
            return [sent[i] for i in order]

        outcome, contributed, _ = federation.round(gradients, 12, 0, change)
        expected = [names.ACCEPTED, names.REPEATED_CLIENT]
        if order[0] == 1:
            expected = [names.BAD_CHECKSUM, names.ACCEPTED]
        np.testing.assert_array_equal(outcome.receipts.errors[:2], expected)
        # It was accepted, so it empties its residual there: nothing is applied twice.
        assert contributed[0] >= 12 // _N
        sent = sparsification.top_k(gradients[0], 12)
        residual = np.asarray(federation.clients[0].residual)
        assert np.count_nonzero(residual[sent] == 0) == contributed[0]


def test_weights_that_sum_to_nothing_are_an_empty_update():
    federation = _federation("fab_top_k")
    federation.reset()

    def change(sent):
        return [message._replace(weight=tf.constant(0.0)) for message in sent]

    gradients = _gradients(np.random.default_rng(8))
    outcome, contributed, _ = federation.round(gradients, 9, 4, change)
    assert int(outcome.downlink_elements) == 0
    assert not any(contributed)
    np.testing.assert_array_equal(federation.replica.weights, np.zeros(_D))
    assert not np.asarray(outcome.receipts.errors).any()


def test_nothing_at_all_is_an_empty_update():
    for method in _METHODS:
        federation = _federation(method)
        federation.reset()
        gradients = np.full((_N, _D), np.nan, np.float32)
        outcome, contributed, _ = federation.round(gradients, 9, 4)
        assert set(np.asarray(outcome.receipts.errors)) == {receipts.NON_FINITE_WORK}
        assert int(outcome.downlink_elements) == 0
        assert not any(contributed)
        for client in federation.clients:
            assert not np.any(client.residual)


def test_bounds_on_weight_and_norm():
    federation = _federation(
        "fab_top_k", bounds=reading.MessageBounds(max_weight=100, max_norm=50.0)
    )
    federation.reset()
    gradients = np.zeros((_N, _D), np.float32)
    gradients[:, 3] = [1, 1, 49, 51, 3e38, 50]
    outcome, _, _ = federation.round(gradients, 5)
    np.testing.assert_array_equal(
        outcome.receipts.errors,
        [0, names.INVALID_WEIGHT, 0, names.NORM_TOO_LARGE, names.NORM_TOO_LARGE, 0],
    )
    np.testing.assert_array_equal(federation.clients[4].residual, gradients[4])
    np.testing.assert_allclose(
        federation.replica.weights[3], -0.5 * (3 * 1 + 17 * 49 + 1 * 50) / 21, rtol=1e-6
    )


def test_bad_bounds_are_one_sentence():
    with pytest.raises(ValueError, match="max_norm to be positive, found -1"):
        reading.MessageBounds(max_norm=-1)
    with pytest.raises(ValueError, match="max_weight to be positive, found nan"):
        reading.MessageBounds(max_weight=float("nan"))


def test_a_forged_count_allocates_nothing():
    federation = _federation("fab_top_k")
    federation.reset()
    rng = np.random.default_rng(9)
    federation.round(_gradients(rng), 5)
    process = psutil.Process(os.getpid())
    before = process.memory_info().rss

    def change(sent):
        return [_counts(rng, message, 5, federation.code) for message in sent]

    for _ in range(5):
        outcome, *_ = federation.round(_gradients(rng), 5, 0, change)
        assert np.asarray(outcome.receipts.errors).all()
    # 2**27 entries would be 1 GiB.
    assert process.memory_info().rss - before < 2**27


def test_messages_on_any_tree_are_read_alike():
    federation = _federation("fab_top_k")
    federation.reset()
    rng = np.random.default_rng(10)
    gradients = _gradients(rng)
    found = []

    def change(sent):
        found.extend(sent)
        return sent

    expected, _, _ = federation.round(gradients, 7, 3, change)
    after = federation.replica.weights.numpy()
    joined = federation.join(*map(federation.collect_all, (found[4:], found[:4])))
    federation.reset()
    config = federation.config._replace(
        decision=controller.Decision(tf.constant(7), tf.constant(3))
    )
    _, replica, outcome = federation.select(
        joined, federation.replica, config, federation.roster, tf.constant(_SEED)
    )
    np.testing.assert_array_equal(replica.weights, after)
    for one, two in zip(expected.receipts, outcome.receipts, strict=True):
        np.testing.assert_array_equal(one, two)


def test_many_messages_are_collected_in_their_order():
    """On several levels."""
    federation = _federation("fab_top_k")
    rng = np.random.default_rng(11)
    sent = [
        messages.UplinkMessage(
            tf.constant(i),
            tf.constant(1.0),
            tf.constant(rng.integers(0, 256, n), tf.uint8),
        )
        for i, n in enumerate(rng.integers(0, 9, 140).tolist())
    ]
    collected = federation.collect_all(sent)
    np.testing.assert_array_equal(collected.header.client_id, range(140))
    np.testing.assert_array_equal(
        collected.content, np.concatenate([message.encoded for message in sent])
    )
    np.testing.assert_array_equal(collected.lengths, [len(m.encoded) for m in sent])
    np.testing.assert_array_equal(
        collected.bits, [64 + 8 * len(m.encoded) for m in sent]
    )
