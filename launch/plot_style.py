"""How all plots look, and how far their axes reach."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib import ticker

if TYPE_CHECKING:
    from matplotlib.axis import Axis

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


def use_logarithm(axis: "Axis") -> None:
    """Makes an axis logarithmic, with labels that do not lie on one another."""
    scale = {"x": axis.axes.set_xscale, "y": axis.axes.set_yscale}
    scale[axis.axis_name]("log")
    low, high = axis.get_view_interval()
    few_decades = high <= _WIDE_RANGE**2 * low
    axis.set_major_locator(
        ticker.LogLocator(subs=(1.0, 2.0, 5.0) if few_decades else (1.0,))
    )
    axis.set_minor_formatter(ticker.NullFormatter())


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
# Of lines that lie on one another, in units of their width.
_STRIPE = 4.0


def line_style(number: int) -> dict[str, Any]:
    """The style of the line of that number, from 0 on; 21 differ."""
    return {
        "color": _COLOURS[number % len(_COLOURS)],
        "ls": _DASHES[number // len(_COLOURS) % len(_DASHES)],
        "lw": 1.7,
    }


def striped(style: Mapping[str, Any], number: int, count: int) -> dict[str, Any]:
    """The style of one of `count` lines that lie on one another: stripes show all."""
    return {**style, "ls": (_STRIPE * number, (_STRIPE, _STRIPE * (count - 1)))}
