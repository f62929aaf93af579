"""The paper's normalised time."""

from __future__ import annotations

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.configuration import option
from tff_gs.costs import cost


class NormalisedTime(cost.Cost):
    """The paper's: computing takes 1, the full model up and down beta.

    Han, Wang, Leung (ICDCS 2020, section V): with U the most numbers that any
    client sent and V the numbers sent to every client, a round takes

        tau (+ probe_examples / batch_size if probed) + beta / (2 D) (U + V)

    with tau the most local steps of any client; the paper makes one. If clients have
    to be brought up to date before, the most numbers that any of them received for it
    are added to V.

    Every number costs the same, so k index-value pairs up and down cost
    beta / (2 D) (2 k + 2 k), and D dense numbers up and down beta.
    """

    time_label = "normalised time (1 is a round of computing)"

    comm_time: float = option(
        default=10.0,
        help="beta, the time of the full model up and down, relative to one round of "
        "computing",
        at_least=0,
    )
    price_probe_downlink: bool = option(
        default=False,
        help="whether the message that tells the clients the probe's update is paid "
        "for; the paper does not charge it",
    )

    def _prepare(self) -> None:
        self._set(_unit_time=self.comm_time / (2.0 * self.dimension))

    @override
    def round_time(self, traffic: cost.Traffic) -> tf.Tensor:
        """In rounds of computing."""
        units = _most(traffic.uplink_units) + traffic.downlink_units
        units += _most(tf.cast(traffic.catch_up_units, tf.float64))
        if self.price_probe_downlink:
            units += traffic.probe_downlink_units
        return _most(self.computing.factor(traffic)) + self._unit_time * units


def _most(of_clients: tf.Tensor) -> tf.Tensor:
    """The largest of numbers that are not negative; 0 if there are no clients."""
    return tf.maximum(tf.reduce_max(of_clients), 0.0)
