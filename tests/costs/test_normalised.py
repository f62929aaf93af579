import pathlib
import re

import pytest
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs.costs import cost, normalised


def traffic(up, down, *, probe=0.0, probed=False, catch_up=0.0, local_steps=1.0):
    up = tf.constant(up, tf.float64)
    return cost.Traffic(
        client_ids=tf.range(tf.size(up)),
        uplink_units=up,
        uplink_bits=32.0 * up,
        downlink_units=tf.constant(down, tf.float64),
        downlink_bits=tf.constant(32.0 * down, tf.float64),
        probe_downlink_units=tf.constant(probe, tf.float64),
        probe_downlink_bits=tf.constant(32.0 * probe, tf.float64),
        probed=tf.constant(probed),
        catch_up_units=tf.constant(catch_up, tf.float64),
        local_steps=tf.constant(local_steps, tf.float64),
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # beta / (2 D) = 10 / 2000 = 0.005 per number.
        (traffic([0.0, 0.0], 0.0), 1.0),
        (traffic([1000.0, 1000.0], 1000.0), 11.0),  # dense up and down: beta
        (traffic([20.0, 20.0], 20.0), 1.2),  # k = 10 pairs: 0.005 (2 10 + 2 10)
        (traffic([2.0, 20.0], 10.0), 1.15),  # the largest client counts
        (traffic([20.0, 20.0], 20.0, probed=True), 1.2 + 1 / 32),
        (traffic([20.0, 20.0], 20.0, probe=8.0, probed=True), 1.2 + 1 / 32),
        (traffic([1.0], 20.0), 1.105),  # a seed costs a seed
        (traffic([], 20.0), 0.1),  # nobody computed
        # So does the client that computes most: 7 + 1 / 32 + 0.2.
        (traffic([20.0, 20.0], 20.0, local_steps=[3.0, 7.0], probed=True), 7.23125),
        # The client that was away longest counts, whoever sends most.
        (traffic([20.0, 2.0], 20.0, catch_up=[6.0, 200.0]), 2.2),
        (traffic([], 20.0, catch_up=[]), 0.1),
    ],
)
def test_by_hand(given, expected):
    time = normalised.NormalisedTime().bind(dimension=1000).round_time(given)
    assert time.dtype == tf.float64
    assert float(time) == pytest.approx(expected, rel=1e-12)


_WORDS = pathlib.Path(__file__).parents[2] / "docs" / "words.md"


def test_the_worked_line_of_the_page_of_words():
    page = _WORDS.read_text(encoding="utf-8")
    found = re.search(
        r"theta\((\d+)\) = 1 \+ 1/(\d+) \+ (\d+) / \(2 x ([\d,]+)\) x (\d+) = ([\d.]+)",
        page,
    )
    k, batch, beta, dimension, numbers = (
        int(number.replace(",", "")) for number in found.groups()[:5]
    )
    model = normalised.NormalisedTime(comm_time=beta).bind(
        dimension=dimension, batch_size=batch
    )
    time = float(model.round_time(traffic([2 * k], 2 * k, probed=True)))
    assert numbers == 2 * k + 2 * k
    assert f"{time:.2f}" == found[6] == "1.25"
    # And the dense round without a probe.
    dense = float(model.round_time(traffic([dimension], dimension)))
    assert f"takes 1 + {beta} = {dense:.0f} without a probe" in page


def test_the_worked_line_of_fab_consensus():
    page = _WORDS.read_text(encoding="utf-8")
    found = re.search(
        r"2 x (\d+) \+ (\d+) \+ (\d+) \+ (\d+) \+ (\d+) = (\d+) numbers:\s+"
        r"theta\((\d+)\) = 1 \+ (\d+) / \(2 x ([\d,]+)\) x (\d+) = ([\d.]+)",
        page,
    )
    ranks, values, told, announced, answer, numbers, k, beta, dimension, again = (
        int(number.replace(",", "")) for number in found.groups()[:10]
    )
    assert f"nominates r = {ranks} entries" in page
    assert values == announced == answer == k
    up, down = 2 * ranks + values, told + announced + answer
    assert up + down == numbers == again
    model = normalised.NormalisedTime(comm_time=beta).bind(dimension=dimension)
    assert f"{float(model.round_time(traffic([up], down))):.2f}" == found[11] == "1.17"


def test_constants():
    model = normalised.NormalisedTime(comm_time=2.0, price_probe_downlink=True).bind(
        dimension=500, batch_size=8, probe_examples=4
    )
    # 1 + 4 / 8 + 2 / 1000 (30 + 10 + 5)
    time = model.round_time(traffic([20.0, 30.0], 10.0, probe=5.0, probed=True))
    assert float(time) == pytest.approx(1.59, rel=1e-12)


def test_prices_k_probe_by_the_same_model():
    model = normalised.NormalisedTime().bind(dimension=1000)
    given = traffic([20.0, 10.0], 20.0, probed=True)

    def price(up, down):
        return model.estimated_round_time(
            given,
            uplink_units=tf.constant(up, tf.float64),
            uplink_bits=tf.constant(0.0, tf.float64),
            downlink_units=tf.constant(down, tf.float64),
            downlink_bits=tf.constant(0.0, tf.float64),
        )

    assert price([20.0, 10.0], 20.0) == model.round_time(given)
    # k' = 4: 1 + 1 / 32 + 0.005 (8 + 8)
    assert float(price(8.0, 8.0)) == pytest.approx(1.08 + 1 / 32, rel=1e-12)


def test_is_tff_code():
    model = normalised.NormalisedTime().bind(dimension=1000)

    @tff.tensorflow.computation
    def price():
        return model.round_time(traffic([20.0, 20.0], 20.0, probed=True))

    assert price() == pytest.approx(1.2 + 1 / 32)


@pytest.mark.parametrize(
    ("options", "run", "message"),
    [
        ({}, {"dimension": 0}, "dimension to be positive, found 0"),
        ({"comm_time": -1.0}, {}, "comm_time to be at least 0, found -1.0"),
        ({"comm_time": float("nan")}, {}, "comm_time .*found nan"),
        ({}, {"batch_size": 0}, "batch_size to be positive, found 0"),
        ({}, {"probe_examples": -1}, "probe_examples"),
    ],
)
def test_refuses(options, run, message):
    with pytest.raises(ValueError, match=message):
        normalised.NormalisedTime(**options).bind(**{"dimension": 10, **run})
