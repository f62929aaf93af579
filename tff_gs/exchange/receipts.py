"""What the server notes of every message that it receives."""

from typing import NamedTuple

import tensorflow as tf

from tff_gs import growing
from tff_gs.encoders import encoder


class Receipts(NamedTuple):
    """One entry per received message; ascending client ids once reported.

    Attributes:
      client_ids: int32 [N].
      errors: int32 [N], 0 where the message was accepted, else the number of the
        reason (`tff_gs.encoders.encoder.Encoder.ERRORS`).
      elements: int32 [N], accepted entries.
      bits: int64 [N], the size of all that the client sent.
      index_bits: int64 [N], of these, what says which entries.
      value_bits: int64 [N], of these, what says their values.
      overhead_bits: int64 [N], of these, header and checksum.
    """

    client_ids: tf.Tensor
    errors: tf.Tensor
    elements: tf.Tensor
    bits: tf.Tensor
    index_bits: tf.Tensor
    value_bits: tf.Tensor
    overhead_bits: tf.Tensor


def no_receipts() -> Receipts:
    """Receipts of no message."""
    return Receipts(
        growing.empty(tf.int32),
        growing.empty(tf.int32),
        growing.empty(tf.int32),
        growing.empty(tf.int64),
        growing.empty(tf.int64),
        growing.empty(tf.int64),
        growing.empty(tf.int64),
    )


def receipt(
    client_id: tf.Tensor,
    *,
    error: tf.Tensor,
    elements: tf.Tensor,
    bits: tf.Tensor,
    sizes: encoder.Sizes,
) -> Receipts:
    """The receipt of one message; all arguments are scalars."""
    # What a refused message says about its own parts counts for nothing.
    accepted = tf.cast(tf.equal(error, 0), tf.int64)
    parts = (accepted * part for part in sizes)
    values = (client_id, error, elements, bits, *parts)
    return Receipts(*(value[tf.newaxis] for value in values))


def sort(receipts: Receipts) -> Receipts:
    """The same receipts by client id, whatever tree of aggregators collected them."""
    order = tf.argsort(receipts.client_ids, stable=True)
    return Receipts(*(tf.gather(column, order) for column in receipts))
