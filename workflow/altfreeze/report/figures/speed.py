"""Figure of how much faster a step is, measured and by the count of operations."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from altfreeze.report.figures.style import COLORS, add_legend, few_ticks, style
from altfreeze.support.errors import InputError

_BY_OPERATIONS = {"linestyle": "", "color": COLORS[3], "marker": "|", "markersize": 12, "markeredgewidth": 2.2}


def speedup_figure(speedups: pd.DataFrame) -> Figure:
    """Draw how much faster than standard training a step is: measured, and by the count of operations.

    Parameters
    ----------
    speedups : pandas.DataFrame
        The table speedups.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per depth, one row per strategy; the mean over data sets is geometric.

    Raises
    ------
    InputError
        If the table is empty.
    """
    if speedups.empty:
        raise InputError("speedups: the table is empty")
    depths, labels = sorted(speedups["depth"].unique()), list(speedups["strategy"].unique())
    with style():
        size = (max(2.5 * len(depths) + 2, 6.5), 1.6 + 0.42 * len(labels))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(depths), sharex=True, sharey=True, squeeze=False)[0]
        for panel, depth in zip(axes, depths, strict=True):
            panel.axvline(1, color="black", linewidth=1)
            for label, rows in speedups[speedups["depth"] == depth].groupby("strategy"):
                _draw_speedup(panel, labels.index(label), rows)
            panel.set_title(f"Depth {depth}")
            few_ticks(panel.xaxis)
        axes[0].set_yticks(range(len(labels)), labels)
        axes[0].set_ylim(len(labels) - 0.5, -0.5)
        figure.supxlabel("Seconds per step of standard training over those of the strategy", fontsize="medium")
        handles = [
            Line2D([], [], color=COLORS[0], marker="o", linestyle="", label="measured, mean of the data sets"),
            Line2D([], [], color=COLORS[0], marker=".", linewidth=0.7, label="a data set, 95 % interval"),
            Line2D([], [], **_BY_OPERATIONS, label="by operations"),
        ]
        add_legend(figure, handles, "Right of 1: a step is faster than one of standard training.")
    return figure


def _draw_speedup(axes: Axes, position: int, rows: pd.DataFrame) -> None:
    """Draw the speed-up of one strategy: its means, and below them every data set."""
    # below the mean, so that it stays in sight
    places = position + (np.linspace(0.12, 0.4, len(rows)) if len(rows) > 1 else np.array([0.2]))
    axes.hlines(places, rows["low"], rows["high"], color=COLORS[0], linewidth=0.7, alpha=0.6)
    axes.plot(rows["measured"], places, ".", color=COLORS[0], markersize=3.5)
    measured, closed_form = np.exp(np.log(rows[["measured", "closed_form"]]).mean())
    axes.plot(measured, position - 0.12, "o", color=COLORS[0], markersize=6)
    axes.plot(closed_form, position - 0.12, **_BY_OPERATIONS)
