"""Names of the sparsifiers, each with one line of help; imports no TensorFlow."""

from collections.abc import Mapping

SPARSIFIERS: Mapping[str, str] = {
    "fab_top_k": "fairness-aware bidirectional top-k (the paper's Algorithm 1)",
}
