"""The picture of a comparison: accuracy, loss, k, and who contributed."""

import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import figure, ticker
from matplotlib.backends import backend_agg

from launch import plot_style
from launch.comparison import abscissa, curves, results

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Curves of fewer points show them.
_FEW_POINTS = 30


def draw(
    lines: Sequence[results.Line],
    over: abscissa.Abscissa,
    path: pathlib.Path,
    *,
    title: str,
) -> None:
    """Draws the lines that have a complete run, each in one style in all panels.

    Several seeds are a band from the least to the largest around their mean.

    Args:
      lines: What to compare; at least one has a complete run.
      over: What accuracy and loss are drawn over.
      path: Where the PNG goes.
      title: The heading.
    """
    styled = [
        (line, plot_style.line_style(number))
        for number, line in enumerate(lines)
        if line.results
    ]
    with matplotlib.rc_context(plot_style.STYLE):
        legend_rows = -(-len(styled) // 4)
        drawing = figure.Figure(
            figsize=(11.5, 7.6 + 0.24 * legend_rows), layout="constrained"
        )
        backend_agg.FigureCanvasAgg(drawing)
        drawing.get_layout_engine().set(hspace=0.07, wspace=0.05)
        drawing.suptitle(title, x=0.01, ha="left", fontsize=12.5)
        axes = drawing.subplots(2, 2)
        _draw_evaluations(axes[0, 0], styled, "test_accuracy", over)
        _draw_evaluations(axes[0, 1], styled, "test_loss", over)
        _draw_k(axes[1, 0], styled)
        _draw_contributions(axes[1, 1], styled)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        drawing.legend(
            handles,
            labels,
            loc="outside lower center",
            ncols=min(4, len(styled)),
            fontsize=9.5,
            handlelength=2.6,
        )
        drawing.savefig(path, dpi=130)


_Styled = Sequence[tuple[results.Line, dict[str, Any]]]


def _draw_evaluations(
    axes: "Axes", styled: _Styled, column: str, over: abscissa.Abscissa
) -> None:
    ends, values = [], []
    for line, style in styled:
        positions = [over.positions(r).to_numpy(np.float64) for r in line.results]
        evaluations = [r.metrics[column].to_numpy() for r in line.results]
        band = curves.band(list(zip(positions, evaluations, strict=True)))
        few = len(band.x) <= _FEW_POINTS and len(line.results) == 1
        axes.plot(
            band.x,
            band.mean,
            label=line.label,
            marker="o" if few or len(band.x) == 1 else None,
            ms=3,
            **style,
        )
        _fill(axes, band, style)
        ends += [ended[-1] for ended in positions]
        values += [band.low, band.high]
    axes.set(xlabel=over.label, xscale=over.scale)
    if over.scale == "linear":
        axes.set_xlim(0, max(ends) * 1.01)
    else:
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,g}"))
    if column == "test_accuracy":
        axes.set(title="Test accuracy", ylabel="accuracy")
        axes.set_ylim(0, min(1.02, 1.08 * np.concatenate(values).max(initial=0.1)))
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0, decimals=0))
    else:
        axes.set(title="Test loss", ylabel="mean cross-entropy (nats)")
        if plot_style.is_wide(pd.Series(np.concatenate(values))):
            axes.set_yscale("log")


def _draw_k(axes: "Axes", styled: _Styled) -> None:
    everything = []
    last = [line.results[0].metrics["k"].iloc[-1] for line, _ in styled]
    for position, (line, style) in enumerate(styled):
        rounds = [r.metrics["round"].to_numpy(np.float64) for r in line.results]
        ks = [r.metrics["k"].to_numpy(np.float64) for r in line.results]
        grid = min(rounds, key=len)
        band = curves.band(list(zip(rounds, ks, strict=True)), grid)
        # Lines that lie on one another all show: the later the thinner.
        width = style["lw"] + 0.9 * last[position + 1 :].count(last[position])
        axes.plot(
            band.x,
            band.mean,
            marker="o" if len(band.x) == 1 else None,
            **{**style, "lw": width},
        )
        _fill(axes, band, style)
        everything += [band.low, band.high]
    axes.set(title="Entries sent, k", xlabel="round", ylabel="k (entries)")
    axes.set_xlim(left=0)
    if plot_style.is_wide(pd.Series(np.concatenate(everything))):
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.08 * np.concatenate(everything).max())
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))


def _draw_contributions(axes: "Axes", styled: _Styled) -> None:
    """The distribution over clients, as Han, Wang, Leung, ICDCS 2020, show it."""
    values = []
    for line, style in styled:
        band = curves.distribution([result.contributed for result in line.results])
        shares = np.concatenate([[0.0], band.x])
        low, mean, high = (
            np.concatenate([edge[:1], edge])
            for edge in (band.low, band.mean, band.high)
        )
        axes.plot(mean, shares, drawstyle="steps-post", **style)
        if len(line.results) > 1:
            axes.fill_betweenx(
                shares,
                low,
                high,
                step="pre",
                color=style["color"],
                alpha=plot_style.BAND_ALPHA,
                lw=0,
            )
        values += [low, high]
    axes.set(
        title="Contributed entries per client",
        xlabel="a client's selected entries in a round (mean over the run)",
        ylabel="share of the clients with at most as many",
        ylim=(0, 1.03),
    )
    everything = np.concatenate(values)
    least, largest = everything.min(), max(1.0, everything.max())
    if not plot_style.is_wide(pd.Series([max(1.0, least), largest])):
        axes.set_xlim(0, 1.08 * largest)
    elif least >= 1.0:
        axes.set_xscale("log")
        axes.set_xlim(least / 1.5, largest * 1.5)
    else:
        # Some clients contributed next to nothing, which has no logarithm.
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(0, largest * 1.5)
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0, decimals=0))


def _fill(axes: "Axes", band: curves.Band, style: dict[str, Any]) -> None:
    if (band.high > band.low).any():
        axes.fill_between(
            band.x,
            band.low,
            band.high,
            color=style["color"],
            alpha=plot_style.BAND_ALPHA,
            lw=0,
        )
