"""Sparse aggregation for TFF's own algorithms, without client state.

Factories for `model_aggregator=` of `tff.learning.algorithms`, and for what TFF's own
factories wrap. docs/aggregators.md shows how to use them.
"""

from typing import TYPE_CHECKING

from tff_gs import _lazy

if TYPE_CHECKING:
    from tff_gs.aggregators.sparse_mean import (
        SparsifiedMeanState as SparsifiedMeanState,
    )
    from tff_gs.aggregators.consensus_mean import (
        ConsensusState as ConsensusState,
        fab_consensus_factory as fab_consensus_factory,
    )
    from tff_gs.aggregators.shared_coordinates import (
        SharedCoordinatesState as SharedCoordinatesState,
        periodic_k_factory as periodic_k_factory,
        random_k_factory as random_k_factory,
    )
    from tff_gs.aggregators.sparsified_mean import (
        SparsifiedMeanFactory as SparsifiedMeanFactory,
        SparsifiedSumFactory as SparsifiedSumFactory,
        UnweightedSparsifiedMeanFactory as UnweightedSparsifiedMeanFactory,
        fab_top_k_factory as fab_top_k_factory,
        fab_top_k_sum_factory as fab_top_k_sum_factory,
        fub_top_k_factory as fub_top_k_factory,
        fub_top_k_sum_factory as fub_top_k_sum_factory,
        top_k_factory as top_k_factory,
        top_k_sum_factory as top_k_sum_factory,
    )
    from tff_gs.aggregators.tensor_encoding_stage import (
        SparseTopKEncodingStage as SparseTopKEncodingStage,
        sparse_top_k as sparse_top_k,
    )
else:
    __getattr__, __dir__, __all__ = _lazy.exports(__name__)
