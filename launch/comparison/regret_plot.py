"""The picture of the time to a target: over fixed k, and of the rules for k."""

import math
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib import figure, ticker
from matplotlib.backends import backend_agg

from launch import plot_style
from launch.comparison import regret

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(
    reaches: Sequence[regret.Reach], path: pathlib.Path, *, title: str, time_label: str
) -> None:
    """Draws the curve of the fixed k, and a horizontal line for every rule.

    Several seeds are a band from the least to the largest around their mean.

    Args:
      reaches: The methods, at least one.
      path: Where the PNG goes.
      title: The heading.
      time_label: What the time is, with its unit.
    """
    best = regret.best_fixed(reaches)
    with matplotlib.rc_context(plot_style.STYLE):
        drawing = figure.Figure(figsize=(8.6, 5.4), layout="constrained")
        backend_agg.FigureCanvasAgg(drawing)
        drawing.suptitle(title, x=0.01, ha="left", fontsize=12)
        axes = drawing.subplots()
        _draw_fixed(axes, [r for r in reaches if r.is_fixed], best)
        rules = [reach for reach in reaches if not reach.is_fixed]
        for number, rule in enumerate(rules, start=1):
            _draw_rule(axes, rule, number, best)
        axes.set(xlabel="fixed k (entries)", ylabel=f"time to target, {time_label}")
        axes.set_ylim(bottom=0)
        axes.margins(y=0.12)
        drawing.legend(loc="outside right upper", handlelength=2.6)
        drawing.savefig(path, dpi=130)


def _draw_fixed(
    axes: "Axes", fixed: Sequence[regret.Reach], best: regret.Reach | None
) -> None:
    if not fixed:
        return
    style = plot_style.line_style(0)
    reached = [reach for reach in fixed if not math.isnan(reach.mean)]
    ks = [reach.k for reach in reached]
    axes.plot(ks, [r.mean for r in reached], "o", label="fixed k", **style)
    axes.fill_between(
        ks,
        [min(reach.times) for reach in reached],
        [max(reach.times) for reach in reached],
        color=style["color"],
        alpha=plot_style.BAND_ALPHA,
        lw=0,
    )
    missed = [reach.k for reach in fixed if math.isnan(reach.mean)]
    if missed:
        # At the upper edge, whatever the times: there is no time to show.
        axes.plot(
            missed,
            np.full(len(missed), 0.97),
            "x",
            color="#30343b",
            ms=7,
            transform=axes.get_xaxis_transform(),
            label=f"fixed k: {regret.NOT_REACHED}",
        )
    if best is not None:
        axes.plot(
            [best.k],
            [best.mean],
            "o",
            ms=11,
            mfc="none",
            mew=1.6,
            color=style["color"],
            label=f"the best: {best.label}",
        )
    axes.set_xscale("log")
    axes.set_xticks([reach.k for reach in fixed], minor=False)
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_locator(ticker.NullLocator())
    axes.tick_params(axis="x", labelrotation=30)


def _draw_rule(
    axes: "Axes", rule: regret.Reach, number: int, best: regret.Reach | None
) -> None:
    style = plot_style.line_style(number)
    if math.isnan(rule.mean):
        label = f"{rule.label}: {regret.NOT_REACHED}"
        axes.plot([], [], label=label, **style)
        return
    label = rule.label
    if best is not None:
        label += f": {rule.mean / best.mean:.2f} times the best"
    axes.axhline(rule.mean, label=label, **style)
    if len(rule.times) > 1:
        axes.axhspan(
            min(rule.times),
            max(rule.times),
            color=style["color"],
            alpha=plot_style.BAND_ALPHA / 2,
            lw=0,
        )
