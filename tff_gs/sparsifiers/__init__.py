"""Sparsification methods, one file a method.

A method is made from its options and bound to D later; neither imports TensorFlow.
`SPARSIFIERS` has all methods by name, `Sparsifier` is the interface.
"""

from typing import TYPE_CHECKING

from tff_gs import _lazy

if TYPE_CHECKING:
    from tff_gs.sparse_vector import SparseVector as SparseVector
    from tff_gs.sparsifiers.fab_consensus import FabConsensus as FabConsensus
    from tff_gs.sparsifiers.fab_top_k import FabTopK as FabTopK
    from tff_gs.sparsifiers.fub_top_k import FubTopK as FubTopK
    from tff_gs.sparsifiers.gtop_k import GTopK as GTopK
    from tff_gs.sparsifiers.periodic_k import PeriodicK as PeriodicK
    from tff_gs.sparsifiers.pipelined_consensus import (
        PipelinedConsensus as PipelinedConsensus,
    )
    from tff_gs.sparsifiers.positional_sums import PositionalSums as PositionalSums
    from tff_gs.sparsifiers.random_k import RandomK as RandomK
    from tff_gs.sparsifiers.ranked_sums import RankedSums as RankedSums
    from tff_gs.sparsifiers.registry import SPARSIFIERS as SPARSIFIERS
    from tff_gs.sparsifiers.send_all import SendAll as SendAll
    from tff_gs.sparsifiers.sparsifier import (
        Selection as Selection,
        Sparsifier as Sparsifier,
        Upload as Upload,
    )
    from tff_gs.sparsifiers.top_k import top_k_indices as top_k_indices
    from tff_gs.sparsifiers.unidirectional_top_k import (
        UnidirectionalTopK as UnidirectionalTopK,
    )
else:
    __getattr__, __dir__, __all__ = _lazy.exports(__name__)
