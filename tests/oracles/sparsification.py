"""The selections as the papers define them: loops over ranks, sets and lists.

Nothing here is shared with the library: J_i as a sorted list, the union of first
entries as Python sets, sums in float64 in the order of the clients.
"""

from typing import NamedTuple

import numpy as np


class Selected(NamedTuple):
    """J (ascending), b at J (float64) and kappa."""

    indices: np.ndarray
    values: np.ndarray
    kappa: int


def ranked(vector, k):
    """J_i: the k positions of largest magnitude, largest first, lower index first."""
    return np.argsort(-np.abs(vector), kind="stable")[:k]


def top_k(vector, k):
    """The same positions, ascending."""
    return np.sort(ranked(vector, k))


def union(lists, count):
    """The union of the first `count` entries of every list."""
    return {int(j) for entries in lists for j in entries[:count]}


def weighted_sums(residuals, client_weights, lists):
    """{j: sum over i with j in J_i of C_i a_ij / C}."""
    total = float(np.sum(np.asarray(client_weights, np.float64)))
    sums = {}
    for vector, weight, entries in zip(residuals, client_weights, lists, strict=True):
        for j in entries:
            # Products of two float32 are exact in float64.
            term = float(weight) * float(vector[j])
            sums[int(j)] = sums.get(int(j), 0.0) + term
    return {j: weighted / total for j, weighted in sums.items()}


def _selected(chosen, sums, kappa=0):
    indices = np.array(sorted(chosen), np.int32)
    return Selected(indices, np.array([sums[int(j)] for j in indices]), kappa)


def fab(residuals, client_weights, k):
    """FAB-top-k (Han, Wang, Leung, ICDCS 2020, Algorithm 1)."""
    lists = [ranked(vector, k) for vector in residuals]
    kappa = 0
    while kappa < k and len(union(lists, kappa + 1)) <= k:
        kappa += 1
    chosen = union(lists, kappa)
    largest = {}
    for vector, entries in zip(residuals, lists, strict=True):
        for j in entries[kappa : kappa + 1]:
            if int(j) not in chosen:
                largest[int(j)] = max(largest.get(int(j), 0.0), abs(float(vector[j])))
    by_size = sorted(largest, key=lambda j: (-largest[j], j))
    chosen |= set(by_size[: k - len(chosen)])
    return _selected(chosen, weighted_sums(residuals, client_weights, lists), kappa)


def short(magnitudes):
    """Falling magnitudes as a ballot says them: to an eighth of a power of two."""
    magnitudes = np.asarray(magnitudes, np.float32)
    first = magnitudes[0]
    with np.errstate(divide="ignore"):
        steps = 8 * np.log2(first / magnitudes) if first else 0 * magnitudes
    levels = np.minimum(np.round(steps), 63)
    return first * (2.0 ** (-levels / 8)).astype(np.float32)


def fab_consensus(residuals, client_weights, k, ranks):
    """FAB-top-k's J from the first ranks of each client, and the mean of all there."""
    ballots = [ranked(vector, ranks) for vector in residuals]
    magnitudes = [
        dict(zip(map(int, ballot), short(np.abs(vector[ballot])), strict=True))
        for vector, ballot in zip(residuals, ballots, strict=True)
    ]
    kappa = 0
    while kappa < ranks and len(union(ballots, kappa + 1)) <= k:
        kappa += 1
    chosen = union(ballots, kappa)
    largest = {}
    for ballot, known in zip(ballots, magnitudes, strict=True):
        for j in map(int, ballot[kappa : kappa + 1]):
            if j not in chosen:
                largest[j] = max(largest.get(j, 0.0), known[j])
    by_size = sorted(largest, key=lambda j: (-largest[j], j))
    chosen |= set(by_size[: k - len(chosen)])
    everywhere = [sorted(chosen)] * len(residuals)
    sums = weighted_sums(residuals, client_weights, everywhere)
    return _selected(chosen, sums, kappa)


def fub(residuals, client_weights, k):
    """FUB-top-k: the k largest |b_j| of the aggregate."""
    lists = [ranked(vector, k) for vector in residuals]
    sums = weighted_sums(residuals, client_weights, lists)
    # The server ranks the numbers that it would send, which are float32.
    order = sorted(sums, key=lambda j: (-abs(np.float32(sums[j])), j))
    return _selected(order[:k], sums)


def unidirectional(residuals, client_weights, k):
    """Unidirectional top-k: all that anyone sent."""
    lists = [ranked(vector, k) for vector in residuals]
    sums = weighted_sums(residuals, client_weights, lists)
    return _selected(sums, sums)


def send_all(residuals, client_weights, k):
    """Always-send-all: every coordinate."""
    del k
    lists = [np.arange(len(vector)) for vector in residuals]
    sums = weighted_sums(residuals, client_weights, lists)
    return _selected(sums, sums)


def shared_order(residuals, client_weights, coordinates):
    """All clients send the entries at `coordinates`, the part of an order that is next.

    Returns:
      The selection.
    """
    lists = [np.asarray(coordinates) for _ in residuals]
    sums = weighted_sums(residuals, client_weights, lists)
    return _selected(sums, sums)


class Passes:
    """Periodic-k's bookkeeping: coordinates are taken off a list, then off the next.

    Args:
      order: From the number of a pass to the list of all coordinates.
    """

    def __init__(self, order):
        self._order, self._number, self._left = order, 0, list(order(0))

    def take(self, k):
        """The coordinates of the next round at k."""
        taken, self._left = self._left[:k], self._left[k:]
        if not self._left:
            self._number += 1
            self._left = list(self._order(self._number))
        return taken


def gtop_k(residuals, client_weights, k):
    """gTop-k on the tree of neighbours, and what each client's part survived.

    Returns:
      The selection, and per client the coordinates whose entry reached the root.
    """
    total = float(np.sum(np.asarray(client_weights, np.float64)))
    nodes = []
    for i, (vector, weight) in enumerate(zip(residuals, client_weights, strict=True)):
        # Undivided, these are exact, and so are their ties.
        entries = {int(j): float(weight) * float(vector[j]) for j in ranked(vector, k)}
        nodes.append((entries, {i: set(entries)}))
    while len(nodes) > 1:
        merged = []
        for left in range(0, len(nodes), 2):
            pair = nodes[left : left + 2]
            sums, alive = {}, {}
            for entries, survivors in pair:
                for j, value in entries.items():
                    sums[j] = sums.get(j, 0.0) + value
                alive.update(survivors)
            kept = set(sorted(sums, key=lambda j: (-abs(sums[j]), j))[:k])
            merged.append(
                (
                    {j: sums[j] for j in kept},
                    {i: js & kept for i, js in alive.items()},
                )
            )
        nodes = merged
    entries, survivors = nodes[0]
    entries = {j: value / total for j, value in entries.items()}
    lists = [np.array(sorted(survivors[i]), np.int32) for i in range(len(residuals))]
    return _selected(entries, entries), lists
