"""Sparse broadcast for TFF's own algorithms: what `model_distributor=` takes."""

from typing import TYPE_CHECKING

from tff_gs import _lazy

if TYPE_CHECKING:
    from tff_gs.distributors.count_rule import (
        CountRule as CountRule,
        EnergyShare as EnergyShare,
    )
    from tff_gs.distributors.sparse_broadcast import (
        SparseBroadcastState as SparseBroadcastState,
        build_sparse_broadcast_process as build_sparse_broadcast_process,
    )
else:
    __getattr__, __dir__, __all__ = _lazy.exports(__name__)
