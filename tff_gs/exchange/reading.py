"""How the server reads what clients sent: checks, decoding, receipts.

No client is believed on its word. How many entries count is what the server told, not
what a message says; a message under an id that is unknown or was accepted before, with
a weight or norm outside the bounds, or with entries that do not decode, is refused and
counts for nothing.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tff_gs import _checks, sparse_vector
from tff_gs.controllers import controller
from tff_gs.encoders import codec, names
from tff_gs.exchange import _stopwatch, messages, receipts
from tff_gs.sparsifiers import sparsifier as sparsifier_lib


@dataclasses.dataclass(frozen=True, kw_only=True)
class MessageBounds:
    """What a message may say at most; beyond it, it is refused.

    >>> MessageBounds(max_weight=1000)
    MessageBounds(max_weight=1000, max_norm=None)

    Attributes:
      max_weight: The largest weight C_i. Up to 2**24 a number of examples is exact in
        float32.
      max_norm: The largest l2 norm of the entries; None: any finite entries. A
        client's residual grows while it waits, so leave room for several rounds.
    """

    max_weight: float = 2.0**24
    max_norm: float | None = None

    def __post_init__(self) -> None:
        _checks.require_positive(self.max_weight, "max_weight")
        if self.max_norm is not None:
            _checks.require_positive(self.max_norm, "max_norm")


#: Any finite entries of clients with up to 2**24 examples.
DEFAULT_BOUNDS = MessageBounds()


class ReadMessages(NamedTuple):
    """What all messages of a round come to.

    Attributes:
      accumulator: The sparsifier's, of the accepted uploads.
      receipts: What was received, message by message.
      seconds: float64 scalar, the time for decoding.
    """

    accumulator: Any
    receipts: receipts.Receipts
    seconds: tf.Tensor


class _SoFar(NamedTuple):
    """What is known when some messages have been read."""

    accumulator: Any  # of the sparsifier
    accepted_id: tf.Tensor  # int64 scalar, of the last accepted message
    seconds: tf.Tensor  # float64 scalar, for decoding
    notes: tf.TensorArray  # int64 [5] for each message: see `_Note`


class _Note(NamedTuple):
    """What is noted of one message; scalars."""

    error: tf.Tensor
    elements: tf.Tensor
    index_bits: tf.Tensor
    value_bits: tf.Tensor
    overhead_bits: tf.Tensor


_NOBODY = np.int64(2**32)


@dataclasses.dataclass(frozen=True)
class MessageReader:
    """Reads messages of one kind; TensorFlow code.

    Attributes:
      code: The encoder of the entries.
      method: What the accepted uploads are reduced by.
      bounds: What a message may say at most.
    """

    code: codec.Codec
    method: sparsifier_lib.Sparsifier
    bounds: MessageBounds

    def read(
        self,
        collected: messages.CollectedMessages,
        decision: controller.Decision,
        limit: tf.Tensor,
        roster: tf.Tensor,
    ) -> ReadMessages:
        """Checks and decodes all messages, by client id.

        Args:
          collected: The messages.
          decision: k and k' of the round.
          limit: int32 scalar, the most entries of a message.
          roster: int32 [M], the ids of all clients that may take part, ascending.
        """
        reader = messages.Reader(collected)
        client_ids, weights = collected.header
        order = tf.argsort(client_ids, stable=True)
        unreadable = self._check_frames(collected, roster)

        def step(number: tf.Tensor, so_far: _SoFar) -> tuple[tf.Tensor, _SoFar]:
            place = order[number]
            client_id, weight = reader.header(place)
            message = messages.UplinkMessage(client_id, weight, reader.encoded(place))
            return number + 1, self._read_one(
                number, so_far, message, unreadable[place], decision, limit
            )

        start = _SoFar(
            self.method.zero(),
            tf.constant(_NOBODY),
            tf.constant(0.0, tf.float64),
            tf.TensorArray(tf.int64, collected.count, element_shape=[5]),
        )
        _, done = tf.while_loop(
            lambda number, _: number < collected.count, step, (tf.constant(0), start)
        )
        note = _Note(*tf.unstack(done.notes.stack(), axis=1))
        error = tf.cast(note.error, tf.int32)
        weights = tf.cast(tf.gather(weights, order), tf.float64)
        written = receipts.Receipts(
            client_ids=tf.gather(client_ids, order),
            errors=error,
            weights=tf.where(tf.equal(error, names.ACCEPTED), weights, 0.0),
            elements=tf.cast(note.elements, tf.int32),
            bits=tf.gather(collected.bits, order),
            index_bits=note.index_bits,
            value_bits=note.value_bits,
            overhead_bits=note.overhead_bits,
        )
        return ReadMessages(done.accumulator, written, done.seconds)

    def _check_frames(
        self, collected: messages.CollectedMessages, roster: tf.Tensor
    ) -> tf.Tensor:
        """The number of the reason not to look at a message's entries, int32 [n]."""
        ids, weights = collected.header
        places = tf.minimum(tf.searchsorted(roster, ids), tf.size(roster) - 1)
        # Nobody is known if there is no roster.
        nearest = tf.gather(tf.concat([roster, [0]], axis=0), tf.maximum(places, 0))
        known = tf.equal(nearest, ids) & (tf.size(roster) > 0)
        valid = (weights >= 0.0) & (weights <= self.bounds.max_weight)
        empty = tf.equal(collected.lengths, 0) & tf.equal(weights, 0.0)
        error = tf.where(empty, receipts.NON_FINITE_WORK, names.ACCEPTED)
        # A comparison with NaN is false.
        error = tf.where(valid, error, names.INVALID_WEIGHT)
        return tf.where(known, error, names.UNKNOWN_CLIENT)

    def _read_one(
        self,
        number: tf.Tensor,
        so_far: _SoFar,
        message: messages.UplinkMessage,
        unreadable: tf.Tensor,
        decision: controller.Decision,
        limit: tf.Tensor,
    ) -> _SoFar:
        """Reads the next message."""
        own_id = tf.cast(message.client_id, tf.int64)
        repeated = tf.equal(own_id, so_far.accepted_id)
        error = tf.where(
            tf.equal(unreadable, names.ACCEPTED) & repeated,
            names.REPEATED_CLIENT,
            unreadable,
        )
        (entries, error), seconds = _stopwatch.timed(
            self._decode, message.encoded, error, limit
        )
        accepted = tf.equal(error, names.ACCEPTED)
        note = tf.cond(
            accepted,
            lambda: _Note(
                tf.constant(0, tf.int64),
                tf.size(entries.indices, tf.int64),
                *self.code.sizes(message.encoded),
            ),
            lambda: _Note(tf.cast(error, tf.int64), *[tf.constant(0, tf.int64)] * 4),
        )
        # Entries that weigh nothing would take a place in the selection all the same.
        weighed = tf.where(message.weight > 0.0, tf.size(entries.indices), 0)
        upload = sparsifier_lib.Upload(
            message.client_id,
            sparse_vector.SparseVector(*(part[:weighed] for part in entries)),
            message.weight,
            decision.k,
            decision.k_probe,
        )
        return _SoFar(
            self.method.accumulate(so_far.accumulator, upload),
            tf.where(accepted, own_id, so_far.accepted_id),
            so_far.seconds + seconds,
            so_far.notes.write(number, tf.stack(note)),
        )

    def _decode(
        self, encoded: tf.Tensor, error: tf.Tensor, limit: tf.Tensor
    ) -> tuple[sparse_vector.SparseVector, tf.Tensor]:
        """The entries of a message that there is no reason against, and the reason."""

        def decode() -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            decoded = self.code.decode(encoded, limit)
            indices, values = decoded.vector
            if self.bounds.max_norm is None:
                return indices, values, decoded.error
            norm = tf.norm(tf.cast(values, tf.float64))
            fits = (norm <= self.bounds.max_norm) | (decoded.error > 0)
            count = tf.where(fits, tf.size(indices), 0)
            return (
                indices[:count],
                values[:count],
                tf.where(fits, decoded.error, names.NORM_TOO_LARGE),
            )

        indices, values, error = tf.cond(
            tf.equal(error, names.ACCEPTED),
            decode,
            lambda: (tf.zeros([0], tf.int32), tf.zeros([0], tf.float32), error),
        )
        return sparse_vector.SparseVector(indices, values), error


def contested(
    collected: messages.CollectedMessages, received: receipts.Receipts
) -> tf.Tensor:
    """See `messages.DownlinkMessage`; the receipts are in the order of ids."""
    rows = tf.cast(tf.where(receipts.contested(received))[:, 0], tf.int32)
    client_ids = collected.header.client_id
    places = tf.gather(tf.argsort(client_ids, stable=True), rows)
    tags = messages.Reader(collected).tags(places)
    return tf.reshape(tf.stack([tf.gather(client_ids, places), tags], axis=1), [-1])
