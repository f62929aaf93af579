"""Indices in an order of their own: ceil(log2 D) bits each, as they come."""

from __future__ import annotations

from typing_extensions import override

from tff_gs._tensorflow import tf
from tff_gs.encoders import fixed_width_code, index_code


class RankedCode(fixed_width_code.FixedWidthCode):
    """Ceil(log2 D) bits an index, in the order of the entries.

    For messages whose order says something, such as ballots: the first index has the
    first rank. Each index may come once.
    """

    tag = 6

    @override
    def read(self, payload: tf.Tensor, count: tf.Tensor) -> index_code.Indices:
        indices, error = self._read_fields(payload, count)
        # In which order they come is the sender's choice; that they differ is not.
        order = index_code.check_order(tf.sort(indices), self._dimension)
        return index_code.Indices(indices, tf.where(error > 0, error, order))
