"""What crosses the network in a sparse exchange, and how the server collects it."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import growing
from tff_gs.controllers import controller


class RoundConfig(NamedTuple):
    """What the server tells all clients before a round.

    Attributes:
      decision: k and k'.
      shared: int32 [s], see `tff_gs.sparsifiers.sparsifier.Sparsifier.share`.
    """

    decision: Any
    shared: Any


class UplinkMessage(NamedTuple):
    """All that a client sends in a round.

    Attributes:
      client_id: int32 scalar.
      weight: float32 scalar, C_i; 0 if the client has nothing to contribute, because
        its work was not finite.
      entries: uint8 [bytes], the encoded index-value list; no byte then.
    """

    client_id: tf.Tensor
    weight: tf.Tensor
    entries: tf.Tensor


class DownlinkMessage(NamedTuple):
    """All that the server answers.

    Attributes:
      rejected: int32 [r], ids under which messages came and none was accepted.
      contested: int32 [2 c], of each id under which several messages came and one was
        accepted, the id and the tag (see `tag`) of the accepted one.
      update: uint8 [bytes], the encoded {(j, b_j) : j in J}.
      notes: int32 [n], see `tff_gs.sparsifiers.sparsifier.Selection`.
    """

    rejected: tf.Tensor
    contested: tf.Tensor
    update: tf.Tensor
    notes: tf.Tensor


UPLINK_TYPE = tff.to_type(
    UplinkMessage(np.int32, np.float32, tff.TensorType(np.uint8, [None]))
)


def round_config_type(shared_type: tff.TensorType) -> tff.StructWithPythonType:
    """The TFF type of a `RoundConfig`."""
    return tff.to_type(
        RoundConfig(controller.Decision(np.int32, np.int32), shared_type)
    )


def tag(entries: tf.Tensor) -> tf.Tensor:
    """By what a client knows its own message again, int32: the last four bytes.

    Those of an encoder of this library are the checksum of all before.
    """
    return tf.bitcast(tf.pad(entries, [[4, 0]])[-4:], tf.int32)


class CollectedMessages(NamedTuple):
    """Uplink messages as they came: the accumulator of the aggregation.

    Nothing in it was checked: what the server told the clients, such as k, is not
    known to the operators of a TFF aggregation, and what a client says of it is not
    believed. Messages are read by client id when all are there, so that the result
    is the same on any tree of aggregators, to the bit.

    Attributes:
      client_ids: int32 [n].
      weights: float32 [n].
      bits: int64 [n], the size of each message.
      lengths: int32 [n], how many bytes of its entries are kept.
      stored: uint8 [bytes], the entries, one message after another.
      recent: uint8 [bytes], those of the last messages, so that not every message
        copies all before it.
      recent_count: int32 scalar, of how many messages.
    """

    client_ids: tf.Tensor
    weights: tf.Tensor
    bits: tf.Tensor
    lengths: tf.Tensor
    stored: tf.Tensor
    recent: tf.Tensor
    recent_count: tf.Tensor

    @property
    def count(self) -> tf.Tensor:
        """The number of messages, int32 scalar."""
        return tf.size(self.client_ids)

    @property
    def content(self) -> tf.Tensor:
        """The entries of all messages, uint8 [bytes]."""
        return tf.concat([self.stored, self.recent], axis=0)


_RECENT_MESSAGES = 12


def no_messages() -> CollectedMessages:
    """The accumulator before any message."""
    columns = (tf.int32, tf.float32, tf.int64, tf.int32, tf.uint8, tf.uint8)
    return CollectedMessages(*map(growing.empty, columns), tf.constant(0))


def collect(
    collected: CollectedMessages,
    message: UplinkMessage,
    bits: tf.Tensor,
    max_bytes: int,
) -> CollectedMessages:
    """The accumulator with one more message.

    Args:
      collected: The accumulator.
      message: The message.
      bits: int64 scalar, its size.
      max_bytes: What the entries of a valid message take at most. Of longer ones only
        so much is kept that they are known to be too long.
    """
    entries = message.entries[: max_bytes + 1]
    recent = tf.concat([collected.recent, entries], axis=0)
    is_full = collected.recent_count >= _RECENT_MESSAGES
    stored, recent = tf.cond(
        is_full,
        lambda: (
            tf.concat([collected.stored, recent], axis=0),
            growing.open_length(recent[:0]),
        ),
        lambda: (collected.stored, recent),
    )
    return CollectedMessages(
        tf.concat([collected.client_ids, message.client_id[tf.newaxis]], axis=0),
        tf.concat([collected.weights, message.weight[tf.newaxis]], axis=0),
        tf.concat([collected.bits, bits[tf.newaxis]], axis=0),
        tf.concat([collected.lengths, tf.size(entries)[tf.newaxis]], axis=0),
        stored,
        recent,
        tf.where(is_full, 0, collected.recent_count + 1),
    )


def join(first: CollectedMessages, second: CollectedMessages) -> CollectedMessages:
    """The messages of both."""
    return CollectedMessages(
        *(tf.concat(pair, axis=0) for pair in zip(first[:4], second[:4], strict=True)),
        stored=tf.concat([first.content, second.content], axis=0),
        recent=growing.open_length(second.recent[:0]),
        recent_count=tf.constant(0),
    )
