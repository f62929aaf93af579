"""The sparsification methods by name; imports no TensorFlow."""

from tff_gs.registry import Registry
from tff_gs.sparsifiers import (
    fab_consensus,
    fab_top_k,
    fub_top_k,
    gtop_k,
    periodic_k,
    pipelined_consensus,
    random_k,
    send_all,
    unidirectional_top_k,
)
from tff_gs.sparsifiers.sparsifier import Sparsifier

#: From a method's name to its class, which says its options and its line of help.
SPARSIFIERS: Registry[Sparsifier] = Registry(
    "sparsifier",
    Sparsifier,
    {
        "fab_top_k": fab_top_k.FabTopK,
        "fab_consensus": fab_consensus.FabConsensus,
        "pipelined_consensus": pipelined_consensus.PipelinedConsensus,
        "fub_top_k": fub_top_k.FubTopK,
        "unidirectional_top_k": unidirectional_top_k.UnidirectionalTopK,
        "gtop_k": gtop_k.GTopK,
        "periodic_k": periodic_k.PeriodicK,
        "random_k": random_k.RandomK,
        "send_all": send_all.SendAll,
    },
)
