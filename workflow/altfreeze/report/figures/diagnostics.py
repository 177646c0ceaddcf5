"""Figures of how far a study can be trusted: against itself, with other numbers of seeds, and by its variance."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from altfreeze.report.figures.style import COLORS, DASHES, GREY, add_legend, few_ticks, label_plainly, style
from altfreeze.report.words import margin_in_words
from altfreeze.support.errors import InputError
from altfreeze.vocabulary import METRICS, Metric

_FALSE_ALARM = COLORS[3]
# of the components of variance: what pairing removes is grey
_SHARES = ["#bdbdbd", COLORS[0], COLORS[2], "#737373", COLORS[1]]


def self_comparison_figure(table: pd.DataFrame, margin: float, metric: Metric = METRICS["accuracy"]) -> Figure:
    """Draw standard training against itself on other seeds: a panel per depth, data sets by their difference.

    Parameters
    ----------
    table : pandas.DataFrame
        The table self_comparison.
    margin : float
        Half width of the band in which a difference counts as none, a share.

    Returns
    -------
    matplotlib.figure.Figure
        Data sets have no names: those of the false alarms are told in words, and the table has all.

    Raises
    ------
    InputError
        If the table is empty.
    """
    if table.empty:
        raise InputError("self_comparison: the table is empty")
    depths = sorted(table["depth"].unique())
    looks = {
        "a data set": {"color": COLORS[0], "marker": "o"},
        "a false alarm": {"color": _FALSE_ALARM, "marker": "s"},
        "mean of all": {"color": "black", "marker": "D"},
    }
    usual, alarm, overall = looks
    with style():
        figure = Figure(figsize=(max(2.7 * len(depths) + 1.4, 8), 3.4), layout="constrained")
        axes = figure.subplots(1, len(depths), sharey=True, squeeze=False)[0]
        for panel, depth in zip(axes, depths, strict=True):
            panel.axhspan(-100 * margin, 100 * margin, color="0.92", linewidth=0, zorder=0)
            panel.axhline(0, color="black", linewidth=1)
            rows = table[table["depth"] == depth].sort_values("difference", kind="stable")
            mean = rows["dataset"] == "all"
            for place, row in enumerate(pd.concat([rows[~mean], rows[mean]]).itertuples()):
                false = row.verdict in ("better", "worse")
                look = looks[alarm if false else overall if row.dataset == "all" else usual]
                panel.vlines(place, 100 * row.low, 100 * row.high, color=look["color"], linewidth=1.6)
                panel.plot(place, 100 * row.difference, linestyle="", markersize=4, **look)
            panel.set_title(f"Depth {depth}")
            panel.set_xticks([])
            panel.grid(True, axis="y")
        few_ticks(axes[0].yaxis, 6)
        axes[0].set_ylabel(f"Difference ({metric.points})")
        figure.supxlabel(
            f"Final test {metric.words} of standard training, calibration minus compared seeds, sorted by size.\n"
            f"Bar: 95 % Welch interval. Band: ±{margin_in_words(margin, metric, short=True)}, which count as equal.",
            fontsize="small",
        )
        add_legend(figure, [Line2D([], [], label=words, linewidth=1.6, **look) for words, look in looks.items()], None)
    return figure


def seeds_figure(table: pd.DataFrame, seeds: int, margin: float, metric: Metric = METRICS["accuracy"]) -> Figure:
    """Draw what other numbers of seeds would buy: the half width of the interval, and the power.

    Parameters
    ----------
    table : pandas.DataFrame
        The table seeds_needed.
    seeds : int
        Number of seeds that the study has.
    margin : float
        Difference to detect, a share.

    Returns
    -------
    matplotlib.figure.Figure
        Two panels, one line per depth.

    Raises
    ------
    InputError
        If the table is empty.
    """
    if table.empty:
        raise InputError("seeds_needed: the table is empty")
    with style():
        figure = Figure(figsize=(8.4, 3.6), layout="constrained")
        widths, powers = figure.subplots(1, 2)
        for panel, column, level in ((widths, "half_width", 100 * margin), (powers, "power", 80)):
            panel.axhline(level, color=GREY, linewidth=1, linestyle="--")
            panel.axvline(seeds, color=GREY, linewidth=1)
            for position, (_, rows) in enumerate(table.groupby("depth")):
                values = 100 * rows[column]
                # the logarithm of no width
                panel.plot(rows["seeds"], values.where(values > 0), **_of_depth(position), marker="o", markersize=3.5)
            panel.set_xscale("log")
            panel.set_xlabel("Seeds on each data set")
            panel.grid(True)
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.xaxis.set_major_formatter("{x:g}")
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.set_xlim(table["seeds"].min() / 1.15, table["seeds"].max() * 1.15)
        if table["half_width"].gt(0).any():
            widths.set_yscale("log")
            label_plainly(widths.yaxis, widths.get_ylim())
        widths.set_ylabel(f"Half width of the interval ({metric.points})")
        powers.set_ylabel(f"Power to detect {margin_in_words(margin, metric, short=True)} (%)")
        powers.set_ylim(-4, 104)
        handles = [
            Line2D([], [], label=f"depth {depth}", **_of_depth(position))
            for position, depth in enumerate(sorted(table["depth"].unique()))
        ]
        add_legend(figure, handles, f"Upright line: this study, {seeds}. Dashed: the margin, and a power of 80 %.")
    return figure


def _of_depth(position: int) -> dict[str, Any]:
    """Return the look of the line of a depth."""
    cycle, place = divmod(position, len(COLORS))
    return {"color": COLORS[place], "linestyle": ["-", *DASHES][cycle % (len(DASHES) + 1)], "linewidth": 2}


def variance_figure(table: pd.DataFrame, metric: Metric = METRICS["accuracy"]) -> Figure:
    """Draw which share data set, strategy and seed have in the variance of a run: one bar per depth.

    Parameters
    ----------
    table : pandas.DataFrame
        The table variance.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the table has no share.
    """
    rows = table.dropna(subset="share")
    if rows.empty:
        raise InputError("variance: the table has no share")
    shares = 100 * rows.pivot(index="depth", columns="component", values="share")[list(rows["component"].unique())]
    words = {"interaction": "data set × strategy", "dataset": "data set", "seed": "seed, within a data set"}
    with style():
        figure = Figure(figsize=(8.4, 1.4 + 0.42 * len(shares)), layout="constrained")
        axes = figure.subplots()
        left = np.zeros(len(shares))
        for color, component in zip(_SHARES, shares, strict=True):
            values = shares[component].to_numpy()
            bars = axes.barh(range(len(shares)), values, 0.66, left, color=color, label=words.get(component, component))
            # a narrower piece has no room for its number
            numbers = [f"{value:.0f}" if value >= 4 else "" for value in values]
            axes.bar_label(bars, numbers, label_type="center", color=_on(color), fontsize="small")
            left += values
        axes.set_yticks(range(len(shares)), [f"Depth {depth}" for depth in shares.index])
        axes.set_ylim(len(shares) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_xlabel(f"Share of the variance of a run's final test {metric.words} (%)")
        add_legend(figure, axes.get_legend_handles_labels()[0], None)
    return figure


def _on(color: str) -> str:
    """Return black or white, whichever is read better on a colour."""
    return "white" if np.dot(to_rgb(color), (0.3, 0.59, 0.11)) < 0.5 else "black"
