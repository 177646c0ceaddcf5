"""Figures of a study's tables."""

import html
import io
import itertools
import re

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import ListedColormap, LogNorm, Normalize, SymLogNorm, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, FixedLocator, LogLocator, MaxNLocator, NullFormatter, NullLocator
from scipy import stats

from altfreeze.support.errors import InputError

CONFIDENCE = 0.95
LABELS = {
    "train_loss": "Training loss (nat)",
    "validation_loss": "Validation loss (nat)",
    "validation_accuracy": "Validation accuracy (%)",
    "test_accuracy": "Test accuracy (%)",
    "final_test_accuracy": "final test accuracy",
    "best_test_accuracy": "test accuracy at the epoch chosen on validation",
    "epoch": "Epochs",
    "updates_mean": "Updates per parameter",
    "flops": "Operations (FLOPs; k: 10³, M: 10⁶, G: 10⁹, T: 10¹²)",
    "reference_seconds": "Reference seconds: seconds of one run trained alone",
}
# the same clocks in the table times_to_target
LABELS |= {"updates": LABELS["updates_mean"], "seconds": LABELS["reference_seconds"]}
BUDGETS = {
    "epochs": "equal epochs",
    "updates": "equal updates",
    "flops": "equal operations",
    "seconds": "equal seconds",
}
_SCALES = {"validation_accuracy": 100, "test_accuracy": 100}
_DASHES = ["--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
# seaborn's colour-blind safe palette, with one dark brown for its faint colours and its second orange
_COLORS = [color for place, color in enumerate(sns.color_palette("colorblind").as_hex()) if place not in (5, 6, 8)]
_COLORS.append("#7f3b08")
_MARKERS = "osD^v"
_STEPS = [1, 2, 5, 10]
# of a panel's seed lines, so that a page of many strategies stays small
_SEED_LINES = 10
_SEED_POINTS = 25
_GREY = "#555555"
_LIGHT_GREY = "#d4d4d4"
_FALSE_ALARM = _COLORS[3]
# of the components of variance: what pairing removes is grey
_SHARES = ["#bdbdbd", _COLORS[0], _COLORS[2], "#737373", _COLORS[1]]
# a change in accuracy or a share below this is rounding: logs hold nine digits
_DIGITS = 6
# a float32 loss or norm can be zero, which has no logarithm
_SMALLEST_LOSS = 1e-9
_SMALLEST_NORM = 1e-12


def style():
    """Return a context manager with the look that all figures share.

    Returns
    -------
    context manager
        While it holds, matplotlib writes SVG with real text and with the same ids each time.
    """
    return matplotlib.rc_context(
        {
            **sns.axes_style("whitegrid"),
            **sns.plotting_context("notebook", font_scale=0.9),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.grid.axis": "x",
            "figure.facecolor": "white",
            "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica", "sans-serif"],
            "svg.fonttype": "none",
            "svg.hashsalt": "altfreeze",
            # the name of a data set is text, whatever it holds
            "text.parse_math": False,
        }
    )


def palette(strategies):
    """Return a look for each strategy: black for standard training, colour-blind safe colours for the others.

    Up to 32 looks differ; strategies of one colour differ in their dashes and markers.

    Parameters
    ----------
    strategies : iterable of str
        Labels of strategies.

    Returns
    -------
    dict of str to dict
        Keyword arguments of `matplotlib.axes.Axes.plot`: ``color`` and ``linestyle``.
    """
    looks = {"standard": {"color": "black", "linestyle": "-"}}
    for position, label in enumerate(label for label in strategies if label != "standard"):
        cycle, place = divmod(position, len(_COLORS))
        looks[label] = {"color": _COLORS[place], "linestyle": _DASHES[(place + cycle) % len(_DASHES)]}
    return looks


def signed_points(share, places=2):
    """Return a share as percentage points with its sign; what rounds to zero has none.

    Parameters
    ----------
    share : float
    places : int
        Decimals.

    Returns
    -------
    str
        With a real minus, for example ``−1.25`` for -0.0125.
    """
    text = f"{100 * round(share, _DIGITS):+.{places}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def figure_svg(figure, title):
    """Return a figure as an SVG element, the same text each time.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    title : str
        What the figure shows, for readers who do not see it.

    Returns
    -------
    str
        From ``<svg`` on, without XML declaration and document type, so that it can stand in HTML.
    """
    buffer = io.StringIO()
    with style():
        # the resolution is that of heat maps, all else is vectors
        figure.savefig(buffer, format="svg", dpi=200, metadata=dict.fromkeys(["Date", "Creator", "Format", "Type"]))
    text = buffer.getvalue()
    text = re.sub(r'\bd="[^"]*"', _shorter, text[text.index("<svg") :])
    return text.replace(">", f' role="img">\n <title>{html.escape(title)}</title>', 1)


def _shorter(path):
    """Return a path of lines in tenths of a point, less than a pixel, without the letter of each line."""
    # after a curve, points without a letter would be another curve's
    if re.search("[CQ]", path[0]):
        return path[0]
    return re.sub(r"(\.\d)\d+", r"\1", path[0]).replace(" \nL ", " ")


def show(figure, title):
    """Show a figure in a notebook as SVG with an alternative text.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    title : str
        What the figure shows, for readers who do not see it.
    """
    from IPython.display import display

    data = {"image/svg+xml": figure_svg(figure, title), "text/plain": title}
    display(data, metadata={"image/svg+xml": {"alt": title}}, raw=True)


def mean_interval(values):
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


def learning_curves(epochs, dataset, metrics=("train_loss", "validation_accuracy"), x="epoch", strategies=None):
    """Draw the course of training on one data set, one column of axes per depth.

    Thin lines are seeds, the first ten of them and each at 25 of its epochs at most; the bold
    line is the mean of all, the band the 95 % t interval of that mean. Losses are drawn on
    a logarithmic axis, with mean and interval of their logarithms (a geometric mean).

    Parameters
    ----------
    epochs : pandas.DataFrame
        The table epochs, at one kind of learning rates.
    dataset : str
    metrics : sequence of str
        Columns of `epochs`, one row of axes each.
    x : {'epoch', 'updates_mean', 'flops', 'reference_seconds'}
        The clock of the horizontal axis.
    strategies : collection of str, optional
        Labels of those to draw; all look as they do in a figure of all strategies.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the table has no row of the data set.
    """
    chosen = epochs[epochs["dataset"] == dataset]
    if chosen.empty:
        raise InputError(f"epochs: no row of data set {dataset!r}")
    depths = sorted(chosen["depth"].unique())
    looks = _looks(chosen, strategies)
    with style():
        figure = Figure(figsize=(max(2.9 * len(depths), 6), 2.5 * len(metrics) + 0.9), layout="constrained")
        axes = figure.subplots(len(metrics), len(depths), sharex="col", sharey="row", squeeze=False)
        for row, metric in enumerate(metrics):
            for column, depth in enumerate(depths):
                _draw_curves(axes[row, column], chosen[chosen["depth"] == depth], metric, x, looks)
            axes[row, 0].set_ylabel(LABELS[metric])
            if not np.isfinite(chosen.loc[chosen["strategy"].isin(looks), metric]).any():
                # all diverged: a logarithmic axis has no limits of its own
                axes[row, 0].set_ylim(0.1, 1)
                for panel in axes[row]:
                    panel.text(0.5, 0.5, "every run diverged", ha="center", va="center", transform=panel.transAxes)
            low, high = axes[row, 0].get_ylim()
            if metric.endswith("loss"):
                _label_plainly(axes[row, 0].yaxis, (low, high))
            else:
                # an interval can reach beyond what an accuracy can be
                axes[row, 0].set_ylim(max(low, -2), min(high, 102))
        for column, depth in enumerate(depths):
            axes[0, column].set_title(f"Depth {depth}")
        figure.supxlabel(LABELS[x], fontsize="medium")
        handles = [Line2D([], [], label=label, linewidth=2, **look) for label, look in looks.items()]
        words = "Bold: mean over seeds (of a loss: geometric). Band: its 95 % t interval. Thin: seeds"
        words += f", the first {_SEED_LINES}" if chosen["seed"].nunique() > _SEED_LINES else ""
        words += f", at {_SEED_POINTS} epochs each" if chosen["epoch"].nunique() > _SEED_POINTS else ""
        _legend(figure, handles, f"{words}.")
    return figure


def _looks(rows, strategies):
    """Return the looks of the strategies to draw, which do not depend on which of them are drawn."""
    present = rows["strategy"].unique()
    drawn = present if strategies is None else [label for label in present if label in set(strategies)]
    return {label: look for label, look in palette(present).items() if label in drawn}


def _legend(figure, handles, title):
    """Place a legend above a figure's axes, in as many columns as fit its width."""
    width = 0.7 + 0.07 * max(len(handle.get_label()) for handle in handles)
    figure.legend(
        handles=handles,
        loc="outside upper center",
        ncols=max(1, min(len(handles), int(figure.get_figwidth() / width))),
        frameon=False,
        title=title,
        title_fontsize="small",
        fontsize="small",
        handlelength=2.6,
    )


def _label_plainly(axis, limits):
    """Label a logarithmic axis without the notation of mathematics, and with 2 and 5 where there is room."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if limits[1] < 100 * limits[0] else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def _draw_curves(axes, rows, metric, x, looks):
    logarithmic = metric.endswith("loss")
    for label, look in looks.items():
        cell = rows[rows["strategy"] == label]
        if cell.empty:
            continue
        values = cell.pivot(index="epoch", columns="seed", values=metric) * _SCALES.get(metric, 1)
        # all seeds of a cell keep the same time on every clock
        position = values.index if x == "epoch" else cell.groupby("epoch")[x].first()
        if logarithmic:
            values = values.clip(lower=_SMALLEST_LOSS)
            mean, low, high = map(np.exp, mean_interval(np.log(values)))
        else:
            mean, low, high = mean_interval(values)
        few = np.linspace(0, len(values) - 1, min(len(values), _SEED_POINTS)).round().astype(int)
        seeds = values.iloc[few, :_SEED_LINES].to_numpy()
        # one path of all lines, with a gap after each
        lines = [
            np.pad(each, ((0, 1), (0, 0)), constant_values=np.nan).ravel("F")
            for each in (np.broadcast_to(np.asarray(position, dtype=float)[few, None], seeds.shape), seeds)
        ]
        axes.plot(*lines, color=look["color"], linewidth=0.4, alpha=0.25)
        axes.fill_between(position, low, high, color=look["color"], alpha=0.18, linewidth=0)
        axes.plot(position, mean, linewidth=2, **look)
    axes.grid(True)
    axes.set_xlim(left=0)
    if logarithmic:
        axes.set_yscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=_STEPS))
    if x == "flops":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))


def paired_differences(runs, depth, strategy, reference="standard", metric="final_test_accuracy"):
    """Return one row per pair of runs of which both ended.

    Parameters
    ----------
    runs : pandas.DataFrame
        The table runs.
    depth : int
    strategy, reference : str
        Labels of the strategy and of what it is compared with.
    metric : str
        A column of `runs`.

    Returns
    -------
    pandas.DataFrame
        ``dataset``, ``seed`` and ``difference``, the strategy minus its reference, each
        as it is in `runs`; at the configured learning rates.
    """
    ended = runs[(runs["depth"] == depth) & (runs["status"] == "ok") & (runs["recipe"] == "configured")]
    ended = ended.set_index(["dataset", "seed"])
    other = ended.loc[ended["strategy"] == strategy, metric]
    other_side = ended.loc[ended["strategy"] == reference, metric]
    return (other - other_side).dropna().rename("difference").reset_index()


def main_figure(runs, comparisons, depth, strategy, reference="standard", budget="epochs"):
    """Draw one comparison: one row per data set, and their mean.

    Parameters
    ----------
    runs, comparisons : pandas.DataFrame
        The tables of these names.
    depth : int
    strategy, reference, budget : str
        As in the table comparisons.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If `comparisons` has no such row.
    """
    rows = comparison_rows(comparisons, "final_test_accuracy", depth, strategy, budget, reference)
    seeds = paired_differences(runs, depth, strategy, reference)
    # `runs` knows the accuracy at a run's end only, which is not what is compared where one strategy trains longer
    if not np.isclose(rows[["read_reference", "read_strategy"]].fillna(1), 1).all():
        seeds = seeds.iloc[:0]
    with style():
        figure = Figure(figsize=(6.6, 1.4 + 0.36 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color="#999999", linewidth=1.2)
        for position, row in enumerate(rows.itertuples()):
            overall = row.dataset == "all"
            color = "black" if overall else _COLORS[0]
            values = 100 * seeds.loc[seeds["dataset"] == row.dataset, "difference"].sort_values().to_numpy()
            # equal differences lie side by side, not on each other
            offset = 0.09 * pd.Series(values).groupby(values.round(6)).cumcount().to_numpy()
            axes.scatter(
                values, position + 0.12 + np.minimum(offset, 0.36), s=9, color=_GREY, alpha=0.7, linewidth=0, zorder=3
            )
            axes.plot([100 * row.low, 100 * row.high], [position, position], color=color, linewidth=2.4)
            axes.plot(
                100 * row.difference, position, "D" if overall else "o", color=color, markersize=5.5 if overall else 7
            )
        axes.axhline(len(rows) - 1.5, color=_GREY, linewidth=0.8)
        axes.set_yticks(range(len(rows)), [_row_label(name) for name in rows["dataset"]])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(f"Final test accuracy (percentage points),\n{strategy} minus {reference}")
        small = "" if seeds.empty else " Small dots: seeds."
        figure.supxlabel(f"Dot: mean over seeds. Bar: 95 % paired bootstrap interval.{small}", fontsize="small")
        _numbers_at_the_right(axes, rows)
    return figure


def comparison_rows(comparisons, metric, depth, strategy, budget="epochs", reference="standard", recipe="configured"):
    """Return the rows of one comparison, one per data set and their mean last.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        The table comparisons.
    metric, depth, strategy, budget, reference, recipe : str, int, str, str, str, str
        The values of these columns.

    Returns
    -------
    pandas.DataFrame

    Raises
    ------
    InputError
        If there is none.
    """
    rows = _compared(comparisons, metric, budget, reference, recipe)
    rows = rows[(rows["depth"] == depth) & (rows["strategy"] == strategy)]
    if rows.empty:
        raise InputError(
            f"comparisons: no row of {metric} of {strategy} against {reference} at depth {depth}, "
            f"budget {budget} and recipe {recipe}"
        )
    return rows


def _compared(comparisons, metric, budget, reference, recipe):
    chosen = {"metric": metric, "budget": budget, "reference": reference, "recipe": recipe}
    return comparisons[(comparisons[list(chosen)] == list(chosen.values())).all(axis=1)]


def _row_label(name):
    if name == "all":
        return "mean of all"
    return name if len(name) <= 24 else name[:23] + "…"


def _numbers_at_the_right(axes, rows):
    numbers = [
        "no pair" if np.isnan(row.difference) else signed_points(row.difference) + _ends(row)
        for row in rows.itertuples()
    ]
    right = axes.twinx()
    right.set_ylim(axes.get_ylim())
    right.set_yticks(range(len(rows)), numbers, fontsize="small")
    right.tick_params(length=0)
    right.grid(False)
    right.spines[:].set_visible(False)


def _ends(row):
    return "" if np.isnan(row.low) else f" [{signed_points(row.low)}, {signed_points(row.high)}]"


def grid_figure(comparisons, metric="final_test_accuracy", budget="epochs", reference="standard", recipe="configured"):
    """Draw all comparisons of one metric: a column of axes per depth, a row per data set, a colour per strategy.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        The table comparisons.
    metric : {'final_test_accuracy', 'best_test_accuracy'}
    budget, reference, recipe : str
        The values of these columns; 'best_test_accuracy' has the budget 'own' alone.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If `comparisons` has no such row.
    """
    rows = _compared(comparisons, metric, budget, reference, recipe)
    if rows.empty:
        raise InputError(f"comparisons: no row of {metric} against {reference}, budget {budget} and recipe {recipe}")
    names, depths, labels = rows["dataset"].unique(), sorted(rows["depth"].unique()), rows["strategy"].unique()
    looks = palette(labels)
    markers = {label: _MARKERS[position // len(_COLORS)] for position, label in enumerate(labels)}
    offsets = dict(zip(labels, np.linspace(-0.36, 0.36, len(labels)) if len(labels) > 1 else [0.0], strict=True))
    with style():
        height = 1.7 + max(0.42, 0.11 * len(labels)) * len(names)
        figure = Figure(figsize=(max(2.9 * len(depths), 6), height), layout="constrained")
        axes = figure.subplots(1, len(depths), sharey=True, sharex=True, squeeze=False)[0]
        for panel, depth in zip(axes, depths, strict=True):
            for position in range(1, len(names), 2):
                panel.axhspan(position - 0.5, position + 0.5, color="0.95", linewidth=0, zorder=0)
            panel.axvline(0, color="black", linewidth=1)
            panel.axhline(len(names) - 1.5, color=_GREY, linewidth=0.8)
            for row in rows[rows["depth"] == depth].itertuples():
                position = list(names).index(row.dataset) + offsets[row.strategy]
                color, marker = looks[row.strategy]["color"], markers[row.strategy]
                panel.plot([100 * row.low, 100 * row.high], [position, position], color=color, linewidth=2)
                panel.plot(100 * row.difference, position, marker, color=color, markersize=4.5)
            panel.set_title(f"Depth {depth}")
        axes[0].set_yticks(range(len(names)), [_row_label(name) for name in names])
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        stretched = _difference_axis(axes[0], 100 * rows[["difference", "low", "high"]].abs().max(axis=None), 1)
        beyond = "; logarithmic beyond ±1" if stretched else ""
        figure.supxlabel(f"Difference in {LABELS[metric]} (percentage points{beyond})", fontsize="medium")
        handles = [
            Line2D([], [], marker=markers[label], markersize=4.5, linewidth=2, color=looks[label]["color"], label=label)
            for label in labels
        ]
        _legend(figure, handles, f"Dot: mean paired difference from {reference}. Bar: its 95 % bootstrap interval.")
    return figure


def budgets_figure(comparisons, depth, margin):
    """Draw each strategy against standard training at each equal budget, over all data sets.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        The table comparisons; drawn are its rows 'all' of the final test accuracy at the
        configured learning rates.
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
    of_budget = {
        budget: _compared(comparisons, "final_test_accuracy", budget, "standard", "configured") for budget in BUDGETS
    }
    rows = pd.concat(of_budget.values())
    rows = rows[(rows["depth"] == depth) & (rows["dataset"] == "all")]
    if rows.empty:
        raise InputError(f"comparisons: no row 'all' of final_test_accuracy against standard at depth {depth}")
    note = f"Bar: 95 % bootstrap interval. Band: ±{_points(margin)}, which count as equal."
    return _budget_panels(rows, depth, margin, {("low", "high"): 2}, note)


def _budget_panels(rows, depth, margin, bars, note):
    """Draw differences from standard training; `bars` gives the columns of each interval its width of line."""
    labels = list(rows["strategy"].unique())
    furthest = 100 * rows[["difference", *itertools.chain(*bars)]].abs().max(axis=None)
    with style():
        figure = Figure(figsize=(10, 1.3 + 0.3 * len(labels)), layout="constrained")
        axes = figure.subplots(1, len(BUDGETS), sharex=True, sharey=True)
        for panel, (budget, title) in zip(axes, BUDGETS.items(), strict=True):
            panel.axvspan(-100 * margin, 100 * margin, color="0.92", linewidth=0, zorder=0)
            panel.axvline(0, color="black", linewidth=1)
            cells = rows[rows["budget"] == budget]
            positions = [labels.index(label) for label in cells["strategy"]]
            for (low, high), width in bars.items():
                panel.hlines(positions, 100 * cells[low], 100 * cells[high], color=_COLORS[0], linewidth=width)
            panel.plot(100 * cells["difference"], positions, "o", color=_COLORS[0], markersize=5.5)
            panel.set_title(f"At {title}")
        stretched = _difference_axis(axes[0], furthest, 100 * margin)
        axes[0].set_yticks(range(len(labels)), labels)
        axes[0].set_ylim(len(labels) - 0.5, -0.5)
        figure.supxlabel(
            f"Final test accuracy at depth {depth}, strategy minus standard, mean of all data sets (percentage points"
            f"{'; logarithmic beyond the band' if stretched else ''})\n{note}",
            fontsize="small",
        )
    return figure


def across_figure(across, depth, margin):
    """Draw each strategy against standard training at each equal budget, on data sets like these.

    Parameters
    ----------
    across : pandas.DataFrame
        The table across_datasets; drawn are its rows at the configured learning rates.
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
    rows = pd.concat(_compared(across, "final_test_accuracy", budget, "standard", "configured") for budget in BUDGETS)
    rows = rows[rows["depth"] == depth].rename(columns={"mean": "difference"})
    if rows.empty:
        raise InputError(f"across_datasets: no row against standard at depth {depth}")
    bars = {("low", "high"): 1, ("cluster_low", "cluster_high"): 3.2}
    note = f"On data sets like these: thin bar: 95 % t interval, thick: cluster bootstrap. Band: ±{_points(margin)}."
    return _budget_panels(rows, depth, margin, bars, note)


def _difference_axis(axes, furthest, inside):
    """Make the axis of differences logarithmic beyond `inside` where some are much larger; return whether it is."""
    # one strategy that hardly learns would squeeze all others into a point
    stretched = furthest > 15 * inside
    if stretched:
        ticks = inside * 10.0 ** np.arange(1 + np.ceil(np.log10(furthest / inside)))
        axes.set_xscale("symlog", linthresh=inside, linscale=0.8)
        axes.xaxis.set_major_locator(FixedLocator([*-ticks[::-1], 0, *ticks]))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=_STEPS))
    return stretched


def speedup_figure(speedups):
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
            for (label,), rows in speedups[speedups["depth"] == depth].groupby(["strategy"]):
                position = labels.index(label)
                # below the mean, so that it stays in sight
                places = position + (np.linspace(0.12, 0.4, len(rows)) if len(rows) > 1 else np.array([0.2]))
                panel.hlines(places, rows["low"], rows["high"], color=_COLORS[0], linewidth=0.7, alpha=0.6)
                panel.plot(rows["measured"], places, ".", color=_COLORS[0], markersize=3.5)
                measured, closed_form = np.exp(np.log(rows[["measured", "closed_form"]]).mean())
                panel.plot(measured, position - 0.12, "o", color=_COLORS[0], markersize=6)
                panel.plot(closed_form, position - 0.12, "|", color=_COLORS[3], markersize=12, markeredgewidth=2.2)
            panel.set_title(f"Depth {depth}")
            panel.xaxis.set_major_locator(MaxNLocator(4, steps=_STEPS))
        axes[0].set_yticks(range(len(labels)), labels)
        axes[0].set_ylim(len(labels) - 0.5, -0.5)
        figure.supxlabel("Seconds per step of standard training over those of the strategy", fontsize="medium")
        handles = [
            Line2D([], [], color=_COLORS[0], marker="o", linestyle="", label="measured, mean of the data sets"),
            Line2D([], [], color=_COLORS[0], marker=".", linewidth=0.7, label="a data set, 95 % interval"),
            Line2D(
                [],
                [],
                color=_COLORS[3],
                marker="|",
                markersize=12,
                markeredgewidth=2.2,
                linestyle="",
                label="by operations",
            ),
        ]
        _legend(figure, handles, "Right of 1: a step is faster than one of standard training.")
    return figure


def reached_figure(times, dataset, depth, clock="epoch", strategies=None):
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
        runs have reached the target; at the configured learning rates.

    Raises
    ------
    InputError
        If `times` has no such row.
    """
    rows = times[(times["dataset"] == dataset) & (times["depth"] == depth) & (times["recipe"] == "configured")]
    if rows.empty:
        raise InputError(f"times_to_target: no row of data set {dataset!r} at depth {depth}")
    levels, looks = sorted(rows["level"].unique()), _looks(rows, strategies)
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
            panel.xaxis.set_major_locator(MaxNLocator(4, steps=_STEPS))
            if clock == "flops":
                panel.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes[0].set_xlim(left=0)
        axes[0].set_ylim(-4, 104)
        axes[0].set_ylabel("Runs at the target (%)")
        figure.supxlabel(LABELS[clock], fontsize="medium")
        handles = [Line2D([], [], label=label, linewidth=2, **look) for label, look in looks.items()]
        _legend(figure, handles, "Target: so far on the way from chance to the accuracy of standard training.")
    return figure


def gradient_flow_figure(flow, dataset, depth, strategies):
    """Draw what each layer's gradients and updates did, epoch by epoch, as heat maps.

    Parameters
    ----------
    flow : pandas.DataFrame
        The table gradient_flow.
    dataset : str
    depth : int
    strategies : sequence of str
        Labels, one column of panels each.

    Returns
    -------
    matplotlib.figure.Figure
        One row of panels per quantity of `altfreeze.freezing.flow.GradientFlow`; means over
        seeds, of norms geometric, at the configured learning rates.

    Raises
    ------
    InputError
        If `flow` lacks one of the strategies.
    """
    rows = flow[(flow["dataset"] == dataset) & (flow["depth"] == depth) & (flow["recipe"] == "configured")]
    for label in strategies:
        if label not in rows["strategy"].to_numpy():
            raise InputError(f"gradient_flow: no row of {label} on data set {dataset!r} at depth {depth}")
    norms = ["gradient_norm", "change_norm"]
    # the mean of logarithms is the geometric mean
    rows = rows.assign(**np.log(rows[norms].replace(np.inf, np.nan).clip(lower=_SMALLEST_NORM)))
    cells = [rows[rows["strategy"] == label].groupby(["layer", "epoch"]) for label in strategies]
    frozen = [cell.change_norm.count().unstack() == 0 for cell in cells]
    quantities = {
        "gradient_norm": "Gradient\nnorm",
        "change_norm": "Norm of\nchange",
        "change_cosine": "Cosine of\nchanges",
        "steps_since_update": "Steps\nfrozen\nbefore",
    }
    with style():
        width, height = max(min(3.2 * len(strategies), 10) + 2, 7.5), float(np.clip(0.16 * depth, 0.8, 2.2))
        figure = Figure(figsize=(width, 1.1 + len(quantities) * (height + 0.15)), layout="constrained")
        axes = figure.subplots(len(quantities), len(strategies), sharex=True, sharey=True, squeeze=False)
        for panels, (quantity, label) in zip(axes, quantities.items(), strict=True):
            means = [cell[quantity].mean().unstack() for cell in cells]
            means = [np.exp(mean) for mean in means] if quantity in norms else means
            look, bar = _flow_look(quantity, np.concatenate([mean.to_numpy().ravel() for mean in means]))
            for panel, mean, still in zip(panels, means, frozen, strict=True):
                # an epoch that ends early is a narrow column
                edges = np.array([0, *mean.columns]) + 0.5, np.arange(len(mean) + 1) + 0.5
                grey = np.ma.masked_array(np.ones(still.shape), ~still)
                panel.pcolormesh(*edges, grey, cmap=ListedColormap([_LIGHT_GREY]), rasterized=True)
                mesh = panel.pcolormesh(*edges, np.ma.masked_invalid(mean), rasterized=True, **look)
                panel.grid(False)
            figure.colorbar(mesh, ax=panels, aspect=9, pad=0.01, **bar).minorticks_off()
            panels[0].set_ylabel(label, rotation=0, ha="right", va="center", ma="right", labelpad=10)
            panels[0].yaxis.set_major_locator(MaxNLocator(min(depth, 12), integer=True, min_n_ticks=1))
        for panel, label in zip(axes[0], strategies, strict=True):
            panel.set_title(label)
            panel.xaxis.set_major_locator(MaxNLocator(8, steps=_STEPS, integer=True, min_n_ticks=1))
        figure.supxlabel("Epochs", fontsize="medium")
        handles = [
            Patch(color=_LIGHT_GREY, label="frozen"),
            Patch(facecolor="white", edgecolor=_GREY, label="learned, for the first time or without a thaw"),
        ]
        _legend(figure, handles, "Layers (1 is the bottom) by epochs. Means over seeds, of norms geometric.")
    return figure


def schedule_figure(epochs, workload, until):
    """Draw which layers learn when, as heat maps.

    Parameters
    ----------
    epochs : list of altfreeze.freezing.plan.Epoch
        The plan of a training.
    workload : altfreeze.freezing.plan.Workload
    until : float
        Epochs on the horizontal axis.

    Returns
    -------
    matplotlib.figure.Figure
        Layers by epochs: the learning-rate factor, mean over the epoch's steps. Where the
        layers that learn change more than once in some epoch, beside it layers by steps,
        up to two changes per layer.
    """
    depth, batches = workload.depth, len(workload.batches)
    factors = np.array([step.factors for epoch in epochs for step in epoch.steps])
    lengths = [len(epoch.steps) for epoch in epochs]
    ends = np.cumsum(lengths)
    by_epoch = np.array([part.mean(axis=0) for part in np.split(factors, ends[:-1])])
    changes = 1 + np.flatnonzero((np.diff(factors > 0, axis=0)).any(axis=1))
    # a change at the start of an epoch is none within
    within = changes[~np.isin(changes, ends)]
    by_step = len(within) and np.bincount(np.searchsorted(ends, within, side="right")).max() > 1
    look = {"cmap": sns.color_palette("crest", as_cmap=True), "norm": Normalize(0, max(1, by_epoch.max()))}
    with style():
        height = float(np.clip(0.2 * depth, 0.8, 3.2))
        figure = Figure(figsize=(8.6, height + 0.9), layout="constrained")
        axes = figure.subplots(
            1, 1 + bool(by_step), sharey=True, squeeze=False, width_ratios=[5, 3][: 1 + bool(by_step)]
        )[0]
        mesh = _draw_factors(axes[0], 0.5 + np.array([0, *ends]) / batches, by_epoch, look)
        axes[0].set_xlim(0.5, until + 0.5)
        axes[0].set_xlabel("Epochs")
        cached = [epoch.cached for epoch in epochs]
        if any(cached):
            axes[0].fill_between(
                0.5 + np.array([0, *ends]) / batches,
                0.5,
                0.5 + np.array([*cached, cached[-1]]),
                step="post",
                facecolor="none",
                edgecolor=_GREY,
                hatch="////",
                linewidth=0,
            )
        if by_step:
            last = int(changes[min(2 * depth, len(changes)) - 1])
            _draw_factors(axes[1], 0.5 + np.arange(last + 1), factors[:last], look)
            axes[1].set_xlabel(f"The first {last} steps")
        axes[0].set_ylabel("Layer")
        axes[0].yaxis.set_major_locator(MaxNLocator(min(depth, 12), integer=True, min_n_ticks=1))
        for panel in axes:
            panel.xaxis.set_major_locator(MaxNLocator(8, steps=_STEPS, integer=True, min_n_ticks=1))
        if not np.isin(by_epoch, (0, 1)).all():
            bar = figure.colorbar(mesh, ax=axes, aspect=12, pad=0.01, label="Learning-rate\nfactor")
            bar.ax.yaxis.set_major_locator(MaxNLocator(3))
    return figure


def _draw_factors(axes, edges, factors, look):
    """Draw factors of the learning rate, shape (times, layers), as a heat map; frozen layers are grey."""
    layers = np.arange(factors.shape[1] + 1) + 0.5
    axes.set_facecolor("white")
    axes.grid(False)
    frozen = np.ma.masked_where(factors.T > 0, np.ones(factors.T.shape))
    axes.pcolormesh(edges, layers, frozen, cmap=ListedColormap([_LIGHT_GREY]), rasterized=True)
    return axes.pcolormesh(edges, layers, np.ma.masked_equal(factors.T, 0), rasterized=True, **look)


def _flow_look(quantity, values):
    """Return the keyword arguments of a heat map of a quantity, and those of its colour bar."""
    values = values[np.isfinite(values)]
    if quantity == "change_cosine":
        return {"cmap": "RdBu_r", "norm": Normalize(-1, 1)}, {"ticks": [-1, 0, 1], "format": "{x:g}"}
    highest = values.max(initial=_SMALLEST_NORM)
    if quantity == "steps_since_update":
        limits = 0, max(highest, 1)
        return {"cmap": "cividis", "norm": Normalize(*limits)}, {"ticks": limits, "format": "{x:g}"}
    # a network that no longer learns would leave no colours to the others
    lowest = max(values.min(initial=highest), highest / 1e6)
    limits = (lowest, highest) if lowest < highest else (lowest / 2, highest * 2)
    return {"cmap": "viridis", "norm": LogNorm(*limits)}, {"ticks": np.geomspace(*limits, 3), "format": "{x:.2g}"}


def matrix_figure(matrix, depth, margin):
    """Draw every strategy against every other over the data sets, as a heat map with its numbers.

    Parameters
    ----------
    matrix : pandas.DataFrame
        The table matrix, at one kind of learning rates.
    depth : int
    margin : float
        Up to this difference, a share, colours are proportional to it, and beyond to its logarithm.

    Returns
    -------
    matplotlib.figure.Figure
        In each cell the mean difference, row minus column, in percentage points, the data
        sets on which the row is higher, equal and lower, and Wilcoxon's p-value.

    Raises
    ------
    InputError
        If `matrix` has no row of the depth.
    """
    cells = matrix[matrix["depth"] == depth]
    if cells.empty:
        raise InputError(f"matrix: no row at depth {depth}")
    labels = list(cells["row"].unique())
    table = 100 * cells.pivot(index="row", columns="column", values="mean_difference").loc[labels, labels]
    # where no two strategies share a data set, there is no difference
    limit = max(table.abs().fillna(0).max(axis=None), 2 * 100 * margin, _SMALLEST_NORM)
    norm = SymLogNorm(max(100 * margin, limit / 1e4), vmin=-limit, vmax=limit)
    # many cells share the width of a page, and few do not fill it
    width, height = np.clip(7.2 / len(labels), (0.45, 0.5), (0.8, 0.6))
    smaller = 0 if width > 0.6 else 1
    with style():
        figure = Figure(figsize=(max(width * len(labels) + 2.4, 9), height * len(labels) + 2.2), layout="constrained")
        axes = figure.subplots()
        axes.imshow(np.ma.masked_invalid(table), cmap="RdBu", norm=norm, aspect="auto")
        for row in cells.dropna(subset="mean_difference").itertuples():
            column, line = labels.index(row.column), labels.index(row.row)
            color = "white" if abs(norm(100 * row.mean_difference) - 0.5) > 0.3 else "black"
            for text, shift, size in (
                (signed_points(row.mean_difference, 1 if abs(row.mean_difference) >= 0.1 else 2), -0.27, 8.5),
                (f"{row.wins}/{row.ties}/{row.losses}", 0.03, 7.5),
                ("" if np.isnan(row.wilcoxon_p) else f"{row.wilcoxon_p:.2g}", 0.31, 7),
            ):
                axes.text(column, line + shift, text, ha="center", va="center", fontsize=size - smaller, color=color)
        axes.set_xticks(range(len(labels)), labels, rotation=40, ha="left", rotation_mode="anchor", fontsize="small")
        axes.set_yticks(range(len(labels)), labels, fontsize="small")
        axes.tick_params(top=False, labeltop=True, bottom=False, labelbottom=False, left=False)
        axes.grid(False)
        axes.spines[:].set_visible(False)
        figure.supxlabel(
            f"Depth {depth}, each at its own end. Mean difference in final test accuracy, row minus column (points);\n"
            "data sets on which the row is higher/equal/lower; exact Wilcoxon p-value, not adjusted.",
            fontsize="small",
        )
    return figure


def self_comparison_figure(table, margin):
    """Draw standard training against itself on other seeds: a panel per depth, a row per data set.

    Parameters
    ----------
    table : pandas.DataFrame
        The table self_comparison.
    margin : float
        Half width of the band in which a difference counts as none, a share.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the table is empty.
    """
    if table.empty:
        raise InputError("self_comparison: the table is empty")
    depths, names = sorted(table["depth"].unique()), list(table["dataset"].unique())
    with style():
        figure = Figure(figsize=(max(2.7 * len(depths) + 1.4, 8), 1.7 + 0.27 * len(names)), layout="constrained")
        axes = figure.subplots(1, len(depths), sharex=True, sharey=True, squeeze=False)[0]
        for panel, depth in zip(axes, depths, strict=True):
            panel.axvspan(-100 * margin, 100 * margin, color="0.92", linewidth=0, zorder=0)
            panel.axvline(0, color="black", linewidth=1)
            for row in table[table["depth"] == depth].itertuples():
                position, false = names.index(row.dataset), row.verdict in ("better", "worse")
                color = _FALSE_ALARM if false else "black" if row.dataset == "all" else _COLORS[0]
                panel.plot([100 * row.low, 100 * row.high], [position, position], color=color, linewidth=2)
                panel.plot(100 * row.difference, position, "D" if false else "o", color=color, markersize=5)
            panel.set_title(f"Depth {depth}")
            panel.xaxis.set_major_locator(MaxNLocator(4, steps=_STEPS))
        axes[0].set_yticks(range(len(names)), [_row_label(name) for name in names])
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        figure.supxlabel(
            "Final test accuracy of standard training, calibration seeds minus compared seeds (percentage points)\n"
            f"Bar: 95 % Welch interval. Band: ±{_points(margin)}, which count as equal.",
            fontsize="small",
        )
        handles = [
            Line2D([], [], color=_COLORS[0], marker="o", linewidth=2, label="meets zero or lies within the band"),
            Line2D([], [], color=_FALSE_ALARM, marker="D", linewidth=2, label="false alarm"),
        ]
        _legend(figure, handles, None)
    return figure


def seeds_figure(table, seeds, margin):
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
            panel.axhline(level, color=_GREY, linewidth=1, linestyle="--")
            panel.axvline(seeds, color=_GREY, linewidth=1)
            for position, (_, rows) in enumerate(table.groupby("depth")):
                values = 100 * rows[column]
                # the logarithm of no width
                panel.plot(rows["seeds"], values.where(values > 0), **_line(position), marker="o", markersize=3.5)
            panel.set_xscale("log")
            panel.set_xlabel("Seeds on each data set")
            panel.grid(True)
            panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            panel.xaxis.set_major_formatter("{x:g}")
            panel.xaxis.set_minor_formatter(NullFormatter())
            panel.set_xlim(table["seeds"].min() / 1.15, table["seeds"].max() * 1.15)
        if table["half_width"].gt(0).any():
            widths.set_yscale("log")
            _label_plainly(widths.yaxis, widths.get_ylim())
        widths.set_ylabel("Half width of the interval (points)")
        powers.set_ylabel(f"Power to detect {_points(margin)} (%)")
        powers.set_ylim(-4, 104)
        handles = [
            Line2D([], [], label=f"depth {depth}", **_line(position))
            for position, depth in enumerate(sorted(table["depth"].unique()))
        ]
        _legend(figure, handles, f"Upright line: this study, {seeds}. Dashed: the margin, and a power of 80 %.")
    return figure


def _points(margin):
    return f"{100 * margin:g} point{'' if margin == 0.01 else 's'}"


def _line(position):
    cycle, place = divmod(position, len(_COLORS))
    return {"color": _COLORS[place], "linestyle": ["-", *_DASHES][cycle % (len(_DASHES) + 1)], "linewidth": 2}


def variance_figure(table):
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
        axes.set_xlabel("Share of the variance of a run's final test accuracy (%)")
        _legend(figure, axes.get_legend_handles_labels()[0], None)
    return figure


def _on(color):
    """Return black or white, whichever is read better on a colour."""
    return "white" if np.dot(to_rgb(color), (0.3, 0.59, 0.11)) < 0.5 else "black"
