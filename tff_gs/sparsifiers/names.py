"""Names of the sparsifiers, each with one line of help; imports no TensorFlow."""

from collections.abc import Mapping

SPARSIFIERS: Mapping[str, str] = {
    "fab_top_k": "fairness-aware bidirectional top-k (the paper's Algorithm 1)",
    "fub_top_k": "the k largest of the aggregate, whoever sent them",
    "unidirectional_top_k": "top-k up, the whole union down",
    "gtop_k": "a tree of pairwise merges that keep k entries each",
    "periodic_k": "the next k of a shared random order; no indices are sent",
    "random_k": "k random coordinates by a shared seed; no indices are sent",
    "send_all": "everything, both ways; no indices are sent",
}
