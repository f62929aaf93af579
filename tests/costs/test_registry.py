import pytest
import tensorflow as tf

from tff_gs.costs import cost, registry

# Three clients send 1,000 bits or 100 numbers each way; probed.
TRAFFIC = cost.Traffic(
    client_ids=tf.range(3),
    uplink_units=tf.fill([3], tf.constant(100.0, tf.float64)),
    uplink_bits=tf.fill([3], tf.constant(1000.0, tf.float64)),
    downlink_units=tf.constant(100.0, tf.float64),
    downlink_bits=tf.constant(1000.0, tf.float64),
    probe_downlink_units=tf.constant(100.0, tf.float64),
    probe_downlink_bits=tf.constant(1000.0, tf.float64),
    probed=tf.constant(True),
)


def time(name, **options):
    model = _build(name, **options)
    return float(model.round_time(TRAFFIC))


def _build(name, *, batch_size=32, seed=0, **options):
    return registry.COSTS.build(name, options).bind(
        dimension=1000, num_clients=3, batch_size=batch_size, seed=seed
    )


def test_every_name_has_a_class_and_help():
    assert registry.COSTS.keys() == registry.COSTS.summaries.keys()
    assert all(registry.COSTS.summaries.values())


def test_builds_normalised():
    assert time("normalised") == pytest.approx(2.0 + 1 / 32)
    found = time(
        "normalised", comm_time=2.0, batch_size=4, price_probe_downlink=True, seed=1
    )
    assert found == pytest.approx(1.25 + 0.001 * 300)


def test_builds_links(tmp_path):
    constant = {
        "compute_seconds": 2.0,
        "up_bits_per_second": 1e3,
        "down_bits_per_second": 2e3,
        "latency_seconds": 0.5,
        "batch_size": 4,
    }
    # 2 (1 + 1 / 4) + 1 + 2000 / 2000 + 2 0.5
    assert time("links", **constant) == pytest.approx(5.5)
    drawn = time("links", **constant, spread=1.0, seed=1)
    assert drawn == time("links", **constant, spread=1.0, seed=1)
    assert drawn != time("links", **constant, spread=1.0, seed=2)
    path = tmp_path / "links.csv"
    path.write_text(
        "compute_seconds,up_bits_per_second,down_bits_per_second,latency_seconds\n"
        + "2,1000,2000,0.5\n" * 3
    )
    assert time("links", links_file=str(path), batch_size=4) == pytest.approx(5.5)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("seconds", {}, "a cost among normalised, links, found 'seconds'"),
        ("links", {"comm_time": 2.0}, "only its options .*found comm_time"),
        ("normalised", {"spread": 2.0}, r"\(comm_time, price_.*found spread"),
        ("normalised", {"comm_time": -2.0}, "comm_time"),
        ("links", {"links_file": "x", "spread": 1.0}, "links_file or spread, found"),
        ("links", {"links_file": "no such file"}, "found: No such file"),
    ],
)
def test_refuses(name, options, message):
    with pytest.raises(ValueError, match=message):
        _build(name, **options)
