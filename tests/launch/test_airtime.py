"""The page's seconds against those of `tff_gs.costs.LinkTime`."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from launch.reporting import airtime, payload, recorded
from tests.launch import page_script, recorded_runs
from tff_gs.costs import LinkTime
from tff_gs.costs.cost import Traffic
from tff_gs.costs.links import Links
from tff_gs.sparsifiers.registry import SPARSIFIERS

pytestmark = pytest.mark.skipif(
    page_script.missing() is not None, reason=page_script.missing() or ""
)
_CLIENTS = 4
_LINKS = [
    {"up": up, "down": down, "latency": latency, "compute": compute, "slowdown": slow}
    for (up, down), (latency, compute), slow in itertools.product(
        ((9600.0, 1e8), (64_000.0, 9600.0), (1e7, 1e7)),
        ((0.0, 0.0), (0.3, 0.1), (0.05, 20.0)),
        (1.0, 7.5),
    )
]


def _write(path, sparsifier, rounds):
    """A run, and the same rounds as `LinkTime` gets them."""
    flags = {"sparsifier": sparsifier}
    run = recorded_runs.write(
        path, rounds=rounds, accuracies=[0.5] * len(rounds), flags=flags
    )
    trips = SPARSIFIERS[sparsifier]().trips
    return recorded.read(run), [_traffic(each, trips) for each in rounds]


def _traffic(each, trips):
    most = each["uplink_bits_max"]
    return Traffic(
        client_ids=tf.range(_CLIENTS),
        uplink_units=tf.zeros(_CLIENTS, tf.float64),
        uplink_bits=tf.constant([most, most - 5, 3, 0], tf.float64),
        downlink_units=tf.constant(0.0, tf.float64),
        downlink_bits=tf.constant(each["downlink_bits"], tf.float64),
        probe_downlink_units=tf.constant(0.0, tf.float64),
        probe_downlink_bits=tf.constant(each["probe_downlink_bits"], tf.float64),
        probed=tf.constant(each["k_probe"] > 0),
        catch_up_bits=tf.constant(
            [each.get("catch_up_bits_max", 0), 0, 0, 0], tf.float64
        ),
        local_steps=tf.constant(each["local_steps"], tf.float64),
        trips=trips,
    )


def _seconds(link, traffics):
    """What `LinkTime` gives if the first client is the slow one."""
    slower = np.array([link["slowdown"], 1, 1, 1])
    ones = np.ones(_CLIENTS)
    links = Links(
        compute_seconds=link["compute"] * slower,
        up_bits_per_second=link["up"] / slower,
        down_bits_per_second=link["down"] / slower,
        latency_seconds=link["latency"] * ones,
    )
    cost = LinkTime(links=links).bind(dimension=1000, batch_size=32, probe_examples=8)
    return np.cumsum([float(cost.round_time(traffic)) for traffic in traffics])


def _rounds(**others):
    """Rounds with a probe and without."""
    return [
        {
            "uplink_bits_max": 1200 + 31 * number,
            "downlink_bits": 1000 + 7 * number,
            "k_probe": number % 2,
            "probe_downlink_bits": 24 * (number % 2),
            "local_steps": 1 + number % 3,
            **{name: of_round(number) for name, of_round in others.items()},
        }
        for number in range(6)
    ]


@pytest.mark.parametrize(
    "sparsifier", ["fab_top_k", "fab_consensus", "pipelined_consensus"]
)
@pytest.mark.parametrize("catches_up", [False, True])
def test_seconds_are_those_of_the_library(tmp_path, sparsifier, catches_up):
    others = {"catch_up_bits_max": lambda n: 500 * (n % 3)} if catches_up else {}
    run, traffics = _write(tmp_path / "run", sparsifier, _rounds(**others))
    (shown,) = payload.build([run], 100)["runs"]
    script = "(run, n, link) => secondsOf(sumsUntil(run, n), link)"
    calls = [[script, shown, row, link] for link in _LINKS for row in range(run.rounds)]
    wanted = np.concatenate([_seconds(link, traffics) for link in _LINKS])
    np.testing.assert_allclose(page_script.call(*calls), wanted, rtol=1e-12)


def test_sums_by_hand(tmp_path):
    probed = {"k_probe": 5, "probe_downlink_bits": 40}
    longer = {"uplink_bits_max": 1300, "local_steps": 2, "report_bits": 0}
    rounds = [{**recorded_runs.ROUND, **own} for own in (probed, longer)]
    run, _ = _write(
        tmp_path / "run",
        "fab_consensus",
        [{**recorded_runs.ROUND, **r} for r in rounds],
    )
    assert airtime.add_up(run) == airtime.Sums(
        # 8 examples of the probe are a quarter of a minibatch.
        computing=[1.25, 3.25],
        up=[1200, 2500],
        down=[1040, 2064],
        messages=[4, 8],
        sent_up=[4256, 8256],
        sent_down=[4160, 8256],
    )


def test_cohorts_by_hand(tmp_path):
    caught_up = {
        "catch_up_bits": 900,
        "catch_up_bits_max": 500,
        "catch_up_request_bits": 128,
        "joined_bits": 32_000,
    }
    none = dict.fromkeys(caught_up, 0)
    rounds = [{**recorded_runs.ROUND, **more} for more in (caught_up, none)]
    run, _ = _write(tmp_path / "run", "fab_top_k", rounds)
    sums = airtime.add_up(run)
    assert sums.down == [1524, 2548]
    assert sums.messages == [3, 5]
    assert sums.sent_up == [4384, 8640]
    assert sums.sent_down == [4096 + 32_900, 2 * 4096 + 32_900]


def test_bounds(tmp_path):
    def standing(slowdown, sent, **flags):
        rounds = [{"uplink_bits_max": 1000, "uplink_bits": sent}]
        folder = tmp_path / f"{sent} {len(flags)}"
        if not folder.exists():
            recorded_runs.write(folder, rounds=rounds, accuracies=[0.5], flags=flags)
        run = payload.build([recorded.read(folder)], 9)["runs"][0]
        link = {**_LINKS[0], "slowdown": slowdown}
        fixed = {"run": run, "method": {"is_learned": False}}
        (said,) = page_script.call(["standingInWords", fixed, link])
        return said.partition(":")[0]

    assert standing(1, 3999) == "exact"
    assert standing(2, 3999) == "at most this long"
    assert standing(2, 4000) == "exact"
    assert standing(1, 4000, local_epochs="1") == "at most this long"
    assert (
        standing(1, 4000, clients_per_round="4", batch_size="16") == "at most this long"
    )


def test_the_parts_of_a_round_are_all_of_it(tmp_path):
    link = {"up": 1000, "down": 2000, "latency": 0.5, "compute": 2, "slowdown": 2}
    row = {
        "clients": 4,
        "local_steps": 1,
        "k_probe": 3,
        "uplink_bits_max": 1200,
        "ballot_bits": 800,
        "announcement_bits": 300,
        "downlink_bits": 1000,
        "probe_downlink_bits": 100,
        "catch_up_bits_max": 0,
    }
    script = "(run, row, link) => partsOfRound(run, (name) => row[name], link)"
    consensus = {"trips": 2, "probe_share": 0.25, "is_pipelined": False}
    pipelined = {"trips": 1, "probe_share": 0.25, "is_pipelined": True}
    two, one = page_script.call(
        [script, consensus, row, link], [script, pipelined, row, link]
    )
    assert [(part["leg"], part["seconds"]) for part in two] == [
        ("computing", 5.0),
        ("ballot up", 0.4),
        ("latency", 0.5),
        ("latency", 0.5),
        ("announcement down", 0.3),
        ("values up", 2.0),
        ("latency", 0.5),
        ("latency", 0.5),
        ("answer down", 0.8),
    ]
    assert [part["leg"] for part in one] == [
        *("computing", "values up", "ballot up", "latency"),
        *("latency", "answer down", "announcement down"),
    ]
    seconds = {
        leg: sum(p["seconds"] for p in one if p["leg"] == leg) for leg in ("latency",)
    }
    assert seconds == {"latency": 1.0}


def test_beta_of_a_link():
    # 1000 numbers of 32 bits take 32 s up and 16 s down, where all else takes 4 s.
    link = {"up": 1000, "down": 2000, "latency": 0.5, "compute": 3, "slowdown": 1}
    (ratio,) = page_script.call(["sendingRatio", link, 1])
    assert page_script.call(["betaOf", ratio, 1000]) == [pytest.approx(12.0)]


def _run(up, **others):
    link = {"up": up, "down": up, "latency": 0.1, "compute": 0.1}
    run = {"link": link, "is_alike": True, "beta": None, "dimension": 1000, "trips": 1}
    return {**run, **others}


def test_the_nearest_run():
    slow, fast = _run(9600), _run(1e6)
    unknown = _run(9600, link=None)
    normalised = _run(9600, link=None, beta=16.0)

    def nearest(up, *runs, **others):
        link = {**slow["link"], "up": up, "down": up, "slowdown": 1, **others}
        return page_script.call(["nearestRun", runs, link])[0]

    assert nearest(20_000, fast, slow) == slow
    # The middle is the geometric one, 98 kbit/s.
    assert nearest(97_000, fast, slow) == slow
    assert nearest(99_000, fast, slow) == fast
    assert nearest(9600, unknown, fast) == fast
    assert nearest(9600, unknown) == unknown
    # 2 / 12800 over 0.3 s, for 32,000 bits: beta is 16.7.
    assert nearest(12_800, slow, normalised) == normalised
    # All else takes a hundred times as long, as if bits were faster.
    assert nearest(9600, fast, slow, compute=30.0) == fast
