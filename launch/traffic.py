"""What all clients of a round together send and receive, from its row of metrics."""

from collections.abc import Mapping
from typing import Any


def bits_up(row: Mapping[str, Any]) -> Any:
    """Bits to the server.

    Args:
      row: A row of metrics.csv, or the whole table as a data frame.
    """
    asked = row.get("catch_up_request_bits", 0)
    return row["uplink_bits"] + row["report_bits"] + asked


def bits_down(row: Mapping[str, Any]) -> Any:
    """Bits to the clients, but for a dense download before the first round.

    Args:
      row: A row of metrics.csv, or the whole table as a data frame.
    """
    each = row["downlink_bits"] + row["probe_downlink_bits"]
    own = row.get("catch_up_bits", 0) + row.get("joined_bits", 0)
    return each * row["clients"] + own
