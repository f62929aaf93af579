"""Pipelined consensus: this round's values at what the last round's ballots elected."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tests.exchange.made_up import DIMENSION, SIZES, draw_gradients
from tests.oracles import sparsification
from tff_gs.exchange import pipelined_exchange
from tff_gs.sparsifiers import pipelined_consensus


def _ranking(residuals, ranks):
    """All nominees in the order of selection: best rank, magnitude, coordinate."""
    best = {}
    for residual in residuals:
        ballot = sparsification.ranked(residual, ranks)
        magnitudes = sparsification.short(np.abs(residual[ballot]))
        for rank, (j, size) in enumerate(zip(ballot.tolist(), magnitudes, strict=True)):
            best[j] = min(best.get(j, (ranks, 0.0)), (rank, -float(size)))
    return sorted(best, key=lambda j: (*best[j], j)), best


@pytest.fixture(scope="module")
def exchange(exact_encoder):
    from tff_gs.exchange import server_update

    method = pipelined_consensus.PipelinedConsensus()
    code = exact_encoder.bind(dimension=DIMENSION)
    return pipelined_exchange.PipelinedExchange(
        sparsifier=method.bind(dimension=DIMENSION, probes=True),
        uplink_encoder=code,
        downlink_encoder=code,
        probe_encoder=code,
        update=server_update.SparseSgd(learning_rate=1.0).bind(DIMENSION),
    )


def test_rounds_follow_the_definition_and_lose_nothing(exchange, build_rounds):
    run = build_rounds(exchange, SIZES)
    residuals = np.zeros([len(SIZES), DIMENSION], np.float32)
    share, clients = 1.0, len(SIZES)
    order, best, asked = [], {}, 0
    for gradient, k in zip(
        draw_gradients(1, 9), [5, 6, 40, 13, 1, 2, 39, 20, 21], strict=True
    ):
        before = run.weights
        output = run.run(gradient, k, k // 2)
        outcome, election = output.outcome, output.outcome.election

        chosen = np.array(sorted(order[:k]), int)
        np.testing.assert_array_equal(election.elected.coordinates, chosen)
        np.testing.assert_array_equal(
            election.elected.coordinates[election.elected.order], order[:k]
        )
        kappa = best[order[k]][0] if len(order) > k else asked
        assert outcome.kappa == kappa
        assert election.is_short == (len(order) < k)
        ranks = min(max(math.ceil(share * k), k // clients + 1), k)
        assert election.ranks == ranks
        residuals += gradient
        means = np.average(residuals.astype(np.float64), axis=0, weights=SIZES)
        np.testing.assert_allclose(
            (before.astype(np.float64) - run.weights)[chosen],
            means[chosen],
            rtol=1e-4,
            atol=1e-4,
        )
        assert np.all((before == run.weights)[np.setdiff1d(range(40), chosen)])
        residuals[:, chosen] = 0.0
        np.testing.assert_array_equal(run.residuals(), residuals)
        np.testing.assert_array_equal(output.contributed, [len(chosen)] * clients)
        # What is nominated is what this round has left.
        if order:
            short = len(chosen) < k
            share = min((2 * kappa if short else 1.25 * (kappa + 1)) / k, 1.0)
        order, best = _ranking(residuals, ranks)
        asked = ranks
        assert float(run.method_state.ranks_per_k) == pytest.approx(share)
        np.testing.assert_array_equal(run.method_state.ranking.coordinates, order)


def test_what_travels_by_hand(exchange, build_rounds):
    run = build_rounds(exchange, [1, 1])
    first = run.run(draw_gradients(2, 1)[0][:2], 10).outcome
    # No J yet: nothing but a frame of 8 bytes, id and weight, each way.
    assert first.receipts.bits.tolist() == [64 + 64] * 2
    assert first.election.ballots.bits.tolist() == 2 * [64 + 8 * (8 + 8 + 4 + 10)]
    assert first.downlink_bits == 96 + 2 * 64
    second = run.run(draw_gradients(3, 1)[0][:2], 10).outcome
    assert second.receipts.bits.tolist() == [64 + 8 * (8 + 40)] * 2
    assert second.downlink_bits == 96 + 2 * 8 * (8 + 40)
    assert second.shared_elements == 1


def test_the_probe_is_the_first_of_the_order(exchange, build_rounds):
    run = build_rounds(exchange, SIZES)
    run.run(draw_gradients(4, 1)[0], 19, 8)
    outcome = run.run(draw_gradients(5, 1)[0], 19, 8).outcome
    elected = outcome.election.elected
    dropped = np.sort(elected.order[8:])
    bits = np.unpackbits(outcome.probe_message[:3])
    np.testing.assert_array_equal(np.flatnonzero(bits), dropped)
    assert outcome.probe_count == 8


def test_one_trip_and_no_promise():
    method = pipelined_consensus.PipelinedConsensus()
    assert method.trips == 1.0
    assert not method.is_fair
    state = method.bind(dimension=9, probes=False).initialize()
    assert tf.size(state.ranking.coordinates) == 0
