"""What of a run takes time on a link, added up round by round.

`tff_gs.costs.links` says what a round takes if all clients have one link:

    compute seconds x computing + up bits / up bandwidth + down bits / down bandwidth
    + latency x messages

It is linear in four numbers of the round, so sums of these over rounds are enough for
the time of all of them, on any link. assets/airtime.js computes it.
"""

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

from launch import metrics_rows
from launch.reporting import recorded


class Sums(NamedTuple):
    """Sums over rounds 1 to m, for each m: a list of R each.

    Attributes:
      computing: Minibatch gradients of the client that computed most.
      up: Bits of the client that sent most.
      down: Bits to the client that received most.
      messages: Latencies.
      sent_up: Bits that all clients sent together.
      sent_down: Bits that all clients received together, without a dense download
        before the first round.
    """

    computing: list[float]
    up: list[int]
    down: list[int]
    messages: list[int]
    sent_up: list[int]
    sent_down: list[int]


def probe_share(run: recorded.RecordedRun) -> float:
    """The computing of a probe, in minibatch gradients."""
    training = run.options.training
    return training.probe_examples / training.batch_size


def is_bound(run: recorded.RecordedRun) -> bool:
    """Whether the sums are only a bound from above.

    It may be one client that computed most, and another that sent or received most.
    """
    return (
        run.options.training.local_epochs is not None
        or run.options.participation.clients_per_round is not None
    )


def sends_alike(run: recorded.RecordedRun) -> bool:
    """Whether all clients sent as many bits as one another, in every round."""
    return all(
        row["uplink_bits"] == row["clients"] * row["uplink_bits_max"]
        for row in run.count_rows()
    )


def add_up(run: recorded.RecordedRun) -> Sums:
    """The sums of a run."""
    rows = run.count_rows()
    share = probe_share(run)
    messages = int(2 * run.options.method.sparsifier.trips)
    return Sums(
        computing=_running(
            row["local_steps"] + share * (row["k_probe"] > 0) for row in rows
        ),
        up=_running(row["uplink_bits_max"] for row in rows),
        down=_running(
            row["downlink_bits"] + row["probe_downlink_bits"] + row["catch_up_bits_max"]
            for row in rows
        ),
        messages=_running(messages + (row["catch_up_bits_max"] > 0) for row in rows),
        sent_up=_running(map(metrics_rows.bits_up, rows)),
        sent_down=_running(map(metrics_rows.bits_down, rows)),
    )


def _running(values: Iterable[Any]) -> list[Any]:
    return list(itertools.accumulate(values))
