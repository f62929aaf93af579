"""The sparse exchange of a round, and what is measured of its messages."""

from tff_gs.exchange.catch_up import CatchUp, PartialParticipation
from tff_gs.exchange.client_state import ClientState
from tff_gs.exchange.messages import DownlinkMessage, RoundConfig, UplinkMessage
from tff_gs.exchange.receipts import Receipts
from tff_gs.exchange.sparse_exchange import (
    ExchangeOutput,
    MessageBounds,
    Outcome,
    SparseExchange,
)
from tff_gs.exchange.transformations import (
    ClientTransformation,
    ClipByNorm,
    ClipByValue,
    MomentumCorrection,
)

__all__ = [
    "CatchUp",
    "ClientState",
    "ClientTransformation",
    "ClipByNorm",
    "ClipByValue",
    "DownlinkMessage",
    "ExchangeOutput",
    "MessageBounds",
    "MomentumCorrection",
    "Outcome",
    "PartialParticipation",
    "Receipts",
    "RoundConfig",
    "SparseExchange",
    "UplinkMessage",
]
