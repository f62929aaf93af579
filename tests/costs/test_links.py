import numpy as np
import pytest
import tensorflow as tf

from tff_gs.costs import cost, links

HEADER = "compute_seconds,up_bits_per_second,down_bits_per_second,latency_seconds\n"


def table(*rows):
    """Links from rows of (compute, up, down, latency)."""
    columns = np.array(rows, np.float64).T
    return links.Links(
        compute_seconds=columns[0],
        up_bits_per_second=columns[1],
        down_bits_per_second=columns[2],
        latency_seconds=columns[3],
    )


# Fast; slow to compute; slow to send.
LINKS = table((1.0, 1000.0, 2000.0, 0.0), (8.0, 1000.0, 2000.0, 0.25), (1, 100, 2e3, 0))


def traffic(
    client_ids,
    up_bits,
    down_bits,
    *,
    probe_bits=0.0,
    probed=False,
    catch_up=0.0,
    local_steps=1.0,
):
    return cost.Traffic(
        client_ids=tf.constant(client_ids, tf.int32),
        uplink_units=tf.zeros([len(client_ids)], tf.float64),
        uplink_bits=tf.constant(up_bits, tf.float64),
        downlink_units=tf.constant(0.0, tf.float64),
        downlink_bits=tf.constant(down_bits, tf.float64),
        probe_downlink_units=tf.constant(0.0, tf.float64),
        probe_downlink_bits=tf.constant(probe_bits, tf.float64),
        probed=tf.constant(probed),
        catch_up_bits=tf.constant(catch_up, tf.float64),
        local_steps=tf.constant(local_steps, tf.float64),
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # 1 + 500 / 1000 + 400 / 2000
        (traffic([0], [500.0], 400.0), 1.7),
        # client 1: 8 + 0.5 + 0.2 + two latencies of 0.25
        (traffic([0, 1], [500.0, 500.0], 400.0), 9.2),
        # client 2: 1 + 5 + 0.2, slower than client 0
        (traffic([2, 0], [500.0, 500.0], 400.0), 6.2),
        # but not where it sends little: 1 + 0.1 + 0.2
        (traffic([2, 0], [10.0, 500.0], 400.0), 1.7),
        # computing 8 (1 + 1 / 32), probe's message 200 / 2000
        (traffic([1], [500.0], 400.0, probe_bits=200.0, probed=True), 9.55),
        # 1 + 0.5 + 0.2, and before it 3000 / 2000 for the client that was away
        (traffic([2, 0], [10.0, 500.0], 400.0, catch_up=[0.0, 3000.0]), 3.2),
        # 8 + 0.5 + 0.2 + 2 / 2000, with a third latency
        (traffic([0, 1], [500.0, 500.0], 400.0, catch_up=[0.0, 2.0]), 9.451),
        # client 0 makes 9 steps of 1, client 1 one of 8
        (traffic([0, 1], [500.0, 500.0], 400.0, local_steps=[9.0, 1.0]), 9.7),
        (traffic([], [], 400.0), 0.0),
    ],
)
def test_by_hand(given, expected):
    time = links.LinkTime(links=LINKS).bind(dimension=1).round_time(given)
    assert time.dtype == tf.float64
    assert float(time) == pytest.approx(expected, rel=1e-12)


def test_prices_k_probe_by_the_same_model():
    model = links.LinkTime(links=LINKS).bind(
        dimension=1, batch_size=8, probe_examples=2
    )
    given = traffic([0, 2], [500.0, 400.0], 400.0, probe_bits=200.0, probed=True)

    def price(up, down):
        return model.estimated_round_time(
            given,
            uplink_units=tf.constant(0.0, tf.float64),
            uplink_bits=tf.constant(up, tf.float64),
            downlink_units=tf.constant(0.0, tf.float64),
            downlink_bits=tf.constant(down, tf.float64),
        )

    assert price([500.0, 400.0], 400.0) == model.round_time(given)
    # client 2: 1.25 + 100 / 100 + (100 + 200) / 2000
    assert float(price(100.0, 100.0)) == pytest.approx(2.4, rel=1e-12)


def test_constant_links():
    drawn = links.draw_links(3, compute_seconds=2.0, latency_seconds=0.0)
    assert drawn.compute_seconds.tolist() == [2.0] * 3
    assert drawn.up_bits_per_second.tolist() == [1e6] * 3
    assert drawn.down_bits_per_second.tolist() == [1e7] * 3
    assert drawn.latency_seconds.tolist() == [0.0] * 3


def test_lognormal_links():
    drawn = links.draw_links(4000, spread=0.5, seed=3)
    for name, median in [("compute_seconds", 1.0), ("up_bits_per_second", 1e6)]:
        logs = np.log(getattr(drawn, name) / median)
        # Four standard errors of the mean: 4 * 0.5 / sqrt(4000).
        assert abs(logs.mean()) < 0.032
        assert logs.std() == pytest.approx(0.5, abs=0.03)
    again = links.draw_links(10, spread=0.5, seed=3)
    np.testing.assert_array_equal(again.latency_seconds, drawn.latency_seconds[:10])
    other = links.draw_links(10, spread=0.5, seed=4)
    assert (other.latency_seconds != again.latency_seconds).all()


def test_reads_links(tmp_path):
    path = tmp_path / "links.csv"
    # Columns in any order, others ignored, more clients than needed.
    path.write_text(
        "name,latency_seconds,up_bits_per_second,down_bits_per_second,compute_seconds\n"
        "a,0,1e6,2e6,0.5\nb,0.1,3,4,0\nc,0,1,1,1\n"
    )
    read = links.read_links(path, 2)
    assert read.compute_seconds.tolist() == [0.5, 0.0]
    assert read.up_bits_per_second.tolist() == [1e6, 3.0]
    assert read.down_bits_per_second.tolist() == [2e6, 4.0]
    assert read.latency_seconds.tolist() == [0.0, 0.1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the columns compute_seconds, up_bits_.*links.csv, found an empty file"),
        (
            "compute_seconds,latency\n1,1\n",
            r"links.csv, found compute_seconds, latency\.",
        ),
        (HEADER + "1,1,1,0\n", "links of 2 clients in .*links.csv, found 1"),
        (HEADER + "1,1,1,0\n1,fast,1,0\n", "number in line 3 of .*, found 'fast'"),
        (HEADER + "1,1,1,0\n1,1\n", "down_bits_per_second .*line 3 of .*found None"),
        (HEADER + "1,1,1,0\n1,,1,0\n", "up_bits_per_second .*line 3 of .*found ''"),
        (HEADER + "1,nan,1,0\n1,1,1,0\n", "number in line 2 of .*, found 'nan'"),
        (HEADER + "1,0,1,0\n1,1,1,0\n", "up_.* in line 2 of .*positive, found 0.0"),
        (HEADER + "1,1,-5,0\n1,1,1,0\n", "down_.* in line 2 of .*positive, found -5.0"),
        (HEADER + "1,1,inf,0\n1,1,1,0\n", "down_.* in line 2 of .*found inf"),
        (HEADER + "1,1,1,0\n-1,1,1,0\n", "compute_.* in line 3 of .*at least 0"),
        (HEADER + "1,1,1,-1\n1,1,1,0\n", "latency_.* in line 2 of .*at least 0"),
    ],
)
def test_refuses_a_bad_file(tmp_path, text, message):
    path = tmp_path / "links.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        links.read_links(path, 2)
    assert str(error.value).startswith("Expected ")
    assert "\n" not in str(error.value)


def test_refuses_a_missing_or_binary_file(tmp_path):
    with pytest.raises(ValueError, match=r"at .*none.csv, found: No such"):
        links.read_links(tmp_path / "none.csv", 2)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\n")
    with pytest.raises(ValueError, match=r"CSV text in .*binary.csv, found: "):
        links.read_links(tmp_path / "binary.csv", 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_clients": 0}, "num_clients to be positive, found 0"),
        ({"spread": -1.0}, "spread"),
        ({"up_bits_per_second": 0.0}, "up_bits_per_second to be positive, found 0.0"),
        ({"latency_seconds": float("nan")}, "latency_seconds .*found nan"),
    ],
)
def test_refuses_bad_medians(options, message):
    with pytest.raises(ValueError, match=message):
        links.draw_links(**({"num_clients": 2} | options))


def test_refuses_bad_tables():
    with pytest.raises(ValueError, match=r"up_bits_per_second of client 1 .*found 0"):
        table((1, 1, 1, 1), (1, 0, 1, 1))
    one, two = np.ones(1), np.ones(2)
    for column in (two, np.ones([1, 1]), np.ones(0)):
        with pytest.raises(ValueError, match="vectors of one length"):
            links.Links(
                compute_seconds=one,
                up_bits_per_second=one,
                down_bits_per_second=one,
                latency_seconds=column,
            )
    with pytest.raises(ValueError, match="batch_size"):
        links.LinkTime(links=LINKS).bind(dimension=1, batch_size=0)
    with pytest.raises(ValueError, match="probe_examples"):
        links.LinkTime(links=LINKS).bind(dimension=1, probe_examples=-1)
