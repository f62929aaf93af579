"""What the server believes of reports, against numbers by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tff_gs.encoders import names
from tff_gs.exchange import catch_up, receipts
from tff_gs.learning import _reports

_NAN, _INF = float("nan"), float("inf")


def _receipts(rows):
    """Receipts of (id, error, weight, elements)."""
    ids, errors, weights, elements = zip(*rows, strict=True)
    sizes = [np.full(len(rows), n, np.int64) for n in (100, 30, 60, 10)]
    return receipts.Receipts(
        tf.constant(ids, tf.int32),
        tf.constant(errors, tf.int32),
        tf.constant(weights, tf.float64),
        tf.constant(elements, tf.int32),
        *map(tf.constant, sizes),
    )


def _measured(
    client_id,
    contributed=1,
    loss=1.0,
    losses=(),
    steps=1,
    caught=(),
    energies=(),
    metrics=(),
):
    return _reports.ClientMeasurements(
        _reports.ClientReport(
            tf.constant(client_id),
            tf.constant(contributed),
            tf.constant(loss, tf.float32),
            tf.constant(losses, tf.float32),
            tf.constant(energies, tf.float32),
            metrics,
        ),
        tf.constant(steps),
        tuple(caught)
        and catch_up.CatchUpReceipt(*(tf.constant(n, tf.int64) for n in caught)),
        tf.constant(0.5, tf.float64),
    )


def _summary(rows, all_measured, *, limits=None, selected=10):
    specs = tf.nest.map_structure(tf.TensorSpec.from_tensor, all_measured[0])
    collected = _reports.no_reports(specs)
    for measured in all_measured:
        collected = _reports.collect(collected, measured)
    return _reports.summarise(
        collected,
        _receipts(rows),
        selected=tf.constant(selected),
        limits=limits,
    )


_THREE = [(0, 0, 2.0, 5), (3, 0, 6.0, 5), (7, 0, 2.0, 5)]


def test_means_are_weighted_by_the_uploads_weights():
    found = _summary(
        _THREE,
        [
            _measured(7, 5, 1.0, (1.0, 2.0, 3.0), steps=4),
            _measured(0, 2, 3.0, (3.0, 2.0, 1.0), steps=1),
            _measured(3, 3, 2.0, (2.0, 2.0, 2.0), steps=2),
        ],
    )
    assert found.training_loss == (2 * 3 + 6 * 2 + 2 * 1) / 10
    np.testing.assert_allclose(found.losses, [2.0, 2.0, 2.0])
    np.testing.assert_array_equal(found.participants.client_ids, [0, 3, 7])
    np.testing.assert_array_equal(found.contributed, [2, 3, 5])
    np.testing.assert_array_equal(found.local_steps, [1, 2, 4])
    assert found.bits == 3 * 32 * 6
    assert found.encode_seconds == 1.5


def test_means_of_energies_are_weighted_too():
    found = _summary(
        _THREE,
        [
            _measured(0, energies=(4.0, 1.0)),
            _measured(3, energies=(2.0, 2.0)),
            _measured(7, energies=(_NAN, 1.0)),
        ],
    )
    np.testing.assert_allclose(found.energies, [2.5, 1.75])
    assert found.losses.shape == (0,)
    assert found.bits == 3 * 32 * 5


@pytest.mark.parametrize("lie", [_NAN, _INF, -_INF])
def test_a_loss_that_is_not_finite_counts_for_nothing(lie):
    honest = [_measured(0, loss=3.0, losses=(3, 2, 1)), _measured(3, losses=(1, 1, 1))]
    for liar in (
        _measured(7, loss=lie, losses=(1, 1, 1)),
        _measured(7, loss=1.0, losses=(1, lie, 1)),
    ):
        found = _summary(_THREE, [liar, *honest])
        assert np.isfinite(found.training_loss)
        assert np.all(np.isfinite(found.losses))
    np.testing.assert_allclose(found.losses, [(6 + 6) / 8, (4 + 6) / 8, 1.0])


def test_who_was_not_heard_has_no_say():
    rows = [
        (0, 0, 2.0, 5),
        (0, names.REPEATED_CLIENT, 0.0, 0),
        (3, names.BAD_CHECKSUM, 0.0, 0),
        (5, receipts.NON_FINITE_WORK, 0.0, 0),
        (9, names.UNKNOWN_CLIENT, 0.0, 0),
    ]
    all_measured = [_measured(n, 3, 100.0) for n in (9, 5, 3)] + [_measured(0, 3, 1.5)]
    found = _summary(rows, all_measured)
    assert found.training_loss == 1.5
    np.testing.assert_array_equal(found.participants.client_ids, [0, 3, 5])
    np.testing.assert_array_equal(found.contributed, [3, 0, 0])


def test_numbers_are_held_to_what_can_be():
    limits = catch_up.CatchUpReceipt(
        *(tf.constant(n, tf.int64) for n in (4, 48, 1, 96, 2000))
    )
    found = _summary(
        _THREE,
        [
            _measured(0, 2**31 - 1, steps=2**31 - 1, caught=[2**62] * 5),
            _measured(3, -5, steps=-7, caught=[-1] * 5),
            _measured(7, 4, steps=3, caught=[1, 2, 0, 4, 100]),
        ],
        limits=limits,
        selected=4,
    )
    np.testing.assert_array_equal(found.contributed, [4, 0, 4])
    np.testing.assert_array_equal(found.local_steps, [_reports.MAX_LOCAL_STEPS, 0, 3])
    np.testing.assert_array_equal(
        np.stack(found.catch_up, axis=1),
        [[4, 48, 1, 96, 2000], [0] * 5, [1, 2, 0, 4, 100]],
    )


def test_of_several_reports_under_one_id_the_first_counts():
    found = _summary(
        _THREE, [_measured(n, loss=x) for n, x in ((0, 1), (0, 50), (3, 1), (8, 9))]
    )
    # Client 7 has reported nothing.
    assert found.training_loss == 1.0
    np.testing.assert_array_equal(found.contributed, [1, 1, 0])


def test_nobody_heard_is_a_mean_of_nothing():
    rows = [(1, names.UNKNOWN_CLIENT, 0.0, 0)]
    found = _summary(rows, [_measured(1, losses=(1, 1, 1))])
    assert np.isnan(found.training_loss)
    assert np.all(np.isnan(found.losses))
    assert found.contributed.shape == (0,)


def _metrics(correct, losses):
    return {"correct": tf.constant(correct), "losses": [tf.constant(losses)]}


def test_metrics_of_the_model_are_summed_over_who_is_heard():
    rows = [(0, 0, 2.0, 5), (3, names.BAD_CHECKSUM, 0.0, 0), (7, 0, 6.0, 5)]
    found = _summary(
        rows,
        [
            _measured(7, metrics=_metrics(5, [1.0, 2.0])),
            _measured(3, metrics=_metrics(100, [100.0, 100.0])),
            _measured(0, metrics=_metrics(2, [0.5, 0.25])),
            _measured(0, metrics=_metrics(100, [100.0, 100.0])),
        ],
    )
    assert found.model_metrics["correct"] == 7
    np.testing.assert_array_equal(found.model_metrics["losses"][0], [1.5, 2.25])
    # They are part of the report: three numbers of 32 bits, and three of the model.
    assert found.bits == 4 * 32 * (3 + 3)


@pytest.mark.parametrize("lie", [_NAN, _INF])
def test_metrics_that_are_not_finite_count_for_nothing(lie):
    found = _summary(
        _THREE,
        [
            _measured(0, metrics=_metrics(2, [1.0, 1.0])),
            _measured(3, metrics=_metrics(100, [1.0, lie])),
        ],
    )
    assert found.model_metrics["correct"] == 2
    np.testing.assert_array_equal(found.model_metrics["losses"][0], [1.0, 1.0])


def test_nobody_has_metrics():
    rows = [(1, names.UNKNOWN_CLIENT, 0.0, 0)]
    found = _summary(rows, [_measured(1, metrics=_metrics(3, [1.0, 2.0]))])
    assert found.model_metrics["correct"] == 0
    np.testing.assert_array_equal(found.model_metrics["losses"][0], [0.0, 0.0])
