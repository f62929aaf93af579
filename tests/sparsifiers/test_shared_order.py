"""What server and clients know of coordinates that nobody sends."""

import itertools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.oracles import sparsification
from tff_gs import _seeds
from tff_gs.sparsifiers import _seeded_permutation, periodic_k, random_k, send_all

_DIMENSION = 23
_SEED = np.array([5, 6], np.int32)


@pytest.fixture(scope="module")
def build_rounds():
    """From the ks of rounds to the coordinates and what is shared, round by round."""

    def build(sparsifier_class):
        method = sparsifier_class().bind(dimension=_DIMENSION, probes=False)

        @tf.function(autograph=False)
        def play(state, k):
            shared = method.share(state, _SEED, k)
            indices = method.sparsify(tf.zeros([_DIMENSION]), k, shared, _SEED)
            coordinates = method.coordinates(indices, shared)
            return method.advance(state, k, 0, k), indices, coordinates, shared

        def rounds(ks):
            state = method.initialize()
            for k in ks:
                state, *played = play(state, tf.constant(k))
                yield [part.numpy() for part in played]

        return rounds

    return {
        sparsifier_class: build(sparsifier_class)
        for sparsifier_class in (random_k.RandomK, periodic_k.PeriodicK)
    }


def _seed(number):
    return int(_seeds.draw(_SEED, _seeds.Purpose.SHARED_ORDER, number))


def _order(number):
    return _seeded_permutation.permute(
        tf.range(_DIMENSION), tf.constant([_seed(number), 0]), dimension=_DIMENSION
    ).numpy()


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(ks=st.lists(st.integers(1, _DIMENSION), min_size=1, max_size=30))
def test_periodic_k_takes_every_coordinate_once_a_pass(build_rounds, ks):
    passes = sparsification.Passes(_order)
    covered = []
    for k, (indices, coordinates, _) in zip(
        ks, build_rounds[periodic_k.PeriodicK](ks), strict=True
    ):
        assert len(coordinates) == min(k, _DIMENSION - len(covered))
        np.testing.assert_array_equal(indices, np.arange(len(coordinates)))
        np.testing.assert_array_equal(coordinates, passes.take(k))
        covered.extend(coordinates)
        if len(covered) == _DIMENSION:
            assert sorted(covered) == list(range(_DIMENSION))
            covered = []
        assert len(set(covered)) == len(covered)


def test_periodic_k_shares_seed_and_offset_by_hand(build_rounds):
    # 10 + 10 + 3 are all 23; the next pass has another seed.
    shared = [s for *_, s in build_rounds[periodic_k.PeriodicK]([10, 10, 10, 23, 1])]
    first, second, third = (_seed(number) for number in range(3))
    assert len({first, second, third}) == 3
    np.testing.assert_array_equal(
        shared, [[first, 0], [first, 10], [first, 20], [second, 0], [third, 0]]
    )


@hypothesis.settings(deadline=None, max_examples=30)
@hypothesis.given(ks=st.lists(st.integers(1, _DIMENSION), min_size=1, max_size=10))
def test_random_k_draws_anew_every_round(build_rounds, ks):
    rounds = build_rounds[random_k.RandomK](ks)
    for number, (k, (indices, coordinates, shared)) in enumerate(
        zip(ks, rounds, strict=True)
    ):
        np.testing.assert_array_equal(indices, np.arange(k))
        np.testing.assert_array_equal(shared, [_seed(number)])
        np.testing.assert_array_equal(coordinates, _order(number)[:k])
        assert len(set(coordinates)) == k


def test_random_k_leaves_no_coordinate_out(build_rounds):
    # 400 rounds at 5 of 23: 87 times each on average, standard deviation 8.
    drawn = [
        coordinates
        for _, coordinates, _ in build_rounds[random_k.RandomK](
            itertools.repeat(5, 400)
        )
    ]
    counts = np.bincount(np.ravel(drawn), minlength=_DIMENSION)
    assert counts.sum() == 2000
    assert np.abs(counts - 2000 / _DIMENSION).max() < 40
    assert 3 < counts.std() < 14


def test_positions_that_nobody_asked_for_are_left_out(build_server):
    # The pass has 4 of 6 coordinates left; someone sends 5 positions.
    server = build_server(periodic_k.PeriodicK, 6, False)
    residual = np.arange(1, 7, dtype=np.float32)
    honest = server.upload(residual, 1.0, 6)
    assert len(honest.entries.indices) == 4
    forged = honest._replace(
        client_id=np.int32(1),
        entries=type(honest.entries)(
            np.arange(5, dtype=np.int32), np.full(5, 100, np.float32)
        ),
    )
    selection = server.select(server.aggregate([honest, forged]), np.float64(2), 6, 0)
    assert len(selection.update.indices) == 4
    np.testing.assert_array_equal(
        selection.update.values, (residual[selection.update.indices] + 100) / 2
    )


@pytest.mark.parametrize(
    "sparsifier_class", [random_k.RandomK, periodic_k.PeriodicK, send_all.SendAll]
)
def test_an_entry_is_one_number(sparsifier_class):
    method = sparsifier_class().bind(dimension=6, probes=False)
    units = method.units(tf.constant([0, 4]))
    assert units.dtype == tf.float64
    np.testing.assert_array_equal(units, [0.0, 4.0])


def test_the_probe_by_hand(build_server):
    server = build_server(random_k.RandomK, 6, True)
    residuals = np.array([[1, 2, 0, 4, 5, 6], [3, 2, 0, 4, -5, 2]], np.float32)
    uploads = [server.upload(residual, 1.0, 6, 2) for residual in residuals]
    selection = server.select(server.aggregate(uploads), np.float64(2), 6, 2)
    np.testing.assert_array_equal(selection.update.indices, range(6))
    np.testing.assert_array_equal(selection.update.values, [2, 2, 0, 4, 0, 4])
    # Beyond the first two of the order b' is zero, which b is not at 0, 1, 3 and 5.
    first = server.upload(residuals[0], 1.0, 2).entries.values
    kept = [j for j in range(6) if residuals[0, j] in first]
    assert selection.probe_count == 2
    np.testing.assert_array_equal(
        selection.probe.indices, sorted({0, 1, 3, 5} - set(kept))
    )
    assert not np.any(selection.probe.values)
