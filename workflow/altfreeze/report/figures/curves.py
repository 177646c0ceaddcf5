"""Figures of the course of training: learning curves, and how many runs have reached a target by when."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from altfreeze.report.figures.style import (
    LABELS,
    add_legend,
    few_ticks,
    handles_of,
    label_clock,
    label_plainly,
    looks_of,
    style,
)
from altfreeze.statistics.paired import CONFIDENCE
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.support.errors import InputError
from altfreeze.vocabulary import METRICS

_SCALES = {name: each.scale for each in METRICS.values() for name in (each.validation, each.test)}
# of a panel's lines of seeds, so that a page of many strategies stays small
SEED_LINES = 10
_SEED_POINTS = 25
# a float32 loss can be zero, which has no logarithm
SMALLEST_LOSS = 1e-9


def mean_interval(values: pd.DataFrame) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Return the mean of each row and its 95 % t interval.

    Parameters
    ----------
    values : pandas.DataFrame, shape (positions, seeds)
        Missing where a seed has no value.

    Returns
    -------
    mean, low, high : pandas.Series, shape (positions,)
        The ends are NaN where fewer than two seeds have a value.
    """
    count = values.count(axis=1)
    mean = values.mean(axis=1)
    half = stats.t.ppf((1 + CONFIDENCE) / 2, (count - 1).where(count > 1)) * values.std(axis=1) / np.sqrt(count)
    return mean, mean - half, mean + half


def learning_curves(
    epochs: pd.DataFrame,
    dataset: str,
    depth: int,
    metrics: Sequence[str] = ("train_loss", "validation_accuracy"),
    clocks: Sequence[str] = ("epoch", "flops"),
    strategies: Collection[str] | None = None,
    seed_lines: int = SEED_LINES,
) -> Figure:
    """Draw the course of training on one data set at one depth, one column of axes per clock.

    Thin lines are seeds, the first ones and each at 25 of its epochs at most; the bold
    line is the mean of all, the band the 95 % t interval of that mean. Losses are drawn on
    a logarithmic axis, with mean and interval of their logarithms (a geometric mean).

    Parameters
    ----------
    epochs : pandas.DataFrame
        The table epochs, of one recipe.
    dataset : str
    depth : int
    metrics : sequence of str
        Columns of `epochs`, one row of axes each.
    clocks : sequence of {'epoch', 'updates_mean', 'flops', 'reference_seconds'}
        The horizontal axes, by their columns.
    strategies : collection of str, optional
        Labels of those to draw; all look as they do in a figure of all strategies.
    seed_lines : int
        How many seeds to draw.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the table has no row of the data set at this depth.
    """
    rows = epochs[(epochs["dataset"] == dataset) & (epochs["depth"] == depth)]
    if rows.empty:
        raise InputError(f"epochs: no row of data set {dataset!r} at depth {depth}")
    looks = looks_of(rows, strategies)
    with style():
        figure = Figure(figsize=(max(4 * len(clocks), 6), 2.5 * len(metrics) + 0.9), layout="constrained")
        axes = figure.subplots(len(metrics), len(clocks), sharex="col", sharey="row", squeeze=False)
        for panels, metric in zip(axes, metrics, strict=True):
            for panel, clock in zip(panels, clocks, strict=True):
                _draw_curves(panel, rows, metric, clock, looks, seed_lines)
            _label_metric(panels, metric, rows[rows["strategy"].isin(looks)])
        for panel, clock in zip(axes[-1], clocks, strict=True):
            label_clock(figure, [panel], clock, below=panel)
        words = "Bold: mean over seeds (of a loss: geometric). Band: its 95 % t interval."
        if seed_lines:
            words += " Thin: seeds"
            words += f", the first {seed_lines}" if rows["seed"].nunique() > seed_lines else ""
            words += f", at {_SEED_POINTS} epochs each" if rows["epoch"].nunique() > _SEED_POINTS else ""
            words += "."
        if not all(metric.endswith("loss") for metric in metrics):
            words += "\nAn axis of accuracies begins at the lowest mean of the last three quarters of training."
        add_legend(figure, handles_of(looks), words)
    return figure


def _label_metric(panels: np.ndarray, metric: str, rows: pd.DataFrame) -> None:
    """Name the vertical axis of a row of panels, and give it limits that its metric can take and that show `rows`."""
    first = panels[0]
    first.set_ylabel(LABELS[metric])
    ended = np.isfinite(rows[metric]).any()
    if not ended:
        # all diverged: a logarithmic axis has no limits of its own
        first.set_ylim(0.1, 1)
        for panel in panels:
            panel.text(0.5, 0.5, "every run diverged", ha="center", va="center", transform=panel.transAxes)
    low, high = first.get_ylim()
    if metric.endswith("loss"):
        label_plainly(first.yaxis, (low, high))
    else:
        # an interval can reach beyond what an accuracy can be, and the first epochs far below where curves differ
        high = min(high, 102)
        late = rows[rows["epoch"] >= rows.groupby("strategy", observed=True)["epoch"].transform("max") / 4]
        lowest = late.groupby(["strategy", "epoch"], observed=True)[metric].mean().min() * _SCALES.get(metric, 1)
        first.set_ylim(max(low, -2, lowest - (high - lowest) / 20) if ended else max(low, -2), high)


def _draw_curves(
    axes: Axes, rows: pd.DataFrame, metric: str, x: str, looks: dict[str, dict[str, Any]], seed_lines: int
) -> None:
    """Draw one metric of each strategy on one clock: some seeds, mean and interval."""
    logarithmic = metric.endswith("loss")
    for label, look in looks.items():
        cell = rows[rows["strategy"] == label]
        if cell.empty:
            continue
        values = cell.pivot(index="epoch", columns="seed", values=metric) * _SCALES.get(metric, 1)
        # all seeds of a cell keep the same time on every clock
        position = values.index if x == "epoch" else cell.groupby("epoch")[x].first()
        if logarithmic:
            values = values.clip(lower=SMALLEST_LOSS)
            mean, low, high = map(np.exp, mean_interval(np.log(values)))
        else:
            mean, low, high = mean_interval(values)
        few = np.linspace(0, len(values) - 1, min(len(values), _SEED_POINTS)).round().astype(int)
        seeds = values.iloc[few, :seed_lines].to_numpy()
        times = np.broadcast_to(np.asarray(position, dtype=float)[few, None], seeds.shape)
        # one path of all lines, with a gap after each
        lines = [np.pad(part, ((0, 1), (0, 0)), constant_values=np.nan).ravel("F") for part in (times, seeds)]
        axes.plot(*lines, color=look["color"], linewidth=0.4, alpha=0.25)
        axes.fill_between(position, low, high, color=look["color"], alpha=0.18, linewidth=0)
        axes.plot(position, mean, linewidth=2, **look)
    axes.grid(True)
    axes.set_xlim(left=0)
    if logarithmic:
        axes.set_yscale("log")
    few_ticks(axes.xaxis)


def reached_figure(
    times: pd.DataFrame, dataset: str, depth: int, clock: str = "epoch", strategies: Collection[str] | None = None
) -> Figure:
    """Draw which share of the runs has reached the target at each time.

    Parameters
    ----------
    times : pandas.DataFrame
        The table times_to_target.
    dataset : str
    depth : int
    clock : {'epoch', 'updates', 'flops', 'seconds'}
        The horizontal axis.
    strategies : collection of str, optional
        Labels of those to draw; all look as they do in a figure of all strategies.

    Returns
    -------
    matplotlib.figure.Figure
        One panel per level, one line per strategy, which ends where its training did or all
        runs have reached the target; under the primary recipe.

    Raises
    ------
    InputError
        If `times` has no such row.
    """
    rows = times[(times["dataset"] == dataset) & (times["depth"] == depth) & (times["recipe"] == PRIMARY_RECIPE)]
    if rows.empty:
        raise InputError(f"times_to_target: no row of data set {dataset!r} at depth {depth}")
    levels, looks = sorted(rows["level"].unique()), looks_of(rows, strategies)
    with style():
        figure = Figure(figsize=(max(2.7 * len(levels), 6), 3.6), layout="constrained")
        axes = figure.subplots(1, len(levels), sharex=True, sharey=True, squeeze=False)[0]
        for panel, level in zip(axes, levels, strict=True):
            for label, look in looks.items():
                runs = rows[(rows["level"] == level) & (rows["strategy"] == label)]
                reached = np.sort(runs.loc[runs["reached"] == 1, clock])
                share = 100 * np.arange(len(reached) + 1) / max(len(runs), 1)
                ends = [0, *reached, runs[clock].max()]
                panel.plot(ends, [*share, share[-1]], drawstyle="steps-post", linewidth=1.8, **look)
            panel.set_title(f"{100 * level:g} % of the way")
            panel.grid(True)
            few_ticks(panel.xaxis)
        axes[0].set_xlim(left=0)
        axes[0].set_ylim(-4, 104)
        axes[0].set_ylabel("Runs at the target (%)")
        label_clock(figure, axes, clock)
        add_legend(figure, handles_of(looks), "Target: so far on the way from chance to where standard training ends.")
    return figure
