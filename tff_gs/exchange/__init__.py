"""The sparse exchange of a round, and what is measured of its messages."""

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
    "ClientState",
    "DownlinkMessage",
    "ExchangeOutput",
    "Outcome",
    "Receipts",
    "SparseExchange",
    "UplinkMessage",
    "build_sparse_exchange",
]
