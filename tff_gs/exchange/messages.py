"""What crosses the network in a sparse exchange, and how the server collects it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_federated as tff

from tff_gs import _growing, sparse_vector
from tff_gs.controllers import controller
from tff_gs.encoders import codec


class RoundConfig(NamedTuple):
    """What the server tells all clients before a round.

    Attributes:
      decision: k and k'.
      shared: See `tff_gs.sparsifiers.sparsifier.Sparsifier.share`.
    """

    decision: Any
    shared: Any


class UplinkMessage(NamedTuple):
    """What a client sends on one leg: its entries, or its ballot.

    Attributes:
      client_id: int32 scalar.
      weight: float32 scalar, C_i; 0 if the client has nothing to contribute, because
        its work was not finite.
      encoded: uint8 [bytes], the index-value list in the wire format; no byte then.
    """

    client_id: tf.Tensor
    weight: tf.Tensor
    encoded: tf.Tensor


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


def round_config_type(shared_type: tff.Type) -> tff.StructWithPythonType:
    """The TFF type of a `RoundConfig`."""
    return tff.to_type(
        RoundConfig(controller.Decision(np.int32, np.int32), shared_type)
    )


def tag(encoded: tf.Tensor) -> tf.Tensor:
    """By what a client knows its own message again, int32: the last four bytes.

    Those of an encoder of this library are the checksum of all before.
    """
    return tf.bitcast(tf.pad(encoded, [[4, 0]])[-4:], tf.int32)


def was_accepted(answer: Any, client_id: tf.Tensor, sent_tag: tf.Tensor) -> tf.Tensor:
    """Whether the server has counted the message that a client has sent.

    Args:
      answer: What it answered: with `rejected` and `contested` of `DownlinkMessage`.
      client_id: int32 scalar.
      sent_tag: int32 scalar, the message's `tag`.
    """
    ids, tags = tf.unstack(tf.reshape(answer.contested, [-1, 2]), axis=1)
    another = tf.reduce_any(tf.equal(ids, client_id) & tf.not_equal(tags, sent_tag))
    return ~another & tf.reduce_all(tf.not_equal(answer.rejected, client_id))


class UplinkHeader(NamedTuple):
    """What a client says of its entries: see `UplinkMessage`.

    Of several messages, vectors [n].

    Attributes:
      client_id: int32 scalar.
      weight: float32 scalar.
    """

    client_id: tf.Tensor
    weight: tf.Tensor


class CollectedMessages(NamedTuple):
    """Uplink messages as they came: the accumulator of an aggregation.

    Nothing in it was checked: what the server told the clients, such as k, is not
    known to the operators of a TFF aggregation, and what a client says of it is not
    believed. Messages are read when all are there.

    Attributes:
      header: A NamedTuple of vectors [n], what each message says beside its entries.
      bits: int64 [n], the size of each message.
      lengths: int32 [n], how many bytes of its entries are kept.
      levels: Vectors of uint8 that are, one after another, the entries of all
        messages. The last one holds the newest few, the one before it some more, and
        so on, so a message does not copy all before it.
    """

    header: Any
    bits: tf.Tensor
    lengths: tf.Tensor
    levels: Any

    @property
    def count(self) -> tf.Tensor:
        """The number of messages, int32 scalar."""
        return tf.size(self.lengths)

    @property
    def content(self) -> tf.Tensor:
        """The entries of all messages, uint8 [bytes]."""
        return tf.concat(self.levels, axis=0)


_LEVELS = 4
# How many times as many messages a level holds as the next one.
_LEVEL_RATIO = 8


def no_messages(header: Any) -> CollectedMessages:
    """The accumulator before any message.

    Args:
      header: A NamedTuple of the dtypes of what messages say beside their entries.
    """
    return CollectedMessages(
        type(header)(*map(_growing.empty, header)),
        _growing.empty(tf.int64),
        _growing.empty(tf.int32),
        tuple(_growing.empty(tf.uint8) for _ in range(_LEVELS)),
    )


def collect(
    collected: CollectedMessages,
    header: Any,
    encoded: tf.Tensor,
    *,
    bits: tf.Tensor,
    max_bytes: tf.Tensor,
) -> CollectedMessages:
    """The accumulator with one more message.

    Args:
      collected: The accumulator.
      header: A NamedTuple of scalars, what the message says beside its entries.
      encoded: uint8 [bytes], its entries.
      bits: int64 scalar, the size of the whole message.
      max_bytes: int32 scalar, what the entries of a valid message take at most. Of
        longer ones only so much is kept that they are known to be too long.
    """
    encoded = encoded[: max_bytes + 1]
    one = type(header)(*(value[tf.newaxis] for value in header))
    *older, newest = collected.levels
    levels = (*older, tf.concat([newest, encoded], axis=0))
    return CollectedMessages(
        _growing.concat(collected.header, one),
        tf.concat([collected.bits, bits[tf.newaxis]], axis=0),
        tf.concat([collected.lengths, tf.size(encoded)[tf.newaxis]], axis=0),
        _moved_on(levels, collected.count + 1),
    )


def _moved_on(accumulated: Sequence[tf.Tensor], count: tf.Tensor) -> tuple[Any, ...]:
    """The levels when `count` messages are there: what is full is in the one before."""
    levels = list(accumulated)
    for place in range(_LEVELS - 1, 0, -1):
        before, full = levels[place - 1 : place + 1]
        levels[place - 1 : place + 1] = tf.cond(
            tf.equal(count % _LEVEL_RATIO ** (_LEVELS - place), 0),
            lambda before=before, full=full: (
                tf.concat([before, full], axis=0),
                _growing.open_length(full[:0]),
            ),
            lambda before=before, full=full: (before, full),
        )
    return tuple(levels)


def join(first: CollectedMessages, second: CollectedMessages) -> CollectedMessages:
    """The messages of both."""
    return CollectedMessages(
        _growing.concat(first.header, second.header),
        tf.concat([first.bits, second.bits], axis=0),
        tf.concat([first.lengths, second.lengths], axis=0),
        (
            tf.concat([first.content, second.content], axis=0),
            *(_growing.open_length(level[:0]) for level in second.levels[1:]),
        ),
    )


class Reader:
    """Hands out the messages of a collection, one by one; TensorFlow code."""

    def __init__(self, collected: CollectedMessages) -> None:
        """Reads `collected`."""
        self._collected = collected
        self._content = collected.content
        # All of them can be more than 2 GiB.
        self._lengths = tf.cast(collected.lengths, tf.int64)
        self._starts = tf.cumsum(self._lengths, exclusive=True)

    def header(self, place: tf.Tensor) -> Any:
        """What the message at `place` (int32 scalar) says beside its entries."""
        header = self._collected.header
        return type(header)(*(column[place] for column in header))

    def encoded(self, place: tf.Tensor) -> tf.Tensor:
        """The encoded entries of the message at `place`, uint8 [bytes]."""
        start = self._starts[place]
        return self._content[start : start + self._lengths[place]]

    def tags(self, places: tf.Tensor) -> tf.Tensor:
        """The tags (see `tag`) of the messages at `places` (int32 [m]), int32 [m]."""
        ends = tf.gather(self._starts + self._lengths, places)
        content = tf.concat([tf.zeros([4], tf.uint8), self._content], axis=0)
        return tf.bitcast(
            tf.gather(content, ends[:, tf.newaxis] + tf.range(4, dtype=tf.int64)),
            tf.int32,
        )


def read_answer(
    code: codec.Codec, message: tf.Tensor, dimension: int
) -> sparse_vector.SparseVector:
    """Decodes a message that the server wrote with `code`.

    Args:
      code: The encoder of the message.
      message: uint8 [bytes].
      dimension: D.

    Raises:
      tf.errors.InvalidArgumentError: When run, if the message is not one that the
        encoder accepts: a client could not go on with what the server applied.
    """
    vector, error = code.decode(message, tf.constant(dimension))
    check = tf.debugging.assert_equal(error, 0, "The server's message was damaged.")
    with tf.control_dependencies([check]):
        return sparse_vector.SparseVector(*(tf.identity(part) for part in vector))


def size_in_bits(structure: Any) -> tf.Tensor:
    """The size, int64 bits, of all tensors in `structure`."""
    return tf.add_n(
        [
            tf.size(tensor, out_type=tf.int64) * tensor.dtype.size * 8
            for tensor in tf.nest.flatten(structure)
        ]
    )
