"""The sparse exchange of a round, and what is measured of its messages."""

from tff_gs.exchange.catch_up import CatchUp, PartialParticipation, build_catch_up
from tff_gs.exchange.client_state import ClientState
from tff_gs.exchange.receipts import Receipts
from tff_gs.exchange.sparse_exchange import (
    DownlinkMessage,
    ExchangeOutput,
    Outcome,
    SparseExchange,
    UplinkMessage,
    build_sparse_exchange,
)

__all__ = [
    "CatchUp",
    "ClientState",
    "DownlinkMessage",
    "ExchangeOutput",
    "Outcome",
    "PartialParticipation",
    "Receipts",
    "SparseExchange",
    "UplinkMessage",
    "build_catch_up",
    "build_sparse_exchange",
]
