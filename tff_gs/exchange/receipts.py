"""What the server notes of every message that it receives."""

from typing import NamedTuple

import tensorflow as tf

from tff_gs.encoders import names

#: Beside the reasons of `names.REFUSALS`: a client's work was not finite, so it
#: sent nothing.
NON_FINITE_WORK = len(names.REFUSALS)


class Receipts(NamedTuple):
    """One entry for each message, by client id, whatever tree collected them.

    Attributes:
      client_ids: int32 [n], as the messages say.
      errors: int32 [n], 0 if the message was accepted, else the number of the reason
        (see `tff_gs.encoders.names.REFUSALS` and `NON_FINITE_WORK`).
      weights: float64 [n], C_i; 0 if the message was not accepted.
      elements: int32 [n], accepted entries.
      bits: int64 [n], the size of the message.
      index_bits: int64 [n], of these, what says which entries; 0 if the message was
        not accepted, as in the next two.
      value_bits: int64 [n], of these, what says their values.
      overhead_bits: int64 [n], of these, header and checksum.
    """

    client_ids: tf.Tensor
    errors: tf.Tensor
    weights: tf.Tensor
    elements: tf.Tensor
    bits: tf.Tensor
    index_bits: tf.Tensor
    value_bits: tf.Tensor
    overhead_bits: tf.Tensor

    @property
    def accepted(self) -> tf.Tensor:
        """Which messages were accepted, bool [n]."""
        return tf.equal(self.errors, names.ACCEPTED)


def of_participants(receipts: Receipts) -> Receipts:
    """One entry for each client of the round.

    Messages under an id that nobody has are left out; of several messages under one
    id, the accepted one stays, or else the first.
    """
    order = tf.argsort(tf.cast(~receipts.accepted, tf.int32), stable=True)
    by_id = tf.argsort(tf.gather(receipts.client_ids, order), stable=True)
    order = tf.gather(order, by_id)
    ids = tf.gather(receipts.client_ids, order)
    is_first = tf.concat([tf.ones_like(ids[:1], tf.bool), ids[1:] > ids[:-1]], axis=0)
    is_known = tf.not_equal(tf.gather(receipts.errors, order), names.UNKNOWN_CLIENT)
    rows = tf.boolean_mask(order, is_first & is_known)
    return Receipts(*(tf.gather(column, rows) for column in receipts))


def rejected(receipts: Receipts) -> tf.Tensor:
    """The ids, int32 [r], under which messages came and none was accepted.

    Clients whose work was not finite know that nothing of it was sent.
    """
    participants = of_participants(receipts)
    is_refused = ~participants.accepted & tf.not_equal(
        participants.errors, NON_FINITE_WORK
    )
    return tf.boolean_mask(participants.client_ids, is_refused)


def contested(receipts: Receipts) -> tf.Tensor:
    """Which messages were accepted beside others under the same id, bool [n]."""
    ids = receipts.client_ids
    same = tf.equal(ids[1:], ids[:-1])
    repeated = tf.pad(same, [[1, 0]]) | tf.pad(same, [[0, 1]])
    return repeated & receipts.accepted
