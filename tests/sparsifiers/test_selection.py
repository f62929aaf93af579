"""What the server selects, against transcriptions of the methods' definitions."""

from typing import NamedTuple

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.oracles import sparsification
from tff_gs import _seeds
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


def _order(dimension, number):
    """The order of all coordinates in the seed's `number`-th draw."""
    drawn = _seeds.draw(np.array([3, 4]), _seeds.Purpose.SHARED_ORDER, number)
    return _seeded_permutation.permute(
        tf.range(dimension), tf.stack([drawn, 0]), dimension=dimension
    ).numpy()


def _random_k(residuals, client_weights, k):
    # In the second round.
    order = _order(residuals.shape[1], 1)
    return sparsification.shared_order(residuals, client_weights, order[:k])


def _periodic_k(residuals, client_weights, k):
    # After a round at a third of D.
    dimension = residuals.shape[1]
    passes = sparsification.Passes(lambda number: _order(dimension, number))
    passes.take(dimension // 3)
    return sparsification.shared_order(residuals, client_weights, passes.take(k))


_METHODS = {
    "fab": (fab_top_k.FabTopK, sparsification.fab),
    "fub": (fub_top_k.FubTopK, sparsification.fub),
    "unidirectional": (
        unidirectional_top_k.UnidirectionalTopK,
        sparsification.unidirectional,
    ),
    "random": (random_k.RandomK, _random_k),
    "periodic": (periodic_k.PeriodicK, _periodic_k),
    "send_all": (send_all.SendAll, sparsification.send_all),
    "gtopk": (gtop_k.GTopK, lambda *arguments: sparsification.gtop_k(*arguments)[0]),
}
_DIMENSIONS = (1, 6, 20)


class Round(NamedTuple):
    residuals: np.ndarray
    weights: np.ndarray
    k: int
    k_probe: int
    seed: int


@st.composite
def rounds(draw):
    """Rounds whose numbers are multiples of 1/4: every sum is exact, ties abound."""
    dimension = draw(st.sampled_from(_DIMENSIONS))
    clients = draw(st.integers(1, 6))
    largest = draw(st.sampled_from([1, 8, 1000]))
    rows = st.lists(
        st.integers(-largest, largest), min_size=dimension, max_size=dimension
    )
    quarters = draw(st.lists(rows, min_size=clients, max_size=clients))
    residuals = np.array(quarters, np.float32) / 4
    if draw(st.booleans()):
        residuals[-1] = residuals[0]
    sizes = st.lists(st.integers(1, 300), min_size=clients, max_size=clients)
    k = draw(st.integers(1, dimension))
    return Round(
        residuals,
        np.array(draw(sizes), np.float32),
        k,
        draw(st.integers(0, k - 1)),
        draw(st.integers(0, 2**32 - 1)),
    )


def _uploads(server, case):
    return [
        server.upload(residual, weight, case.k, case.k_probe, client_id)
        for client_id, (residual, weight) in enumerate(
            zip(case.residuals, case.weights, strict=True)
        )
    ]


def _select(server, case, aggregate):
    total = np.float64(case.weights.sum(dtype=np.float64))
    return server.select(aggregate, total, case.k, case.k_probe)


def _dense(indices, values, dimension):
    vector = np.zeros(dimension, np.float32)
    vector[np.asarray(indices)] = values
    return vector


@pytest.mark.parametrize("method", _METHODS)
@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(case=rounds())
def test_equals_the_definition(build_server, method, case):
    sparsifier, oracle = _METHODS[method]
    server = build_server(sparsifier, case.residuals.shape[1], False)
    selection = _select(server, case, server.aggregate(_uploads(server, case)))
    expected = oracle(case.residuals, case.weights, case.k)
    np.testing.assert_array_equal(selection.update.indices, expected.indices)
    np.testing.assert_array_equal(
        selection.update.values, expected.values.astype(np.float32)
    )
    assert selection.kappa == expected.kappa
    assert selection.probe.indices.shape == [0]
    assert selection.probe_count == 0


@pytest.mark.parametrize("method", _METHODS)
@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(case=rounds())
def test_the_probe_is_the_round_at_the_other_k(build_server, method, case):
    sparsifier, oracle = _METHODS[method]
    dimension = case.residuals.shape[1]
    server = build_server(sparsifier, dimension, True)
    selection = _select(server, case, server.aggregate(_uploads(server, case)))
    expected = oracle(case.residuals, case.weights, case.k)
    np.testing.assert_array_equal(selection.update.indices, expected.indices)
    if case.k_probe == 0:
        assert selection.probe.indices.shape == [0]
        assert selection.probe_count == 0
        return
    given_instead = _dense(*selection.update, dimension)
    assert np.all(
        given_instead[np.asarray(selection.probe.indices)] != selection.probe.values
    )
    given_instead[np.asarray(selection.probe.indices)] = selection.probe.values
    wanted = oracle(case.residuals, case.weights, case.k_probe)
    np.testing.assert_array_equal(
        given_instead, _dense(wanted.indices, wanted.values, dimension)
    )
    assert selection.probe_count == len(wanted.indices)


@pytest.mark.parametrize("method", _METHODS)
@hypothesis.settings(deadline=None, max_examples=50)
@hypothesis.given(case=rounds())
def test_any_order_and_any_tree_give_the_same_selection(build_server, method, case):
    sparsifier, _ = _METHODS[method]
    server = build_server(sparsifier, case.residuals.shape[1], True)
    uploads = _uploads(server, case)
    # Not the aggregate: what cannot be selected may be ranked or not.
    in_order = _select(server, case, server.aggregate(uploads))
    on_tree = _select(
        server,
        case,
        server.aggregate_shuffled(uploads, np.random.default_rng(case.seed)),
    )
    for first, second in zip(
        tf.nest.flatten(in_order), tf.nest.flatten(on_tree), strict=True
    ):
        np.testing.assert_array_equal(first, second)


@hypothesis.settings(deadline=None, max_examples=50)
@hypothesis.given(case=rounds())
def test_fab_is_full_and_fair(build_server, case):
    server = build_server(fab_top_k.FabTopK, case.residuals.shape[1], False)
    uploads = _uploads(server, case)
    selection = _select(server, case, server.aggregate(uploads))
    sent = [set(upload.entries.indices) for upload in uploads]
    selected = set(selection.update.indices)
    assert len(selected) == min(case.k, len(set.union(*sent)))
    for entries in sent:
        assert len(entries & selected) >= case.k // len(sent)


@pytest.mark.parametrize("method", _METHODS)
def test_empty_uploads_change_nothing(build_server, method):
    sparsifier, _ = _METHODS[method]
    server = build_server(sparsifier, 6, True)
    upload = server.upload(np.array([1, 0, 3, 0, -2, 0], np.float32), 2.0, 3, 1)
    nothing = upload._replace(
        entries=type(upload.entries)(np.zeros([0], np.int32), np.zeros([0], np.float32))
    )
    alone = server.aggregate([upload])
    for uploads in ([nothing, upload], [upload, nothing]):
        for first, second in zip(alone, server.aggregate(uploads), strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("method", _METHODS)
@pytest.mark.parametrize("probes", [False, True])
def test_without_uploads_nothing_is_selected(build_server, method, probes):
    sparsifier, _ = _METHODS[method]
    server = build_server(sparsifier, 6, probes)
    selection = server.select(server.aggregate([]), np.float64(0), 3, 1)
    assert selection.update.indices.shape == (0,)
    assert selection.probe.indices.shape == (0,)


def test_fab_by_hand(build_server):
    # Ranks: client 0 sends 0, 1, 2 in this order, client 1 sends 0, 3, 4.
    residuals = np.array([[9, 8, 7, 0, 0, 0], [6, 0, 0, 5, 4, 0]], np.float32)
    server = build_server(fab_top_k.FabTopK, 6, True)
    uploads = [
        server.upload(residual, weight, 3, 2)
        for residual, weight in zip(residuals, (1.0, 3.0), strict=True)
    ]
    selection = server.select(server.aggregate(uploads), np.float64(4), 3, 2)
    # kappa = 2: the first two entries of both are {0, 1, 3}, three make five.
    assert selection.kappa == 2
    np.testing.assert_array_equal(selection.update.indices, [0, 1, 3])
    np.testing.assert_array_equal(
        selection.update.values, [(9 + 3 * 6) / 4, 8 / 4, 3 * 5 / 4]
    )
    # With k' = 2: {0} whole, and of rank 2 the larger, 1; so 3 falls away.
    assert selection.probe_count == 2
    np.testing.assert_array_equal(selection.probe.indices, [3])
    np.testing.assert_array_equal(selection.probe.values, [0.0])


def test_fub_by_hand(build_server):
    # Both send their largest two; at 0 they cancel.
    residuals = np.array([[9, 0, 8, 0, 0, 0], [-9, 0, 0, 7, 0, 0]], np.float32)
    server = build_server(fub_top_k.FubTopK, 6, True)
    uploads = [server.upload(residual, 1.0, 2, 1) for residual in residuals]
    selection = server.select(server.aggregate(uploads), np.float64(2), 2, 1)
    np.testing.assert_array_equal(selection.update.indices, [2, 3])
    np.testing.assert_array_equal(selection.update.values, [4.0, 3.5])
    # With k' = 1 both send coordinate 0 only, where the mean is zero.
    assert selection.probe_count == 1
    np.testing.assert_array_equal(selection.probe.indices, [2, 3])
    np.testing.assert_array_equal(selection.probe.values, [0.0, 0.0])


def test_many_entries_are_folded_on_the_way(build_server):
    # More than D/4 pending entries, several times over.
    rng = np.random.default_rng(3)
    residuals = rng.normal(size=(40, 2000)).astype(np.float32)
    weights = rng.integers(1, 300, 40).astype(np.float32)
    case = Round(residuals, weights, 120, 50, 0)
    for sparsifier, oracle in _METHODS.values():
        server = build_server(sparsifier, 2000, True)
        selection = _select(server, case, server.aggregate(_uploads(server, case)))
        expected = oracle(residuals, weights, 120)
        np.testing.assert_array_equal(selection.update.indices, expected.indices)
        np.testing.assert_allclose(
            selection.update.values, expected.values, rtol=1e-6, atol=1e-9
        )
        assert selection.probe_count == len(oracle(residuals, weights, 50).indices)


@pytest.mark.parametrize("method", _METHODS)
def test_forget_is_what_was_sent_and_selected(method):
    sparsifier, _ = _METHODS[method]
    forgotten = (
        sparsifier()
        .bind(dimension=8, probes=False)
        .forget(
            np.array([0, 2, 5, 7], np.int32),
            np.array([1, 2, 3, 7], np.int32),
            np.zeros([0], np.int32),
            0,
        )
    )
    np.testing.assert_array_equal(forgotten, [False, True, False, True])


@hypothesis.settings(deadline=None, max_examples=40)
@hypothesis.given(case=rounds())
def test_gtopk_forgets_what_reached_the_root(build_server, case):
    server = build_server(gtop_k.GTopK, case.residuals.shape[1], False)
    # Ids with gaps: the tree goes by their order.
    uploads = [
        upload._replace(client_id=np.int32(3 * upload.client_id + 1))
        for upload in _uploads(server, case)
    ]
    selection = _select(server, case, server.aggregate(uploads))
    _, survivors = sparsification.gtop_k(case.residuals, case.weights, case.k)
    for upload, expected in zip(uploads, survivors, strict=True):
        forgotten = server.forget(
            upload.entries.indices,
            selection.update.indices,
            selection.notes,
            upload.client_id,
        ).numpy()
        np.testing.assert_array_equal(upload.entries.indices[forgotten], expected)


def test_gtopk_by_hand(build_server):
    # Client 0 and 1: 3 + 0 at 0, 2 + 2.5 at 1 and 2 at 2 leave {0: 3, 1: 4.5};
    # client 2 brings {2: 9, 0: 1}, and the root keeps {2: 9, 1: 4.5}.
    residuals = np.array([[3, 2, 0], [0, 2.5, 2], [1, 0, 9]], np.float32)
    server = build_server(gtop_k.GTopK, 3, False)
    uploads = [
        server.upload(residual, 1.0, 2, client_id=client_id)
        for client_id, residual in enumerate(residuals)
    ]
    selection = server.select(server.aggregate(uploads), np.float64(3), 2, 0)
    np.testing.assert_array_equal(selection.update.indices, [1, 2])
    np.testing.assert_array_equal(selection.update.values, [1.5, 3.0])
    # Coordinate 2 was dropped where clients 0 and 1 met.
    np.testing.assert_array_equal(selection.notes, [2, 0, 1])


def test_dimension_is_checked():
    with pytest.raises(ValueError, match="dimension of at least 1, found 0"):
        fab_top_k.FabTopK().bind(dimension=0, probes=False)
