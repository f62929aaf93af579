"""The picture of a run: what its task measures, loss, k, and who contributed."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
import pandas as pd
from matplotlib import figure, ticker
from matplotlib.backends import backend_agg

from launch import csv_table, plot_style
from launch.options import RunOptions
from tasks import LOSS, Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BLUE, _ORANGE, _GREEN, _GREY = "#1f5f99", "#d9730d", "#3a7d44", "#8a8f98"
_SMOOTHING_SHARE = 0.04


@dataclasses.dataclass(frozen=True, kw_only=True)
class Captions:
    """What the picture says beside the curves.

    Attributes:
      title: The heading.
      dimension: D.
      time_label: What the time is, with its unit.
      guaranteed: Whether the sparsifier guarantees every client floor(k / N) entries
        of each round.
      metric: What is drawn beside the loss, if the task measures anything.
      loss_label: What the loss is, with its unit.
    """

    title: str
    dimension: int
    time_label: str
    guaranteed: bool
    metric: Metric | None
    loss_label: str


def captions(
    options: RunOptions, flags: Mapping[str, str], *, dimension: int, clients: int
) -> Captions:
    """What the picture of a run says.

    Args:
      options: Those of the run.
      flags: The flags that they are from, as text.
      dimension: D.
      clients: How many clients the task has.
    """
    cohort = options.participation.clients_per_round
    share = "" if cohort is None else f"{cohort} of "
    return Captions(
        title=f"{flags['task']}, {share}{clients} clients: {flags['sparsifier']}, k by "
        f"{flags['controller']}, seed {options.training.seed}",
        dimension=dimension,
        time_label=options.cost.time_label,
        guaranteed=options.method.sparsifier.is_fair and cohort is None,
        metric=next(iter(options.task.metrics), None),
        loss_label=options.task.loss_label,
    )


def draw(
    metrics: pathlib.Path,
    clients: pathlib.Path,
    path: pathlib.Path,
    captions: Captions,
) -> None:
    """Draws the picture of a run that has at least one round.

    Args:
      metrics: The run's metrics.csv.
      clients: The run's clients.csv.
      path: Where the PNG goes.
      captions: What to write into it.
    """
    rounds, contributed = map(csv_table.read_frame, (metrics, clients))
    with matplotlib.rc_context(plot_style.STYLE):
        drawing = figure.Figure(figsize=(11, 7.4), layout="constrained")
        backend_agg.FigureCanvasAgg(drawing)
        drawing.suptitle(captions.title, x=0.01, ha="left", fontsize=12.5)
        drawing.get_layout_engine().set(hspace=0.07, wspace=0.05)
        axes = drawing.subplots(2, 2)
        _draw_metric(axes[0, 0], rounds, captions)
        _draw_loss(axes[0, 1], rounds, captions)
        _draw_k(axes[1, 0], rounds, captions)
        _draw_contributions(axes[1, 1], rounds, contributed, captions)
        drawing.savefig(path, dpi=130)


def _draw_metric(axes: "Axes", rounds: pd.DataFrame, captions: Captions) -> None:
    metric = captions.metric or LOSS
    evaluated = rounds.dropna(subset=metric.column)
    axes.set(
        title=f"Test {metric.name}",
        xlabel=captions.time_label,
        ylabel=metric.name,
        xlim=(0, plot_style.end_of(rounds["time"])),
    )
    if metric.is_share:
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0, decimals=0))
    axes.plot(
        evaluated["time"], evaluated[metric.column], color=_BLUE, marker="o", ms=3
    )
    if len(evaluated):
        time, value = evaluated.iloc[-1][["time", metric.column]]
        # Where the curve has left room: it mostly rises if larger is better.
        axes.text(
            0.98,
            0.05 if metric.larger_is_better else 0.93,
            f"{format(value, metric.form(3))} at {time:,.0f}",
            transform=axes.transAxes,
            ha="right",
            color=_BLUE,
            weight="bold",
        )


def _draw_loss(axes: "Axes", rounds: pd.DataFrame, captions: Captions) -> None:
    training = rounds["training_loss"].replace([np.inf, -np.inf], np.nan)
    evaluated = rounds.dropna(subset="test_loss")
    window = max(1, round(_SMOOTHING_SHARE * len(rounds)))
    axes.set(
        title="Loss",
        xlabel=captions.time_label,
        ylabel=captions.loss_label,
        xlim=(0, plot_style.end_of(rounds["time"])),
    )
    axes.plot(
        rounds["time"],
        training,
        color=_GREY,
        lw=0.8,
        alpha=0.6 if window > 1 else 1.0,
        label="minibatches of the clients",
    )
    if window > 1:
        axes.plot(
            rounds["time"],
            training.rolling(window, min_periods=1).mean(),
            color="#4b5058",
            lw=1.4,
            label=f"the same, mean of the last {window} rounds",
        )
    axes.plot(
        evaluated["time"],
        evaluated["test_loss"],
        color=_ORANGE,
        marker="o",
        ms=3,
        label="test data",
    )
    if plot_style.is_wide(training):
        plot_style.use_logarithm(axes.yaxis)
        axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    else:
        axes.set_ylim(bottom=0)
    axes.legend(loc="upper right")


def _draw_k(axes: "Axes", rounds: pd.DataFrame, captions: Captions) -> None:
    axes.set(
        title="Entries sent, k",
        xlabel="round",
        ylabel="k (entries)",
        xlim=(0, plot_style.end_of(rounds["round"])),
    )
    probed = rounds["k_probe"].where(rounds["k_probe"] > 0)
    axes.step(
        rounds["round"], rounds["k"], where="mid", color=_GREEN, lw=1.5, label="k"
    )
    if probed.notna().any():
        axes.plot(
            rounds["round"], probed, ".", color=_GREY, ms=2.5, label="k', the probe"
        )
    if plot_style.is_wide(rounds["k"]):
        plot_style.use_logarithm(axes.yaxis)
    else:
        axes.set_ylim(0, 1.08 * rounds["k"].max())
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    share = axes.secondary_yaxis(
        "right",
        functions=(lambda k: k / captions.dimension, lambda s: s * captions.dimension),
    )
    share.set_ylabel(f"share of D = {captions.dimension:,}")
    share.yaxis.set_major_formatter(
        ticker.FuncFormatter(lambda value, _: f"{100 * value:.3g}%")
    )
    share.spines["right"].set_visible(True)
    axes.legend(loc="upper right")


def _draw_contributions(
    axes: "Axes", rounds: pd.DataFrame, clients: pd.DataFrame, captions: Captions
) -> None:
    """The distribution over clients, as Han, Wang, Leung, ICDCS 2020, show it."""
    means = np.sort(clients["contributed"].to_numpy() / len(rounds))
    shares = np.arange(1, len(means) + 1) / len(means)
    axes.set(
        title="Contributed entries per client",
        xlabel="a client's selected entries in a round (mean over the run)",
        ylabel="share of the clients with at most as many",
        xlim=(0, 1.08 * max(means[-1], 1)),
        ylim=(0, 1.03),
    )
    axes.yaxis.set_major_formatter(ticker.PercentFormatter(1.0, decimals=0))
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.step(
        np.concatenate([means[:1], means]),
        np.concatenate([[0.0], shares]),
        where="post",
        color=_BLUE,
        label=f"{len(means)} clients",
    )
    axes.plot(means, shares, ".", color=_BLUE, ms=5)
    if captions.guaranteed:
        guaranteed = (rounds["k"] // rounds["clients"]).mean()
        axes.axvline(
            guaranteed,
            color=_ORANGE,
            ls="--",
            lw=1.2,
            label=f"guaranteed to each: floor(k / N), mean {guaranteed:,.0f}",
        )
    axes.legend(loc="best")
