"""Always-send-all: the whole residual goes up, the whole mean comes down.

Han, Wang, Leung, ICDCS 2020, Section V, the baseline without sparsification; k is
ignored. Nothing stays in the residuals, so that this is federated SGD.
"""

from typing import NamedTuple

import tensorflow as tf

from tff_gs import sparse_vector
from tff_gs.sparsifiers import sparsifier


class Sums(NamedTuple):
    """The reduction of all uploads.

    Attributes:
      sums: float64 [D], sum over i of C_i a_ij.
      uploads: int32 scalar, how many were accepted.
    """

    sums: tf.Tensor
    uploads: tf.Tensor


class SendAll(sparsifier.Sparsifier):
    """Always-send-all; k' changes nothing, kappa is 0."""

    def sparsify(self, residual: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
        """See base class; all D coordinates."""
        del k
        # An open length, as messages of every other method have.
        return tf.raw_ops.PlaceholderWithDefault(
            input=tf.range(tf.size(residual)), shape=[None]
        )

    def max_sent(self, k: tf.Tensor) -> tf.Tensor:
        """See base class; D."""
        del k
        return tf.constant(self.dimension)

    def units(self, count: tf.Tensor) -> tf.Tensor:
        """See base class; a vector that is sent whole needs no indices."""
        return tf.cast(count, tf.float64)

    def zero(self) -> Sums:
        """See base class."""
        return Sums(tf.zeros([self.dimension], tf.float64), tf.constant(0))

    def accumulate(self, accumulator: Sums, upload: sparsifier.Upload) -> Sums:
        """See base class."""
        indices, values = upload.entries
        weighted = tf.cast(upload.weight, tf.float64) * tf.cast(values, tf.float64)
        accepted = tf.cast(tf.size(indices) > 0, tf.int32)
        return Sums(
            tf.tensor_scatter_nd_add(
                accumulator.sums, indices[:, tf.newaxis], weighted
            ),
            accumulator.uploads + accepted,
        )

    def merge(self, first: Sums, second: Sums) -> Sums:
        """See base class."""
        return Sums(first.sums + second.sums, first.uploads + second.uploads)

    def report(self, accumulator: Sums) -> Sums:
        """See base class."""
        return accumulator

    def select(
        self,
        aggregate: Sums,
        total_weight: tf.Tensor,
        k: tf.Tensor,
        k_probe: tf.Tensor,
    ) -> sparsifier.Selection:
        """See base class; all D coordinates, or none where nothing was accepted."""
        del k
        count = tf.where(aggregate.uploads > 0, self.dimension, 0)
        mean = tf.cast(aggregate.sums[:count] / total_weight, tf.float32)
        update = sparse_vector.SparseVector(tf.range(count), mean)
        probed = (k_probe > 0) & self.probes
        return sparsifier.Selection(
            update,
            probe=sparse_vector.SparseVector(update.indices[:0], mean[:0]),
            probe_count=tf.where(probed, count, 0),
            kappa=tf.constant(0),
            notes=tf.zeros([0], tf.int32),
        )
