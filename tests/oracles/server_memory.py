"""Sparsified means with the residual at the server, in loops over clients and ranks.

Nothing here is shared with the library. Sums are float64 and undivided until the end:
exact for the numbers that the tests draw, so that ties are ties.
"""

from typing import NamedTuple

import numpy as np

from tests.oracles import sparsification


class Mean(NamedTuple):
    """A round's result and the memory after it (both float32 [D]), and |J|."""

    result: np.ndarray
    memory: np.ndarray
    selected: int


def _ranked_without_zeros(vector, k):
    return [j for j in sparsification.ranked(vector, k) if vector[j] != 0]


def _lists(updates, weights, memory, k):
    """(weight, vector, coordinates by rank) of clients, and of the memory as one."""
    lists = [
        (float(weight), vector, _ranked_without_zeros(vector, k))
        for vector, weight in zip(updates, weights, strict=True)
        if weight > 0
    ]
    total = sum(weight for weight, _, _ in lists)
    kept = np.count_nonzero(memory) if lists else 0
    lists.append((total, memory, sparsification.ranked(memory, kept)))
    return total, lists


def _fair(lists, k, means):
    """FAB-top-k: whole ranks while they fit, then the largest of the next rank."""
    del means
    orders = [order for _, _, order in lists]
    kappa = 0
    while kappa < k and len(sparsification.union(orders, kappa + 1)) <= k:
        kappa += 1
    chosen = sparsification.union(orders, kappa)
    largest = {}
    for _, vector, order in lists:
        for j in order[kappa : kappa + 1]:
            if int(j) not in chosen:
                size = abs(float(vector[j]))
                largest[int(j)] = max(largest.get(int(j), 0.0), size)
    fill = sorted(largest, key=lambda j: (-largest[j], j))[: k - len(chosen)]
    return chosen | set(fill)


def _largest(lists, k, means):
    """FUB-top-k: the k largest means."""
    del lists
    return set(sorted(means, key=lambda j: (-abs(means[j]), j))[:k])


def _all(lists, k, means):
    """Top-k of every client: all that arrived."""
    del lists, k
    return set(means)


SELECTIONS = {"fab": _fair, "fub": _largest, "top_k": _all}


def sparsified_mean(updates, weights, memory, k, method):
    """One round of `tff_gs.aggregators.SparsifiedMeanFactory` with error feedback."""
    total, lists = _lists(updates, weights, memory, k)
    sums = {}
    for weight, vector, order in lists:
        for j in order:
            sums[int(j)] = sums.get(int(j), 0.0) + weight * float(vector[j])
    means = {j: np.float32(value / total) for j, value in sums.items()}
    chosen = SELECTIONS[method](lists, k, means)
    result = np.zeros_like(memory)
    rest = np.zeros_like(memory) if total > 0 else memory.copy()
    for j, value in means.items():
        (result if j in chosen else rest)[j] = value
    return Mean(result, rest, len(chosen))
