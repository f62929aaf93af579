"""Always-send-all: the whole residual goes up, the whole mean comes down.

Han, Wang, Leung, ICDCS 2020, Section V, the baseline without sparsification; k is
ignored. Nothing stays in the residuals, so this is federated SGD. A vector that
is sent whole needs no indices.
"""

from __future__ import annotations

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.sparsifiers import positional_sums


class SendAll(positional_sums.PositionalSums):
    """Everything, both ways; no indices are sent.

    K and k' change nothing. Positions are the coordinates.
    """

    @override
    def max_sent(self, k: tf.Tensor) -> tf.Tensor:
        """D."""
        del k
        return tf.constant(self.dimension)

    @override
    def count(self, k: tf.Tensor, shared: tf.Tensor) -> tf.Tensor:
        """D."""
        del k, shared
        return tf.constant(self.dimension)
