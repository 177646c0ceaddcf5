"""Figures of differences between strategies: one comparison, and all of them at each equal budget."""

import itertools
import textwrap
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from altfreeze.report.figures.style import COLORS, GREY, few_ticks, row_label, style
from altfreeze.report.selection import compared_rows, comparison_rows, paired_differences
from altfreeze.report.words import margin_in_words, signed_points
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.support.errors import InputError
from altfreeze.vocabulary import EQUAL_BUDGETS, METRICS, PANELS, Metric

# points, of the letters of a figure that stands beside another or fills a phone
_SMALL = 7.5


def main_figure(
    runs: pd.DataFrame,
    comparisons: pd.DataFrame,
    depth: int,
    strategy: str,
    reference: str = "standard",
    budget: str = "epochs",
    metric: Metric = METRICS["accuracy"],
    margin: float = 0,
    narrow: bool = False,
) -> Figure:
    """Draw one comparison: one row per data set, from the best for the strategy to the worst, and their mean.

    Parameters
    ----------
    runs, comparisons : pandas.DataFrame
        The tables of these names.
    depth : int
    strategy, reference, budget : str
        As in the table comparisons.
    metric : altfreeze.vocabulary.Metric
    margin : float
        Half width of the band in which a difference counts as none, a share.
    narrow : bool
        For a phone, whose width has room for readable letters where intervals are bars alone, not numbers too.

    Returns
    -------
    matplotlib.figure.Figure
        Tall: it stands beside another on a screen.

    Raises
    ------
    InputError
        If `comparisons` has no such row.
    """
    rows = comparison_rows(comparisons, metric.final, depth, strategy, budget, reference)
    means = rows["dataset"].isin(PANELS)
    rows = pd.concat([rows[~means].sort_values("difference", ascending=False, kind="stable"), rows[means]])
    seeds = paired_differences(runs, depth, strategy, reference, metric)
    # `runs` knows the accuracy at a run's end only, which is not what is compared where one strategy trains longer
    if not np.isclose(rows[["read_reference", "read_strategy"]].fillna(1), 1).all():
        seeds = seeds.iloc[:0]
    with style():
        height = 1.05 + np.clip(4.8 / len(rows), 0.155, 0.3) * len(rows)
        figure = Figure(figsize=(3.4 if narrow else 5.2, height), layout="constrained")
        axes = figure.subplots()
        axes.axvspan(-100 * margin, 100 * margin, color="0.9", linewidth=0, zorder=0)
        axes.axvline(0, color="#999999", linewidth=1.2)
        for position, row in enumerate(rows.itertuples()):
            overall = row.dataset in PANELS
            color = "black" if overall else COLORS[0]
            _draw_seeds(axes, position, seeds.loc[seeds["dataset"] == row.dataset, "difference"])
            axes.plot([100 * row.low, 100 * row.high], [position, position], color=color, linewidth=1.8)
            axes.plot(100 * row.difference, position, "D" if overall else "o", color=color, markersize=4.5)
        axes.axhline(len(rows) - 0.5 - means.sum(), color=GREY, linewidth=0.8)
        axes.set_yticks(range(len(rows)), [row_label(name) for name in rows["dataset"]], fontsize=_SMALL)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.tick_params(axis="x", labelsize=_SMALL)
        small = "" if seeds.empty else " Small: seeds."
        band = f" Band: ±{margin_in_words(margin, metric, short=True)}." if margin else ""
        lines = [f"Final test {metric.words} ({_points(metric)}),", _minus(metric, strategy, reference)]
        lines.append(f"Dot: mean over seeds. Bar: its 95 % interval.{small}{band}")
        figure.supxlabel("\n".join(textwrap.fill(line, 52) for line in lines), fontsize=_SMALL)
        _numbers_at_the_right(axes, rows, intervals=not narrow)
        _arrows(axes)
    return figure


def _arrows(axes: Axes) -> None:
    """Say above the axes on which side of zero the strategy is worse and on which it is better."""
    place: dict[str, Any] = {
        "xycoords": ("data", "axes fraction"),
        "textcoords": "offset points",
        "fontsize": _SMALL,
        "color": GREY,
    }
    axes.annotate("← worse", (0, 1), (-5, 3), ha="right", va="bottom", **place)
    axes.annotate("better →", (0, 1), (5, 3), ha="left", va="bottom", **place)


def _points(metric: Metric) -> str:
    return "percentage points" if metric.scale == 100 else metric.units


def _minus(metric: Metric, strategy: str, reference: str) -> str:
    return f"{reference} minus {strategy}" if metric.lower_is_better else f"{strategy} minus {reference}"


def _draw_seeds(axes: Axes, position: int, differences: pd.Series) -> None:
    """Draw each seed's difference, a share, as a dot below a row."""
    values = 100 * differences.sort_values().to_numpy()
    # equal differences lie side by side, not on each other
    offset = 0.09 * pd.Series(values).groupby(values.round(6)).cumcount().to_numpy()
    axes.scatter(values, position + 0.12 + np.minimum(offset, 0.36), s=6, color=GREY, alpha=0.7, linewidth=0, zorder=3)


def _numbers_at_the_right(axes: Axes, rows: pd.DataFrame, intervals: bool) -> None:
    """Write each row's difference beside it, and its interval where there is room."""
    # two decimals of ten points and more say nothing
    places = 1 if rows[["difference", "low", "high"]].abs().max(axis=None) >= 0.1 else 2
    numbers = [
        "no pair"
        if np.isnan(row.difference)
        else signed_points(row.difference, places) + (_ends_in_brackets(row, places) if intervals else "")
        for row in rows.itertuples()
    ]
    right = axes.twinx()
    right.set_ylim(axes.get_ylim())
    right.set_yticks(range(len(rows)), numbers, fontsize=_SMALL)
    right.tick_params(length=0)
    right.grid(False)
    right.spines[:].set_visible(False)


def _ends_in_brackets(row: Any, places: int) -> str:
    return "" if np.isnan(row.low) else f" [{signed_points(row.low, places)}, {signed_points(row.high, places)}]"


def budgets_figure(
    comparisons: pd.DataFrame, depth: int, margin: float, metric: Metric = METRICS["accuracy"]
) -> Figure:
    """Draw each strategy against standard training at each equal budget, over all data sets.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        The table comparisons; drawn are its rows 'all' of the final test accuracy under the
        primary recipe.
    depth : int
    margin : float
        Half width of the band in which a difference counts as none, a share.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per budget, one row per strategy.

    Raises
    ------
    InputError
        If `comparisons` has no such row.
    """
    rows = _at_each_budget(comparisons, metric)
    rows = rows[(rows["depth"] == depth) & (rows["dataset"] == "all")]
    if rows.empty:
        raise InputError(f"comparisons: no row 'all' of final_test_accuracy against standard at depth {depth}")
    note = f"Bar: 95 % bootstrap interval. Band: ±{margin_in_words(margin, metric, short=True)}, which count as equal."
    return _budget_panels(rows, depth, margin, {("low", "high"): 2}, note, metric)


def across_figure(across: pd.DataFrame, depth: int, margin: float, metric: Metric = METRICS["accuracy"]) -> Figure:
    """Draw each strategy against standard training at each equal budget, on data sets like these.

    Parameters
    ----------
    across : pandas.DataFrame
        The table across_datasets; drawn are its rows under the primary recipe.
    depth : int
    margin : float
        Half width of the band in which a difference counts as none, a share.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per budget, one row per strategy.

    Raises
    ------
    InputError
        If `across` has no such row.
    """
    rows = _at_each_budget(across, metric)
    rows = rows[rows["depth"] == depth].rename(columns={"mean": "difference"})
    if rows.empty:
        raise InputError(f"across_datasets: no row against standard at depth {depth}")
    bars = {("low", "high"): 1, ("cluster_low", "cluster_high"): 3.2}
    band = f"Band: ±{margin_in_words(margin, metric, short=True)}."
    note = f"On data sets like these: thin bar: 95 % t interval, thick: cluster bootstrap. {band}"
    return _budget_panels(rows, depth, margin, bars, note, metric)


def _at_each_budget(table: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Return the rows of the final test accuracy against standard training, budget by budget."""
    return pd.concat(compared_rows(table, metric.final, budget, "standard", PRIMARY_RECIPE) for budget in EQUAL_BUDGETS)


def _budget_panels(
    rows: pd.DataFrame, depth: int, margin: float, bars: dict[tuple[str, str], float], note: str, metric: Metric
) -> Figure:
    """Draw differences from standard training; `bars` gives the columns of each interval its width of line."""
    labels = list(rows["strategy"].unique())
    furthest = 100 * rows[["difference", *itertools.chain(*bars)]].abs().max(axis=None)
    with style():
        titles = [textwrap.fill(f"At {budget.words}", 19) for budget in EQUAL_BUDGETS.values()]
        lines = 1 + max(title.count("\n") for title in titles)
        figure = Figure(figsize=(10, 1.1 + 0.2 * lines + 0.3 * len(labels)), layout="constrained")
        axes = figure.subplots(1, len(EQUAL_BUDGETS), sharex=True, sharey=True)
        for panel, budget, title in zip(axes, EQUAL_BUDGETS, titles, strict=True):
            panel.axvspan(-100 * margin, 100 * margin, color="0.92", linewidth=0, zorder=0)
            panel.axvline(0, color="black", linewidth=1)
            cells = rows[rows["budget"] == budget]
            positions = [labels.index(label) for label in cells["strategy"]]
            for (low, high), width in bars.items():
                panel.hlines(positions, 100 * cells[low], 100 * cells[high], color=COLORS[0], linewidth=width)
            panel.plot(100 * cells["difference"], positions, "o", color=COLORS[0], markersize=5.5)
            panel.set_title(title)
        stretched = _difference_axis(axes[0], furthest, 100 * margin)
        axes[0].set_yticks(range(len(labels)), labels)
        axes[0].set_ylim(len(labels) - 0.5, -0.5)
        figure.supxlabel(
            f"Final test {metric.words} at depth {depth}, {_minus(metric, 'strategy', 'standard')}, mean of all data "
            f"sets ({_points(metric)}"
            f"{'; logarithmic beyond the band' if stretched else ''})\n{note}",
            fontsize="small",
        )
    return figure


def _difference_axis(axes: Axes, furthest: float, inside: float) -> bool:
    """Make the axis of differences logarithmic beyond `inside` where some are much larger; return whether it is."""
    # one strategy that hardly learns would squeeze all others into a point
    stretched = bool(furthest > 15 * inside)
    if stretched:
        ticks = inside * 10.0 ** np.arange(1 + np.ceil(np.log10(furthest / inside)))
        axes.set_xscale("symlog", linthresh=inside, linscale=0.8)
        axes.xaxis.set_major_locator(FixedLocator([*-ticks[::-1], 0, *ticks]))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        few_ticks(axes.xaxis)
    return stretched
