import functools

import numpy as np
import pytest

SEED = np.array([3, 4], np.int32)


class Server:
    """A sparsifier's operators as TensorFlow functions that are traced once.

    In a round after one at a third of D. Indices of uploads are those of messages;
    `select` gives coordinates.
    """

    def __init__(self, sparsifier):
        import tensorflow as tf

        from tff_gs import sparse_vector
        from tff_gs.sparsifiers import sparsifier as interface

        def scalar(dtype):
            return tf.TensorSpec([], dtype)

        def specs(function):
            return tf.nest.map_structure(
                lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype),
                function.get_concrete_function().structured_outputs,
            )

        self._interface = interface
        self._sparse_vector = sparse_vector
        self.sparsifier = sparsifier
        third = tf.constant(sparsifier.dimension // 3)
        self.shared = sparsifier.share(
            sparsifier.advance(sparsifier.initialize(), third, tf.constant(0), third),
            SEED,
            third,
        )
        shared = tf.TensorSpec(self.shared.shape, tf.int32)
        self._sparsify = tf.function(
            sparsifier.sparsify,
            input_signature=[
                tf.TensorSpec([sparsifier.dimension], tf.float32),
                scalar(tf.int32),
                shared,
                tf.TensorSpec([2], tf.int32),
            ],
        )
        self._coordinates = tf.function(
            sparsifier.coordinates,
            input_signature=[tf.TensorSpec([None], tf.int32), shared],
        )
        self.zero = tf.function(sparsifier.zero)
        accumulator = specs(self.zero)
        entries = sparse_vector.SparseVector(
            tf.TensorSpec([None], tf.int32), tf.TensorSpec([None], tf.float32)
        )
        upload = interface.Upload(
            scalar(tf.int32),
            entries,
            scalar(tf.float32),
            scalar(tf.int32),
            scalar(tf.int32),
        )
        self.accumulate = tf.function(
            sparsifier.accumulate, input_signature=[accumulator, upload]
        )
        self.report = tf.function(sparsifier.report, input_signature=[accumulator])
        aggregate = tf.nest.map_structure(
            lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype),
            self.report.get_concrete_function().structured_outputs,
        )
        self._select = tf.function(
            sparsifier.select,
            input_signature=[
                aggregate,
                scalar(tf.float64),
                scalar(tf.int32),
                scalar(tf.int32),
                shared,
            ],
        )

        indices = tf.TensorSpec([None], tf.int32)
        self.forget = tf.function(
            sparsifier.forget,
            input_signature=[indices, indices, indices, scalar(tf.int32)],
        )

    def upload(self, residual, weight, k, k_probe=0, client_id=0):
        """What the server reads of a client's message."""
        indices = self._sparsify(residual, k, self.shared, SEED).numpy()
        at = self._coordinates(indices, self.shared).numpy()
        entries = self._sparse_vector.SparseVector(indices, residual[at])
        return self._interface.Upload(
            np.int32(client_id),
            entries,
            np.float32(weight),
            np.int32(k),
            np.int32(k_probe),
        )

    def select(self, aggregate, total_weight, k, k_probe):
        """The selection, its update by ascending coordinates."""
        selection = self._select(aggregate, total_weight, k, k_probe, self.shared)
        indices, values = selection.update
        at = self._coordinates(indices, self.shared).numpy()
        order = np.argsort(at)
        update = self._sparse_vector.SparseVector(at[order], values.numpy()[order])
        return selection._replace(update=update)

    def aggregate(self, uploads):
        """One accumulator, in the order of `uploads`."""
        accumulator = self.zero()
        for upload in uploads:
            accumulator = self.accumulate(accumulator, upload)
        return self.report(accumulator)

    def aggregate_shuffled(self, uploads, rng):
        """One accumulator, in a random order."""
        return self.aggregate([uploads[i] for i in rng.permutation(len(uploads))])


@pytest.fixture(scope="session")
def build_server():
    """The `Server` of a sparsifier class, a dimension and whether it probes."""

    @functools.cache
    def build(sparsifier_class, dimension, probes):
        return Server(sparsifier_class().bind(dimension=dimension, probes=probes))

    return build
