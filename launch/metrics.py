"""The metrics of a round as one row of scalars, and as what each client contributed."""

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

    Of `refused`, every reason is a column `refused_REASON`.
    """
    row: Row = {}
    for name, value in metrics.items():
        if name == "refused":
            counts = np.asarray(value).tolist()[1:]
            reasons = [f"refused_{reason}" for reason in _REFUSED]
            row.update(zip(reasons, counts, strict=True))
        elif name not in _VECTORS:
            row[name] = np.asarray(value).item()
    return row


def contributions(metrics: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Which clients took part, and how many entries of each were selected."""
    ids, counts = (np.asarray(metrics[name]) for name in _OF_CLIENTS)
    return ids, counts
