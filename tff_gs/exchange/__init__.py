"""The sparse exchange of a round, and what is measured of its messages."""

from typing import TYPE_CHECKING

from tff_gs import _lazy

if TYPE_CHECKING:
    from tff_gs.exchange.catch_up import (
        CatchUp as CatchUp,
        PartialParticipation as PartialParticipation,
    )
    from tff_gs.exchange.client_state import ClientState as ClientState
    from tff_gs.exchange.client_work import (
        ClientWork as ClientWork,
        Contribution as Contribution,
        Given as Given,
        GivenVector as GivenVector,
    )
    from tff_gs.exchange.consensus_exchange import (
        ConsensusExchange as ConsensusExchange,
    )
    from tff_gs.exchange.election import Election as Election
    from tff_gs.exchange.messages import (
        DownlinkMessage as DownlinkMessage,
        RoundConfig as RoundConfig,
        UplinkMessage as UplinkMessage,
    )
    from tff_gs.exchange.pipelined_exchange import (
        PipelinedExchange as PipelinedExchange,
    )
    from tff_gs.exchange.reading import MessageBounds as MessageBounds
    from tff_gs.exchange.receipts import Receipts as Receipts
    from tff_gs.exchange.server_update import (
        OptimizerUpdate as OptimizerUpdate,
        Replica as Replica,
        ServerUpdate as ServerUpdate,
        SparseSgd as SparseSgd,
        build_update as build_update,
    )
    from tff_gs.exchange.sparse_exchange import (
        ExchangeOutput as ExchangeOutput,
        Outcome as Outcome,
        SparseExchange as SparseExchange,
    )
    from tff_gs.exchange.summed_consensus_exchange import (
        SummedConsensusExchange as SummedConsensusExchange,
    )
    from tff_gs.exchange.transformations import (
        ClientTransformation as ClientTransformation,
        ClipByNorm as ClipByNorm,
        ClipByValue as ClipByValue,
        MomentumCorrection as MomentumCorrection,
    )
else:
    __getattr__, __dir__, __all__ = _lazy.exports(__name__)
