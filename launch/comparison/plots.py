"""The pictures: methods side by side, and the time to a target over fixed k."""

import math
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import figure, ticker
from matplotlib.backends import backend_agg

from launch import plot_style
from launch.comparison import curves, regret, results
from tasks import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Curves of fewer points show them.
_FEW_POINTS = 30


def draw_comparison(
    lines: Sequence[results.Line],
    over: results.Abscissa,
    path: pathlib.Path,
    measures: Sequence[Metric],
    *,
    title: str,
    loss_label: str,
) -> None:
    """Draws the lines that have a complete run, each in one style in all panels.

    Several seeds are a band from the least to the largest around their mean.

    Args:
      lines: What to compare; at least one has a complete run.
      over: What accuracy and loss are drawn over.
      path: Where the PNG goes.
      measures: What the tasks of all runs measure, the loss last; the first is drawn.
      title: The heading.
      loss_label: What the loss is, with its unit.
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
        first, *_, loss = (*measures[:1], *measures)
        _draw_evaluations(axes[0, 0], styled, first, over)
        if first is loss:
            axes[0, 1].set_axis_off()
        else:
            _draw_evaluations(axes[0, 1], styled, loss, over)
        axes[0, 0 if first is loss else 1].set_ylabel(loss_label)
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
    axes: "Axes", styled: _Styled, measure: Metric, over: results.Abscissa
) -> None:
    ends, values = [], []
    for line, style in styled:
        positions = [over.positions(r).to_numpy(np.float64) for r in line.results]
        evaluations = [r.metrics[measure.column].to_numpy() for r in line.results]
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
    axes.set(title=f"Test {measure.name}", ylabel=measure.name)
    if measure.is_share:
        axes.set_ylim(0, min(1.02, 1.08 * np.concatenate(values).max(initial=0.1)))
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0, decimals=0))
    elif plot_style.is_wide(pd.Series(np.concatenate(values))):
        plot_style.use_logarithm(axes.yaxis)
        axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))


def _draw_k(axes: "Axes", styled: _Styled) -> None:
    everything = []
    constants = [_constant_k(line) for line, _ in styled]
    for position, (line, style) in enumerate(styled):
        rounds = [r.metrics["round"].to_numpy(np.float64) for r in line.results]
        ks = [r.metrics["k"].to_numpy(np.float64) for r in line.results]
        grid = min(rounds, key=len)
        band = curves.band(list(zip(rounds, ks, strict=True)), grid)
        own = constants[position]
        alike = [at for at, k in enumerate(constants) if k == own and k is not None]
        if len(alike) > 1:
            style = plot_style.striped(style, alike.index(position), len(alike))
        axes.plot(band.x, band.mean, marker="o" if len(band.x) == 1 else None, **style)
        _fill(axes, band, style)
        everything += [band.low, band.high]
    axes.set(title="Entries sent, k", xlabel="round", ylabel="k (entries)")
    axes.set_xlim(left=0)
    if plot_style.is_wide(pd.Series(np.concatenate(everything))):
        plot_style.use_logarithm(axes.yaxis)
    else:
        axes.set_ylim(0, 1.08 * np.concatenate(everything).max())
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))


def _constant_k(line: results.Line) -> int | None:
    """The k of all rounds of all its runs; None if there are several."""
    found = {k for result in line.results for k in result.metrics["k"].unique()}
    return int(found.pop()) if len(found) == 1 else None


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
        axes.set_xlim(least / 1.5, largest * 1.5)
        plot_style.use_logarithm(axes.xaxis)
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


def draw_regret(
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
    _draw_missed(axes, [reach.k for reach in fixed if math.isnan(reach.mean)])
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


def _draw_missed(axes: "Axes", missed: Sequence[float]) -> None:
    """The fixed k that reached no target."""
    if not missed:
        return
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
