"""The rows of metrics.csv: how a round becomes one, and what is read off them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from tff_gs.encoders import names as encoder_names

Row = dict[str, Any]

_OF_CLIENTS = ("client_ids", "contributed")
_VECTORS = (*_OF_CLIENTS, "refusals")
_REFUSED = encoder_names.REFUSALS[1:]


def to_row(metrics: Mapping[str, Any]) -> Row:
    """The scalar metrics, as numbers of Python.

    Of `refused`, every reason is a column `refused_REASON`; of `model_metrics`, every
    scalar a column `model_NAME`.
    """
    row: Row = {}
    for name, value in metrics.items():
        if name == "refused":
            counts = np.asarray(value).tolist()[1:]
            reasons = [f"refused_{reason}" for reason in _REFUSED]
            row.update(zip(reasons, counts, strict=True))
        elif name == "model_metrics":
            own = {f"model_{each}": np.asarray(value[each]) for each in value}
            row.update({each: v.item() for each, v in own.items() if v.ndim == 0})
        elif name not in _VECTORS:
            row[name] = np.asarray(value).item()
    return row


def contributions(metrics: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Which clients took part, and how many entries of each were selected."""
    ids, counts = (np.asarray(metrics[name]) for name in _OF_CLIENTS)
    return ids, counts


def bits_up(row: Mapping[str, Any]) -> Any:
    """Bits that all clients of a round together send to the server.

    Args:
      row: A row of metrics.csv, or the whole table as a data frame.
    """
    asked = row.get("catch_up_request_bits", 0)
    return row["uplink_bits"] + row["report_bits"] + asked


def bits_down(row: Mapping[str, Any]) -> Any:
    """Bits that they receive, except a dense download before the first round.

    Args:
      row: A row of metrics.csv, or the whole table as a data frame.
    """
    each = row["downlink_bits"] + row["probe_downlink_bits"]
    own = row.get("catch_up_bits", 0) + row.get("joined_bits", 0)
    return each * row["clients"] + own
