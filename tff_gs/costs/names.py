"""Names of the models of time, each with one line of help; imports no TensorFlow."""

from collections.abc import Mapping

COSTS: Mapping[str, str] = {
    "normalised": "the paper's: computing takes 1, the full model up and down beta",
    "links": "seconds, from measured bits and each client's bandwidth and latency",
}
