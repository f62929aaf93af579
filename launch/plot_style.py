"""How all plots look, and how far their axes reach."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

STYLE: Mapping[str, Any] = {
    "axes.edgecolor": "#b6bac1",
    "axes.grid": True,
    "axes.labelcolor": "#30343b",
    "axes.labelsize": 9.5,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "font.size": 9.5,
    "grid.color": "#e6e8eb",
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "xtick.color": "#555a63",
    "ytick.color": "#555a63",
}
# What varies by more than this is drawn on a logarithmic axis.
_WIDE_RANGE = 20.0


def end_of(values: pd.Series) -> float:
    """The end of an axis that begins at 0 and shows all values."""
    return max(float(values.max()) * 1.01, 1e-9)


def is_wide(values: pd.Series) -> bool:
    """Whether the values want a logarithmic axis."""
    return values.min() > 0 and values.max() > _WIDE_RANGE * values.min()


# Colours of Okabe and Ito (2008), which colour-blind people can tell apart, without
# yellow, which is hard to see on white.
_COLOURS = (
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    "#000000",
)
_DASHES = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)))
BAND_ALPHA = 0.18


def line_style(number: int) -> dict[str, Any]:
    """The style of the line of that number, from 0 on; 21 differ."""
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "ls": _DASHES[number // len(_COLOURS) % len(_DASHES)],
        "lw": 1.7,
    }
