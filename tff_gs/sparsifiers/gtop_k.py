"""gTop-k: a tree of pairwise merges, each of which keeps k entries.

Shi et al., "A distributed synchronous SGD algorithm with global top-k sparsification
for low bandwidth networks", ICDCS 2019; weighted by data as in the comparison of Han,
Wang, Leung, ICDCS 2020, Section V. The clients' lists are the leaves, neighbours by
client id. A node adds up the two lists below it and keeps the k entries of largest
magnitude; a list without a neighbour goes up as it is. J and b are the root's list.

What a merge drops is lost to all clients below that node, even if another branch
brings the coordinate to the root. In a real tree, they hear of it on the way back; here
the server's answer says so (`Selection.notes`), so those entries stay in their
residuals.
"""

from __future__ import annotations

from typing import NamedTuple

from typing_extensions import override

from tff_gs import _growing, sparse_vector
from tff_gs._tensorflow import tf
from tff_gs.sparsifiers import ranked_sums, sparsifier


class Uploads(NamedTuple):
    """The entries of all uploads; reported by client id.

    Attributes:
      client_ids: int32 [n], who sent the entry.
      indices: int32 [n], j; ascending for each client.
      weighted: float64 [n], C_i a_ij.
      ranks: int32 [n], the entry's rank (from 0) in its upload.
    """

    client_ids: tf.Tensor
    indices: tf.Tensor
    weighted: tf.Tensor
    ranks: tf.Tensor


class Accumulator(NamedTuple):
    """Uploads in two parts, so each is not copied for every upload after it."""

    stored: Uploads
    recent: Uploads


class _Lists(NamedTuple):
    """The lists of one level of the tree, by node and coordinate."""

    nodes: tf.Tensor  # int32 [n], from 0
    indices: tf.Tensor  # int32 [n]
    sums: tf.Tensor  # float64 [n]


class _Dropped(NamedTuple):
    """Entries that merges dropped, and the leaves below these merges."""

    indices: tf.Tensor  # int32 [n]
    first_leaves: tf.Tensor  # int32 [n]
    last_leaves: tf.Tensor  # int32 [n]


class _Level(NamedTuple):
    """A level of the tree, from the leaves up."""

    lists: _Lists
    dropped: _Dropped  # on the way here
    leaves_below: tf.Tensor  # int32 scalar, of each node


# How many uploads are collected before all that are stored are copied.
_RECENT_UPLOADS = 10


def _no_uploads() -> Uploads:
    return Uploads(
        _growing.empty(tf.int32),
        _growing.empty(tf.int32),
        _growing.empty(tf.float64),
        _growing.empty(tf.int32),
    )


def _whole(accumulator: Accumulator) -> Uploads:
    return _growing.concat(accumulator.stored, accumulator.recent)


def _starts(sorted_keys: tf.Tensor) -> tf.Tensor:
    """Where a new key begins, bool [n]."""
    return tf.concat(
        [tf.ones_like(sorted_keys[:1], tf.bool), sorted_keys[1:] > sorted_keys[:-1]], 0
    )


def _groups(sorted_keys: tf.Tensor) -> tf.Tensor:
    """The number of the key among the distinct ones, int32 [n]."""
    return tf.cumsum(tf.cast(_starts(sorted_keys), tf.int32)) - 1


def _largest(lists: _Lists, k: tf.Tensor) -> tf.Tensor:
    """Which entries are among the k largest of their node, bool [n]."""
    by_size = tf.argsort(-tf.abs(lists.sums), stable=True)
    order = tf.gather(by_size, tf.argsort(tf.gather(lists.nodes, by_size), stable=True))
    nodes = tf.gather(lists.nodes, order)
    firsts = tf.where(_starts(nodes))[:, 0]
    position = tf.range(tf.size(nodes), dtype=tf.int64)
    kept = position - tf.gather(firsts, _groups(nodes)) < tf.cast(k, tf.int64)
    return tf.scatter_nd(order[:, tf.newaxis], kept, tf.shape(kept))


class GTopK(sparsifier.Sparsifier):
    """A tree of pairwise merges that keep k entries each.

    The server holds all uploads and walks the tree.
    """

    @override
    def zero(self) -> Accumulator:
        return Accumulator(_no_uploads(), _no_uploads())

    @override
    def accumulate(
        self, accumulator: Accumulator, upload: sparsifier.Upload
    ) -> Accumulator:
        indices, values = upload.entries
        positions, _ = ranked_sums.ranking_keys(values, tf.size(values))
        recent = _growing.concat(
            accumulator.recent,
            Uploads(
                tf.fill(tf.shape(indices), upload.client_id),
                indices,
                tf.cast(upload.weight, tf.float64) * tf.cast(values, tf.float64),
                tf.math.invert_permutation(positions),
            ),
        )
        grown = accumulator._replace(recent=recent)
        return tf.cond(
            tf.size(recent.indices) > _RECENT_UPLOADS * upload.k,
            lambda: Accumulator(_whole(grown), _no_uploads()),
            lambda: grown,
        )

    @override
    def report(self, accumulator: Accumulator) -> Uploads:
        uploads = _whole(accumulator)
        order = tf.argsort(uploads.client_ids, stable=True)
        return Uploads(*(tf.gather(column, order) for column in uploads))

    @override
    def select(
        self,
        aggregate: Uploads,
        total_weight: tf.Tensor,
        k: tf.Tensor,
        k_probe: tf.Tensor,
        shared: tf.Tensor,
    ) -> sparsifier.Selection:
        del shared
        update, notes = self._walk(aggregate, total_weight, k)
        nought = tf.constant(0)
        if not self.probes:
            nothing = sparse_vector.SparseVector(update.indices[:0], update.values[:0])
            return sparsifier.Selection(update, nothing, nought, nought, notes)
        in_probe = tf.where(aggregate.ranks < k_probe)[:, 0]
        probe, probe_notes = self._walk(
            Uploads(*(tf.gather(column, in_probe) for column in aggregate)),
            total_weight,
            k_probe,
        )
        difference = sparsifier.probe_difference(
            update, probe, k_probe, dimension=self.dimension
        )
        return sparsifier.Selection(
            update,
            difference,
            tf.size(probe.indices),
            nought,
            notes,
            tf.size(probe_notes),
        )

    @override
    def forget(
        self,
        sent: tf.Tensor,
        selected: tf.Tensor,
        notes: tf.Tensor,
        client_id: tf.Tensor,
    ) -> tf.Tensor:
        """What was selected and not dropped on the client's way up."""
        indices, first_ids, last_ids = tf.unstack(tf.reshape(notes, [-1, 3]), axis=1)
        below = (first_ids <= client_id) & (client_id <= last_ids)
        dropped = tf.boolean_mask(indices, below)
        is_selected, is_dropped = (
            sparse_vector.among(sent, others, self.dimension)
            for others in (selected, dropped)
        )
        return is_selected & ~is_dropped

    def _walk(
        self, uploads: Uploads, total_weight: tf.Tensor, k: tf.Tensor
    ) -> tuple[sparse_vector.SparseVector, tf.Tensor]:
        """The root's list, and the notes: rows of j, first and last client id."""
        leaves = _groups(uploads.client_ids)
        ids = tf.boolean_mask(uploads.client_ids, _starts(uploads.client_ids))
        level = _Level(
            _Lists(leaves, uploads.indices, uploads.weighted),
            _Dropped(*(_growing.empty(tf.int32) for _ in _Dropped._fields)),
            tf.constant(1),
        )
        open_length = tf.TensorShape([None])
        root, dropped, _ = tf.while_loop(
            lambda lists, *_: tf.reduce_max(lists.nodes) > 0,
            lambda *below: self._merge_neighbours(_Level(*below), k, tf.size(ids)),
            level,
            shape_invariants=_Level(
                _Lists(*[open_length] * 3),
                _Dropped(*[open_length] * 3),
                tf.TensorShape([]),
            ),
        )
        # Of what did not reach the root by any way, J says enough.
        told = sparse_vector.among(dropped.indices, root.indices, self.dimension)
        indices, first_leaves, last_leaves = (
            tf.boolean_mask(column, told) for column in dropped
        )
        notes = tf.stack(
            [indices, tf.gather(ids, first_leaves), tf.gather(ids, last_leaves)], axis=1
        )
        mean = tf.cast(root.sums / total_weight, tf.float32)
        return sparse_vector.SparseVector(root.indices, mean), tf.reshape(notes, [-1])

    def _merge_neighbours(
        self, level: _Level, k: tf.Tensor, clients: tf.Tensor
    ) -> _Level:
        """The next level of the tree: of two lists, the k largest sums stay."""
        lists, dropped, leaves_below = level
        nodes = lists.nodes // 2
        keys = tf.cast(nodes, tf.int64) * self.dimension
        keys += tf.cast(lists.indices, tf.int64)
        order = tf.argsort(keys, stable=True)
        keys = tf.gather(keys, order)
        first = tf.boolean_mask(order, _starts(keys))
        merged = _Lists(
            tf.gather(nodes, first),
            tf.gather(lists.indices, first),
            tf.math.segment_sum(tf.gather(lists.sums, order), _groups(keys)),
        )
        kept = _largest(merged, k)
        gone = _Lists(*(tf.boolean_mask(column, ~kept) for column in merged))
        below = 2 * leaves_below
        first_leaves = gone.nodes * below
        last_leaves = tf.minimum(first_leaves + below, clients) - 1
        return _Level(
            _Lists(*(tf.boolean_mask(column, kept) for column in merged)),
            _growing.concat(dropped, _Dropped(gone.indices, first_leaves, last_leaves)),
            below,
        )
