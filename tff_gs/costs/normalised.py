"""The paper's normalised time."""

import tensorflow as tf

from tff_gs import checks
from tff_gs.costs import cost


class NormalisedTime(cost.Cost):
    """One round of computing takes 1, the full model up and down beta.

    Han, Wang, Leung (ICDCS 2020, section V): with U the most numbers that any
    client sent and V the numbers sent to every client, a round takes

        tau (+ probe_examples / batch_size where probed) + beta / (2 D) (U + V)

    with tau the most local steps of any client; the paper makes one. Where clients have
    to be brought up to date before, the most numbers that any of them received for it
    are added to V.

    Every number costs the same, so that k index-value pairs up and down cost
    beta / (2 D) (2 k + 2 k), and D dense numbers up and down beta.
    """

    def __init__(
        self,
        dimension: int,
        *,
        comm_time: float = 10.0,
        batch_size: int = 32,
        probe_examples: int = 1,
        price_probe_downlink: bool = False,
    ) -> None:
        """Builds the model of time.

        Args:
          dimension: D, the number of weights.
          comm_time: beta, the time of the full model up and down, relative to one
            round of computing.
          batch_size: Examples of a minibatch.
          probe_examples: Examples whose losses each client evaluates for a probe.
          price_probe_downlink: Whether the message that tells the clients the
            probe's update is paid for. The paper does not charge it.

        Raises:
          ValueError: If an argument is not positive (`comm_time`, `probe_examples`:
            negative).
        """
        checks.require_positive(dimension, "dimension")
        checks.require_non_negative(comm_time, "comm_time")
        self._unit_time = comm_time / (2.0 * dimension)
        self._computing = cost.Computing(
            batch_size=batch_size, probe_examples=probe_examples
        )
        self._price_probe_downlink = price_probe_downlink

    def round_time(self, traffic: cost.Traffic) -> tf.Tensor:
        """See base class; in rounds of computing."""
        units = _most(traffic.uplink_units) + traffic.downlink_units
        units += _most(tf.cast(traffic.catch_up_units, tf.float64))
        if self._price_probe_downlink:
            units += traffic.probe_downlink_units
        return _most(self._computing.factor(traffic)) + self._unit_time * units


def _most(of_clients: tf.Tensor) -> tf.Tensor:
    """The largest of numbers that are not negative; 0 where there are no clients."""
    return tf.maximum(tf.reduce_max(of_clients), 0.0)
