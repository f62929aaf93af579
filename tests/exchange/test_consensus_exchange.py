"""Election, then a sum: against the definition, by hand, and by adversaries."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.exchange.made_up import DIMENSION, SIZES, draw_gradients
from tests.oracles import sparsification
from tests.shared_data import shared_data
from tff_gs import sparse_vector
from tff_gs.controllers import controller
from tff_gs.encoders import names
from tff_gs.encoders.encoder import Encoder
from tff_gs.exchange import (
    consensus_exchange,
    messages,
    server_update,
    sparse_exchange,
)
from tff_gs.sparsifiers import fab_consensus, fab_top_k
from tff_gs.sparsifiers import sparsifier as sparsifier_lib

_SEED = np.array([0, 7], np.int32)


def _next_share(kappa, selected, k):
    """The share of ranks that the next election asks for."""
    if selected < k:
        return min(2 * kappa / k, 1.0)
    return min(1.25 * (kappa + 1) / k, 1.0)


def test_rounds_follow_the_definition_and_lose_nothing(build_exchange, build_rounds):
    run = build_rounds(build_exchange(fab_consensus.FabConsensus, DIMENSION), SIZES)
    residuals = np.zeros([len(SIZES), DIMENSION], np.float32)
    share, clients = 1.0, len(SIZES)
    for gradient, k in zip(
        draw_gradients(1, 9), [5, 6, 40, 13, 1, 2, 39, 20, 21], strict=True
    ):
        before = run.weights
        output = run.run(gradient, k)
        outcome, election = output.outcome, output.outcome.election

        ranks = min(max(math.ceil(share * k), k // clients + 1), k)
        assert election.ranks == ranks
        residuals += gradient
        expected = sparsification.fab_consensus(residuals, SIZES, k, ranks)
        share = _next_share(expected.kappa, len(expected.indices), k)

        coordinates = election.elected.coordinates
        np.testing.assert_array_equal(coordinates, expected.indices)
        assert outcome.kappa == expected.kappa
        assert election.is_short == (len(expected.indices) < k)
        np.testing.assert_array_equal(
            outcome.receipts.elements, [len(expected.indices)] * clients
        )
        np.testing.assert_array_equal(election.ballots.elements, [ranks] * clients)
        np.testing.assert_allclose(
            (before.astype(np.float64) - run.weights)[coordinates],
            expected.values,
            rtol=1e-4,
            atol=1e-4,
        )
        # All clients empty their residuals at J, whoever nominated what.
        for residual, contributed in zip(residuals, output.contributed, strict=True):
            ballot = sparsification.ranked(residual, ranks)
            assert contributed == len(np.intersect1d(ballot, coordinates))
            assert contributed >= k // clients
            residual[coordinates] = 0.0
        np.testing.assert_array_equal(run.residuals(), residuals)
        for client in run.clients:
            np.testing.assert_array_equal(client.weights, run.weights)


@pytest.mark.parametrize("case", range(6))
def test_the_authors_selections(build_exchange, build_rounds, case):
    """With all ranks, J is FAB-top-k's, except where magnitudes are nearly equal."""
    golden = np.load(shared_data("golden/selection.npz"))
    _, dimension, k, _ = (int(n) for n in golden[f"c{case}_meta"])
    run = build_rounds(
        build_exchange(fab_consensus.FabConsensus, dimension), golden[f"c{case}_sizes"]
    )
    gradients = golden[f"c{case}_m0_grads"]
    output = run.run(gradients, k)
    selected = golden[f"c{case}_fab_m0_selected"]
    coordinates = output.outcome.election.elected.coordinates
    assert len(coordinates) == len(selected)
    lists = [sparsification.ranked(gradient, k) for gradient in gradients]
    whole = sparsification.union(lists, int(output.outcome.kappa))
    assert whole <= set(selected.tolist())
    assert whole <= set(coordinates.tolist())
    # What differs was nearly as large as what it took the place of.
    magnitude = np.abs(gradients).max(axis=0)
    missing = magnitude[np.setdiff1d(selected, coordinates)]
    instead = magnitude[np.setdiff1d(coordinates, selected)]
    if len(missing):
        assert instead.min() >= missing.max() * 2 ** (-1 / 8)


def test_a_short_union_by_hand(build_exchange, build_rounds):
    # Both clients rank the same coordinates first: 2 ranks hold 2 coordinates of 4.
    run = build_rounds(build_exchange(fab_consensus.FabConsensus, 6), [1, 1])
    state = fab_consensus.ElectionState(tf.constant(0.25, tf.float64))
    run.method_state = state
    gradients = np.float32([[9, 8, 0, 0, 1, 0], [7, 6, 0, 2, 0, 0]])
    output = run.run(gradients, 4)
    election = output.outcome.election
    # 0.25 of 4 is 1 rank, but floor(4 / 2) + 1 = 3 are asked for.
    assert election.ranks == 3
    np.testing.assert_array_equal(election.elected.coordinates, [0, 1, 3, 4])
    # Rank 0, then 1, then 2 with the larger magnitude first.
    np.testing.assert_array_equal(election.elected.order, [0, 1, 2, 3])
    assert not election.is_short
    np.testing.assert_array_equal(run.weights, [-8, -7, 0, -1, -0.5, 0])

    alike = np.float32([[9, 8, 7, 1, 0, 0], [9, 8, 7, 1, 0, 0]])
    run.method_state = state
    output = run.run(alike, 4)
    election = output.outcome.election
    assert election.is_short
    assert output.outcome.kappa == election.ranks == 3
    np.testing.assert_array_equal(election.elected.coordinates, [0, 1, 2])
    # Twice the ranks, by k = 4, but never more than all.
    assert float(run.method_state.ranks_per_k) == 1.0


def test_the_ranks_that_are_asked_for_by_hand():
    method = fab_consensus.FabConsensus().bind(dimension=1000, probes=False)
    state = method.advance(method.initialize(), 100, tf.constant(7), 100)
    assert float(state.ranks_per_k) == pytest.approx(1.25 * 8 / 100)
    # ceil(0.1 k), and at least floor(k / N) + 1.
    asked = method.share(state, _SEED, tf.constant(200))
    assert asked.numpy().tolist() == [20]
    assert method.ranks(asked, 200, 20).numpy().tolist() == [20]
    assert method.ranks(asked, 200, 5).numpy().tolist() == [41]
    assert method.ranks(asked, 200, 1).numpy().tolist() == [200]
    short = method.advance(state, 200, tf.constant(20), 150)
    assert float(short.ranks_per_k) == pytest.approx(2 * 20 / 200)


@st.composite
def _elections(draw):
    """(k, ranks, residuals, ballots of adversaries): the last are any lists."""
    clients = draw(st.integers(1, 6))
    k = draw(st.integers(1, DIMENSION))
    ranks = min(k // clients + 1 + draw(st.integers(0, DIMENSION)), k)
    honest = draw(st.integers(1, clients))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    residuals = rng.normal(size=[honest, DIMENSION]).astype(np.float32)
    lists = [
        rng.permutation(DIMENSION)[: rng.integers(0, ranks + 1)]
        for _ in range(clients - honest)
    ]
    magnitude = draw(st.sampled_from([0.0, 1.0, 1e30]))
    return k, ranks, residuals, [(ballot, magnitude) for ballot in lists]


@settings(deadline=None, max_examples=150)
@given(election=_elections())
def test_nobody_is_left_out_whatever_others_nominate(elect, election):
    k, ranks, residuals, others = election
    ballots = [(elect.nominees(residual, ranks), 1.0) for residual in residuals]
    elected = elect(k, ranks, ballots + others)
    clients = len(ballots) + len(others)
    assert len(elected) <= k
    for ballot, _ in ballots:
        assert len(np.intersect1d(ballot, elected)) >= k // clients


class _Elect:
    """An election among ballots, traced once."""

    def __init__(self):
        method = fab_consensus.FabConsensus().bind(dimension=DIMENSION, probes=False)
        self._method = method
        number = tf.TensorSpec([], tf.int32)
        zero = tf.function(method.election.zero)
        accumulator = tf.nest.map_structure(
            lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype),
            zero.get_concrete_function().structured_outputs,
        )

        @tf.function(
            input_signature=[
                accumulator,
                tf.TensorSpec([None], tf.int32),
                tf.TensorSpec([None], tf.float32),
                number,
            ]
        )
        def add(accumulator, nominees, magnitudes, k):
            upload = sparsifier_lib.Upload(
                tf.constant(0),
                sparse_vector.SparseVector(nominees, magnitudes),
                tf.constant(1.0),
                k,
                tf.constant(0),
            )
            return method.election.accumulate(accumulator, upload)

        self._zero, self._add = zero, add
        self._elect = tf.function(
            method.elect, input_signature=[accumulator, number, number]
        )
        self._nominees = tf.function(
            method.nominees,
            input_signature=[tf.TensorSpec([DIMENSION], tf.float32), number],
        )

    def nominees(self, residual, ranks):
        return self._nominees(residual, np.int32(ranks)).numpy()

    def __call__(self, k, ranks, ballots):
        accumulator = self._zero()
        for nominees, magnitude in ballots:
            magnitudes = np.full(len(nominees), magnitude, np.float32)
            accumulator = self._add(
                accumulator, np.int32(nominees), magnitudes, np.int32(k)
            )
        return self._elect(accumulator, np.int32(k), np.int32(ranks))[0].coordinates


@pytest.fixture(scope="module")
def elect():
    return _Elect()


@pytest.fixture(scope="module")
def lossy():
    """An exchange with one-bit values that asks for a probe."""
    method = fab_consensus.FabConsensus().bind(dimension=DIMENSION, probes=True)
    exact = Encoder("rice", "float32").bind(dimension=DIMENSION)
    return consensus_exchange.ConsensusExchange(
        sparsifier=method,
        uplink_encoder=Encoder("rice", "quantised1").bind(dimension=DIMENSION),
        downlink_encoder=exact,
        probe_encoder=exact,
        update=server_update.SparseSgd(learning_rate=1.0).bind(DIMENSION),
    )


def test_what_a_value_code_changes_stays_in_the_residual(lossy, build_rounds):
    run = build_rounds(lossy, SIZES)
    gradients = draw_gradients(5, 4).astype(np.float64)
    applied = np.zeros(DIMENSION)
    for gradient in gradients:
        before = run.weights.astype(np.float64)
        run.run(gradient, 9)
        applied += before - run.weights
    # All that was added is applied or still there, weighted by C_i / C.
    weights = np.float64(SIZES) / np.sum(SIZES)
    total = np.einsum("i,mij->j", weights, gradients)
    left = weights @ run.residuals().astype(np.float64)
    np.testing.assert_allclose(applied + left, total, rtol=1e-4, atol=1e-4)
    assert np.any(run.residuals()[:, run.weights != 0] != 0)


def test_the_probe_is_a_bit_a_coordinate(build_exchange, build_rounds):
    exchange = build_exchange(fab_consensus.FabConsensus, DIMENSION, probes=True)
    run = build_rounds(exchange, SIZES)
    output = run.run(draw_gradients(4, 1)[0], 19, 8)
    outcome = output.outcome
    elected = outcome.election.elected
    # 19 bits are 3 bytes; a checksum is 4.
    assert len(outcome.probe_message) == 7
    assert outcome.probe_units == 19 / 32
    assert outcome.probe_count == 8
    first = elected.coordinates[elected.order[:8]]
    dropped = np.setdiff1d(elected.coordinates, first)
    bits = np.unpackbits(outcome.probe_message[:3])
    np.testing.assert_array_equal(
        np.flatnonzero(bits), np.searchsorted(elected.coordinates, dropped)
    )
    # J' is what would have been elected at k' from the same ballots.
    expected = sparsification.fab_consensus(
        draw_gradients(4, 1)[0], SIZES, 8, int(outcome.election.ranks)
    )
    np.testing.assert_array_equal(np.sort(first), expected.indices)
    assert len(run.run(draw_gradients(5, 1)[0], 19, 0).outcome.probe_message) == 0


def _ballot(exchange, nominees, magnitudes):
    return exchange._election_messages.ballot_encoder.encode(
        sparse_vector.SparseVector(
            tf.constant(nominees, tf.int32), tf.constant(magnitudes, tf.float32)
        ),
        _SEED,
    ).message


def test_refused_ballots_count_for_nothing(build_exchange):
    exchange = build_exchange(fab_consensus.FabConsensus, DIMENSION)
    good = _ballot(exchange, [3, 7], [2.0, 1.0])
    damaged = tf.concat([good[:-1], good[-1:] ^ 1], axis=0)
    ballots = [
        (0, 1.0, good),
        (0, 1.0, _ballot(exchange, [8, 9], [5.0, 5.0])),  # again
        (1, 1.0, damaged),
        (2, 1.0, _ballot(exchange, [10, 11, 12], [5.0, 5.0, 5.0])),  # too many
        (3, -1.0, good),
        (9, 1.0, good),  # unknown
        (4, 0.0, _ballot(exchange, [20, 21], [5.0, 5.0])),  # weighs nothing
    ]
    collected = exchange.no_messages()
    for client, weight, entries in ballots:
        message = messages.UplinkMessage(
            tf.constant(client), tf.constant(weight), entries
        )
        collected = exchange.collect(collected, message)
    config = messages.RoundConfig(
        controller.Decision(tf.constant(4), tf.constant(0)), tf.constant([2])
    )
    announcement, election = exchange.elect(collected, config, tf.range(5))
    np.testing.assert_array_equal(election.elected.coordinates, [3, 7])
    assert election.is_short
    np.testing.assert_array_equal(
        election.ballots.errors,
        [
            names.ACCEPTED,
            names.REPEATED_CLIENT,
            names.BAD_CHECKSUM,
            names.TOO_MANY_ENTRIES,
            names.INVALID_WEIGHT,
            names.ACCEPTED,
            names.UNKNOWN_CLIENT,
        ],
    )
    assert election.announced_bits == 8 * len(announcement)


def test_nothing_is_sent_where_nobody_could_vote(build_exchange, build_rounds):
    run = build_rounds(build_exchange(fab_consensus.FabConsensus, DIMENSION), [1, 1])
    gradients = np.full([2, DIMENSION], np.nan, np.float32)
    output = run.run(gradients, 5)
    assert output.outcome.downlink_elements == 0
    assert output.outcome.election.is_short
    np.testing.assert_array_equal(run.weights, 0)
    np.testing.assert_array_equal(output.contributed, [0, 0])
    # One client's work is finite again.
    gradients[0] = np.arange(DIMENSION)
    output = run.run(gradients, 5)
    np.testing.assert_array_equal(np.flatnonzero(run.weights), range(35, 40))
    np.testing.assert_array_equal(output.contributed, [5, 0])


def test_bytes_of_a_round_by_hand(build_exchange, build_rounds):
    run = build_rounds(build_exchange(fab_consensus.FabConsensus, DIMENSION), [1, 1])
    outcome = run.run(draw_gradients(7, 1)[0][:2], 10).outcome
    election = outcome.election
    # Id and weight; 8 bytes of frame; 10 times 6 bits; 4 bytes and 73 bits.
    assert election.ballots.bits.tolist() == 2 * [64 + 8 * (8 + 8 + 4 + 10)]
    # Id and weight; frame; 10 float32.
    assert outcome.receipts.bits.tolist() == 2 * [64 + 8 * (8 + 40)]
    assert outcome.receipts.index_bits.tolist() == [0, 0]
    # k, k' and r; 10 int32 without values; 10 float32 without indices.
    assert election.announced_bits == 8 * (8 + 40)
    assert outcome.downlink_bits == 96 + 2 * 8 * (8 + 40)
    assert outcome.shared_elements == 1


def test_a_method_and_its_exchange_belong_together():
    exact = Encoder("rice", "float32").bind(dimension=6)
    parts = {
        "uplink_encoder": exact,
        "downlink_encoder": exact,
        "probe_encoder": exact,
        "update": server_update.SparseSgd(learning_rate=1.0).bind(6),
    }
    bound = {"dimension": 6, "probes": False}
    with pytest.raises(ValueError, match="Expected ConsensusExchange for FabConsensus"):
        sparse_exchange.SparseExchange(
            sparsifier=fab_consensus.FabConsensus().bind(**bound), **parts
        )
    with pytest.raises(ValueError, match="Expected SparseExchange for FabTopK, found"):
        consensus_exchange.ConsensusExchange(
            sparsifier=fab_top_k.FabTopK().bind(**bound), **parts
        )
