"""theta(k) and theta(k') differ by k and k' only, whatever is sent and priced."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tff_gs import sparse_vector
from tff_gs.controllers import controller
from tff_gs.costs import cost, links, normalised
from tff_gs.encoders.encoder import Encoder
from tff_gs.exchange import election as election_lib
from tff_gs.exchange import receipts, sparse_exchange
from tff_gs.learning import _reports, round_metrics
from tff_gs.sparsifiers import fab_consensus, registry
from tff_gs.sparsifiers import sparsifier as sparsifier_lib

_D, _CLIENTS = 96, 5
_SEED = tf.constant([3, 4])
_CODES = [
    ("int32", "float32"),
    ("bitmap", "bfloat16"),
    ("fixed", "ternary"),
    ("rice", "quantised1"),
    ("rice_per_tensor", "quantised8"),
    ("auto", "float32"),
]


def _link_time(compute, up, down, latency):
    """The time over links of which client 0's is the slowest, and as given."""
    faster = np.arange(1.0, 1 + _CLIENTS)
    return links.LinkTime(
        links=links.Links(
            compute_seconds=compute / faster,
            up_bits_per_second=up * faster,
            down_bits_per_second=down * faster,
            latency_seconds=latency / faster,
        )
    ).bind(dimension=1)


_COSTS = {
    "paper": normalised.NormalisedTime().bind(dimension=_D),
    "communication": normalised.NormalisedTime(comm_time=1e6).bind(dimension=_D),
    "probe_priced": normalised.NormalisedTime(
        comm_time=100.0, price_probe_downlink=True
    ).bind(dimension=_D),
    "links": _link_time(1.0, 1e3, 1e4, 0.1),
    "slow_up": _link_time(0.0, 1.0, 1e9, 0.0),
    "slow_down": _link_time(0.0, 1e9, 1.0, 0.0),
}


class _AllCosts(cost.Cost):
    """The times of all models, float64 [costs], from one round."""

    def round_time(self, traffic):
        return tf.stack([model.round_time(traffic) for model in _COSTS.values()])


@pytest.fixture(scope="module", autouse=True)
def _traces():
    """Lets go of the traced functions before Python ends."""
    yield
    _traced_encoder.cache_clear()
    _traced_method.cache_clear()


def _vector(dtype, *shape):
    return tf.TensorSpec(shape, dtype)


@functools.cache
def _traced_encoder(index, value, implicit):
    """The encoder, and its `encode` with one seed, traced once."""
    code = Encoder(index, value).bind(dimension=_D, tensor_sizes=[64, 30, 2])
    if implicit:
        code = code.without_indices()

    @tf.function(input_signature=[_vector(tf.int32, None), _vector(tf.float32, None)])
    def encode(indices, values):
        return code.encode(sparse_vector.SparseVector(indices, values), _SEED)

    return code, encode


@functools.cache
def _traced_method(name):
    """The method, what a client sends and what the server selects, traced once."""
    method = registry.SPARSIFIERS.build(name).bind(dimension=_D, probes=True)
    if method.elects:
        shared_type = fab_consensus.ElectedSet(*[_vector(tf.int32, None)] * 2)
    else:
        told = method.share(method.initialize(), _SEED, tf.constant(1))
        shared_type = _vector(tf.int32, *told.shape)
    number = _vector(tf.int32)

    @tf.function(input_signature=[_vector(tf.float32, _D), number, shared_type])
    def send(residual, k, shared):
        indices = method.sparsify(residual, k, shared, _SEED)
        at = method.coordinates(indices, shared)
        return indices, tf.gather(residual, at)

    entries = sparse_vector.SparseVector(
        _vector(tf.int32, None), _vector(tf.float32, None)
    )

    @tf.function(input_signature=[[entries] * _CLIENTS, number, number, shared_type])
    def select(sent, k, k_probe, shared):
        accumulator = method.zero()
        for client, vector in enumerate(sent):
            upload = sparsifier_lib.Upload(
                tf.constant(client), vector, tf.constant(1.0), k, k_probe
            )
            accumulator = method.accumulate(accumulator, upload)
        total = tf.constant(float(_CLIENTS), tf.float64)
        return method.select(method.report(accumulator), total, k, k_probe, shared)

    return method, send, select


def _election(method, residuals, k, ranks):
    """The election by ballots of so many ranks, whose entries take 20 bits each."""
    accumulator = method.election.zero()
    for client, residual in enumerate(residuals):
        nominees = method.nominees(tf.constant(residual), ranks)
        magnitudes = tf.abs(tf.gather(residual, nominees))
        upload = sparsifier_lib.Upload(
            tf.constant(client),
            sparse_vector.SparseVector(nominees, magnitudes),
            tf.constant(1.0),
            k,
            tf.constant(0),
        )
        accumulator = method.election.accumulate(accumulator, upload)
    elected, kappa = method.elect(accumulator, k, ranks)
    nought = tf.zeros([_CLIENTS], tf.int64)
    ballots = receipts.Receipts(
        client_ids=tf.range(_CLIENTS),
        errors=tf.zeros([_CLIENTS], tf.int32),
        weights=tf.ones([_CLIENTS], tf.float64),
        elements=tf.fill([_CLIENTS], ranks),
        bits=nought + tf.cast(20 * ranks + 64, tf.int64),
        index_bits=nought,
        value_bits=nought,
        overhead_bits=nought,
    )
    return election_lib.Election(
        elected=elected,
        ranks=ranks,
        ballots=ballots,
        kappa=kappa,
        is_short=tf.constant(False),
        announced_bits=tf.cast(8 * tf.size(elected.coordinates) + 64, tf.int64),
        decode_seconds=tf.constant(0.0, tf.float64),
    )


def _outcome(name, codes, residuals, k, k_probe):
    method, send, select = _traced_method(name)
    code, encode = _traced_encoder(*codes, method.implicit_indices)
    k, k_probe = tf.constant(k), tf.constant(k_probe)
    told = shared = method.share(method.initialize(), _SEED, k)
    election = ()
    if method.elects:
        told = tf.zeros([1], tf.int32)  # r
        election = _election(method, residuals, k, (k + 1) // 2)
        shared = election.elected
    sent = [sparse_vector.SparseVector(*send(row, k, shared)) for row in residuals]
    uploads = [encode(*vector) for vector in sent]
    received = [
        vector._replace(values=upload.received)
        for vector, upload in zip(sent, uploads, strict=True)
    ]
    selection = select(received, k, k_probe, shared)
    answer = encode(*selection.update)
    nought = tf.zeros([_CLIENTS], tf.int32)
    notes = tf.size(selection.notes)
    outcome = sparse_exchange.Outcome(
        receipts=receipts.Receipts(
            client_ids=tf.range(_CLIENTS),
            errors=nought,
            weights=tf.ones([_CLIENTS], tf.float64),
            elements=tf.stack([tf.size(vector.indices) for vector in sent]),
            # With the client's id and weight.
            bits=tf.stack([8 * tf.size(u.message, tf.int64) + 64 for u in uploads]),
            index_bits=nought,
            value_bits=nought,
            overhead_bits=nought,
        ),
        downlink_elements=tf.size(selection.update.indices),
        notes_elements=notes,
        shared_elements=tf.size(told),
        downlink_bits=8 * tf.size(answer.message, tf.int64)
        + 32 * tf.cast(notes + tf.size(told) + 2, tf.int64)
        + (election.announced_bits if election else 0),
        downlink_sizes=code.sizes(answer.message),
        kappa=selection.kappa,
        probe_message=tf.zeros([17], tf.uint8),
        probe_units=tf.constant(0.0, tf.float64),
        probe_elements=tf.size(selection.probe.indices),
        probe_count=selection.probe_count,
        probe_notes_elements=tf.convert_to_tensor(selection.probe_notes_count),
        decode_seconds=tf.constant(0.0, tf.float64),
        election=election,
    )
    return method, code, outcome


def _times(method, code, outcome, k, k_probe):
    """theta(k), theta(k') and k theta'(k) / theta(k) of all models of time, by name."""
    metrics = round_metrics.RoundMetrics(
        method, _AllCosts(), code, code, frozenset({"time_elasticity"})
    )
    of_clients = tf.zeros([_CLIENTS], tf.int32)
    report = _reports.RoundReport(
        participants=outcome.receipts,
        contributed=of_clients,
        local_steps=of_clients + 1,
        training_loss=tf.constant(1.0, tf.float64),
        losses=tf.constant([1.0, 0.8, 0.9], tf.float64),
        energies=tf.zeros([0], tf.float64),
        bits=tf.constant(0, tf.int64),
        encode_seconds=tf.constant(0.0, tf.float64),
        catch_up=(),
    )
    decision = controller.Decision(tf.constant(k), tf.constant(k_probe))
    feedback = metrics.feedback(decision, outcome, report)
    found = (feedback.round_time, feedback.probe_time, feedback.time_elasticity)
    of_costs = zip(*(times.numpy() for times in found), strict=True)
    return dict(zip(_COSTS, of_costs, strict=True))


def _residuals(rng, kind):
    """Residuals that agree at all clients, at some coordinates, or nowhere."""
    own = rng.normal(size=[_CLIENTS, _D])
    if kind == "alike":
        own = own[:1] + 0.01 * own
    elif kind == "same_first":  # disjoint beyond a few that all have first
        own = np.where(np.arange(_D) % _CLIENTS == np.arange(_CLIENTS)[:, None], own, 0)
        own[:, : rng.integers(1, 20)] = 100 + rng.normal(size=_D)[: own.shape[1]][0]
    elif kind == "zeros":
        own[rng.random([_CLIENTS, _D]) < 0.9] = 0
    return own.astype(np.float32)


@pytest.mark.parametrize("name", registry.SPARSIFIERS)
@settings(deadline=None, max_examples=12)
@given(
    seed=st.integers(0, 2**32 - 1),
    kind=st.sampled_from(["any", "alike", "same_first", "zeros"]),
    ks=st.lists(st.integers(1, _D), min_size=2, max_size=2, unique=True).map(sorted),
    codes=st.sampled_from(_CODES),
)
def test_what_k_costs_is_between_nothing_and_all(name, seed, kind, ks, codes):
    k_probe, k = ks
    residuals = _residuals(np.random.default_rng(seed), kind)
    times = _times(*_outcome(name, codes, residuals, k, k_probe), k, k_probe)
    for time, probe_time, elasticity in times.values():
        # As rules that probe estimate it.
        share = k * (time - probe_time) / ((k - k_probe) * time)
        assert -1e-9 <= share <= 1 + 1e-9
        assert -1e-9 <= elasticity <= 1 + 1e-9


def test_the_elasticity_of_the_papers_time_is_the_share_of_the_entries():
    residuals = _residuals(np.random.default_rng(5), "any")
    codes = ("int32", "float32")
    # FAB consensus: pairs of 10 ranks and 20 values up, J and its values down.
    numbers = {
        "fab_top_k": 4 * 20,
        "fab_consensus": 2 * 10 + 3 * 20,
        "random_k": 2 * 20,
        "send_all": 0,
    }
    for name, units in numbers.items():
        times = _times(*_outcome(name, codes, residuals, 20, 10), 20, 10)
        time, _, elasticity = times["paper"]
        assert elasticity == pytest.approx(10 / (2 * _D) * units / time)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("fab_top_k", 4), ("fab_consensus", 5), ("random_k", 2), ("send_all", 0)],
)
def test_balanced_k_doubles_the_time_of_a_round(name, numbers):
    method, code = _traced_method(name)[0], _traced_encoder("rice", "float32", False)[0]
    metrics = round_metrics.RoundMetrics(method, _COSTS["paper"], code, code)
    # Each number takes 10 / (2 D), and there is no k if it changes nothing.
    for steps in (1, 3):
        expected = -(-2 * _D * steps // (10 * numbers)) if numbers else _D
        found = metrics.balanced_k(clients=1, local_steps=steps)
        assert found == min(expected, _D)
    free = normalised.NormalisedTime(comm_time=0.0).bind(dimension=_D)
    free_metrics = round_metrics.RoundMetrics(method, free, code, code)
    assert free_metrics.balanced_k(clients=1, local_steps=1) == _D


def test_balanced_k_of_links_counts_bits_and_latency():
    method, code = _traced_method("fab_top_k")[0], _traced_encoder(*_CODES[0], False)[0]
    slow_up = _link_time(10.0, 64.0, 1e9, 4.0)
    metrics = round_metrics.RoundMetrics(method, slow_up, code, code)
    # 10 + 2 * 4 seconds, and the header's; an entry of 64 bits takes one.
    header = float(code.estimate_bits(tf.constant(0))) / 64
    found = metrics.balanced_k(clients=_CLIENTS, local_steps=1)
    assert 18 <= found <= 18 + header + 1


def test_the_notes_of_gtop_k_are_paid_for_at_both_ks():
    rng = np.random.default_rng(3)
    residuals = (rng.normal(size=_D) + rng.normal(size=[_CLIENTS, _D])).astype("f4")
    codes, k, k_probe = ("int32", "float32"), 20, 10
    method, code, outcome = _outcome("gtop_k", codes, residuals, k, k_probe)
    _, _, smaller = _outcome("gtop_k", codes, residuals, k_probe, 1)
    notes, probe_notes = int(outcome.notes_elements), int(smaller.notes_elements)
    # At k' as many as a round at k' sends, which is fewer.
    assert int(outcome.probe_notes_elements) == probe_notes
    assert notes / 2 < probe_notes < notes
    times = _times(method, code, outcome, k, k_probe)
    # 1e6 / (2 D) for each number: 2 k up, 2 k and the notes down.
    computing, unit = 1 + 1 / 32, 1e6 / (2 * _D)
    assert times["communication"][:2] == pytest.approx(
        (computing + unit * (80 + notes), computing + unit * (40 + probe_notes))
    )
    # 32 bits each, and at both ks the probe's message and what does not shrink. Of 64
    # bits fewer an entry, and as many notes fewer as there are, nothing else is.
    fewer = 64 * (k - k_probe) + 32 * (notes - probe_notes)
    time, probe_time, _ = times["slow_down"]
    assert time - probe_time == pytest.approx(fewer, abs=1e-3)
