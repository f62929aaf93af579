"""The interface of a model of a round's time."""

from __future__ import annotations

import abc
import dataclasses
from typing import ClassVar, NamedTuple, Self

from tff_gs import _checks, configuration
from tff_gs._tensorflow import tf


class Traffic(NamedTuple):
    """What travelled in a round of N clients, and what they computed for it.

    A unit is one number sent: an index-value pair is two units, an entry of a
    dense vector one, a seed one. Bits are those of the messages as they were sent.

    Attributes:
      client_ids: int32 [N], who took part.
      uplink_units: float64 [N], numbers that each client sent.
      uplink_bits: float64 [N], bits that each client sent.
      downlink_units: float64 scalar, numbers sent to every client.
      downlink_bits: float64 scalar, bits sent to every client.
      probe_downlink_units: float64 scalar, numbers that told every client the
        probe's update; 0 if nothing was probed.
      probe_downlink_bits: float64 scalar, the bits of that message, likewise.
      probed: bool scalar, whether the clients evaluated the probe losses.
      catch_up_units: float64 [N], numbers that brought each client up to date
        before its work; 0 if all take part in every round.
      catch_up_bits: float64 [N], the bits of these messages, likewise.
      local_steps: float64 [N], tau, minibatch gradients that each client computed.
      trips: How many times a client sends and receives: 2 if coordinates are elected
        before values travel.
    """

    client_ids: tf.Tensor
    uplink_units: tf.Tensor
    uplink_bits: tf.Tensor
    downlink_units: tf.Tensor
    downlink_bits: tf.Tensor
    probe_downlink_units: tf.Tensor
    probe_downlink_bits: tf.Tensor
    probed: tf.Tensor
    catch_up_units: tf.Tensor | float = 0.0
    catch_up_bits: tf.Tensor | float = 0.0
    local_steps: tf.Tensor | float = 1.0
    trips: float = 1.0


class Cost(configuration.Configuration, abc.ABC):
    """How long a round takes; TensorFlow code.

    A model of time is made from its options, and bound to a run before anything else is
    asked of it.

    Attributes:
      dimension: D, the number of weights; known when bound, as the others.
      computing: What clients' computing is measured by.
      num_clients: Clients that may take part, with ids below it; None: not known.
      seed: Of the run.
      time_label: What its time is, with the unit, for tables and pictures.
    """

    time_label: ClassVar[str] = "time"

    def bind(
        self,
        *,
        dimension: int,
        batch_size: int = 32,
        probe_examples: int = 1,
        num_clients: int | None = None,
        seed: int = 0,
    ) -> Self:
        """The model of time for a run.

        Args:
          dimension: D, the number of weights.
          batch_size: Examples of a minibatch.
          probe_examples: Examples whose losses each client evaluates for a probe.
          num_clients: Clients that may take part, with ids below it, if that is known.
          seed: Of the run, for what a model draws.

        Raises:
          ValueError: In one sentence, if one of these is outside its range, or an
            option does not fit to them.
        """
        _checks.require_positive(dimension, "dimension")
        return self._bound(
            dimension=dimension,
            computing=Computing(batch_size=batch_size, probe_examples=probe_examples),
            num_clients=num_clients,
            seed=seed,
        )

    @abc.abstractmethod
    def round_time(self, traffic: Traffic) -> tf.Tensor:
        """theta, float64 scalar: the time of a round with this traffic."""

    def estimated_round_time(
        self,
        traffic: Traffic,
        *,
        uplink_units: tf.Tensor,
        uplink_bits: tf.Tensor,
        downlink_units: tf.Tensor,
        downlink_bits: tf.Tensor,
    ) -> tf.Tensor:
        """theta(k'): the time that the round would have taken with other messages.

        Everything else of `traffic` stays, including the probe. So theta(k) and
        theta(k') differ by k and k' only.

        Args:
          traffic: What travelled in the round.
          uplink_units: float64 [N], or a scalar that holds for every client.
          uplink_bits: float64 [N] or scalar; the encoders' estimate.
          downlink_units: float64 scalar.
          downlink_bits: float64 scalar; the encoders' estimate.

        Returns:
          float64 scalar.
        """
        clients = tf.shape(traffic.uplink_units)
        return self.round_time(
            traffic._replace(
                uplink_units=tf.broadcast_to(uplink_units, clients),
                uplink_bits=tf.broadcast_to(uplink_bits, clients),
                downlink_units=downlink_units,
                downlink_bits=downlink_bits,
            )
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Computing:
    """What a client's computing is measured by.

    Attributes:
      batch_size: Examples of a minibatch, positive.
      probe_examples: Examples whose losses are evaluated for a probe, at least 0.
    """

    batch_size: int
    probe_examples: int

    def __post_init__(self) -> None:
        _checks.require_positive(self.batch_size, "batch_size")
        _checks.require_non_negative(self.probe_examples, "probe_examples")

    def factor(self, traffic: Traffic) -> tf.Tensor:
        """Computing of clients relative to one minibatch gradient, float64 [N].

        tau local steps, and probe_examples / batch_size if the round was probed
        (Han, Wang, Leung, ICDCS 2020, section V).
        """
        probe = self.probe_examples / self.batch_size
        steps = tf.cast(traffic.local_steps, tf.float64)
        steps = tf.broadcast_to(steps, tf.shape(traffic.uplink_units))
        return steps + tf.cast(traffic.probed, tf.float64) * probe
