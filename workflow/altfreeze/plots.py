"""Figures of a study's tables."""

import html
import io

import matplotlib
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter
from scipy import stats

from altfreeze import InputError

CONFIDENCE = 0.95
LABELS = {
    "train_loss": "Training loss (nat)",
    "validation_loss": "Validation loss (nat)",
    "validation_accuracy": "Validation accuracy (%)",
    "test_accuracy": "Test accuracy (%)",
    "final_test_accuracy": "final test accuracy",
    "best_test_accuracy": "test accuracy at the epoch chosen on validation",
    "epoch": "Epoch",
    "flops": "Operations (M: 10⁶, G: 10⁹)",
}
_SCALES = {"validation_accuracy": 100, "test_accuracy": 100}
_DASHES = ["-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
_GREY = "#555555"
# a float32 loss can be zero, which has no logarithm
_SMALLEST_LOSS = 1e-9


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

    Parameters
    ----------
    strategies : iterable of str
        Labels of strategies.

    Returns
    -------
    dict of str to dict
        Keyword arguments of `matplotlib.axes.Axes.plot`: ``color`` and ``linestyle``.
    """
    others = [label for label in strategies if label != "standard"]
    colors = sns.color_palette("colorblind", len(others)).as_hex()
    looks = {
        label: {"color": color, "linestyle": _DASHES[1 + position % (len(_DASHES) - 1)]}
        for position, (label, color) in enumerate(zip(others, colors, strict=True))
    }
    return {"standard": {"color": "black", "linestyle": _DASHES[0]}} | looks


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
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(["Date", "Creator", "Format", "Type"]))
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    return text.replace(">", f' role="img">\n <title>{html.escape(title)}</title>', 1)


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


def learning_curves(epochs, dataset, metrics=("train_loss", "validation_accuracy"), x="epoch"):
    """Draw the course of training on one data set, one column of axes per depth.

    Thin lines are seeds, the bold line is their mean, the band is the 95 % t interval of
    that mean. Losses are drawn on a logarithmic axis, with mean and interval of their
    logarithms (a geometric mean).

    Parameters
    ----------
    epochs : pandas.DataFrame
        The table epochs.
    dataset : str
    metrics : sequence of str
        Columns of `epochs`, one row of axes each.
    x : {'epoch', 'flops'}
        The horizontal axis.

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
    looks = palette(chosen["strategy"].unique())
    with style():
        figure = Figure(figsize=(max(2.9 * len(depths), 6), 2.5 * len(metrics) + 0.9), layout="constrained")
        axes = figure.subplots(len(metrics), len(depths), sharex="col", sharey="row", squeeze=False)
        for row, metric in enumerate(metrics):
            for column, depth in enumerate(depths):
                _draw_curves(axes[row, column], chosen[chosen["depth"] == depth], metric, x, looks)
            axes[row, 0].set_ylabel(LABELS[metric])
            if metric.endswith("loss"):
                _label_plainly(axes[row, 0].yaxis, axes[row, 0].get_ylim())
        for column, depth in enumerate(depths):
            axes[0, column].set_title(f"Depth {depth}")
            axes[-1, column].set_xlabel(LABELS[x])
        handles = [Line2D([], [], label=label, linewidth=2, **look) for label, look in looks.items()]
        figure.legend(
            handles=handles,
            loc="outside lower center",
            ncols=min(len(handles), 4),
            frameon=False,
            title="Bold: mean over seeds (of a loss: geometric). Band: its 95 % t interval. Thin: each seed.",
            title_fontsize="small",
        )
    return figure


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
        position = values.index if x == "epoch" else cell.groupby("epoch")[x].first()
        if logarithmic:
            values = values.clip(lower=_SMALLEST_LOSS)
            mean, low, high = map(np.exp, mean_interval(np.log(values)))
        else:
            mean, low, high = mean_interval(values)
        axes.plot(position, values, color=look["color"], linewidth=0.4, alpha=0.25)
        axes.fill_between(position, low, high, color=look["color"], alpha=0.18, linewidth=0)
        axes.plot(position, mean, linewidth=2, **look)
    axes.grid(True)
    axes.set_xlim(left=0)
    if logarithmic:
        axes.set_yscale("log")
    if x == "flops":
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(EngFormatter())


def paired_differences(runs, depth, strategy, metric="final_test_accuracy"):
    """Return one row per pair of runs of which both ended.

    Parameters
    ----------
    runs : pandas.DataFrame
        The table runs.
    depth : int
    strategy : str
        Label of the strategy that is compared with standard training.
    metric : str
        A column of `runs`.

    Returns
    -------
    pandas.DataFrame
        ``dataset``, ``seed`` and ``difference``, the strategy minus standard training.
    """
    ended = runs[(runs["depth"] == depth) & (runs["status"] == "ok")].set_index(["dataset", "seed"])
    other = ended.loc[ended["strategy"] == strategy, metric]
    standard = ended.loc[ended["strategy"] == "standard", metric]
    return (other - standard).dropna().rename("difference").reset_index()


def main_figure(runs, comparisons, depth, freeze_ratio):
    """Draw the primary comparison: one row per data set, and their mean.

    Parameters
    ----------
    runs, comparisons : pandas.DataFrame
        The tables of these names.
    depth : int
    freeze_ratio : float

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If `comparisons` has no row of this depth and freeze ratio.
    """
    rows = comparison_rows(comparisons, "final_test_accuracy", depth, freeze_ratio)
    seeds = paired_differences(runs, depth, rows["strategy"].iloc[0])
    with style():
        figure = Figure(figsize=(6.6, 1.4 + 0.36 * len(rows)), layout="constrained")
        axes = figure.subplots()
        axes.axvline(0, color="#999999", linewidth=1.2)
        for position, row in enumerate(rows.itertuples()):
            overall = row.dataset == "all"
            color = "black" if overall else sns.color_palette("colorblind").as_hex()[0]
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
        axes.set_xlabel("Final test accuracy, alternating minus standard (percentage points)")
        figure.supxlabel(
            "Dot: mean over seeds. Bar: 95 % paired bootstrap interval. Small dots: seeds.", fontsize="small"
        )
        _numbers_at_the_right(axes, rows)
    return figure


def comparison_rows(comparisons, metric, depth, freeze_ratio):
    """Return the rows of one comparison, one per data set and their mean last.

    Raises
    ------
    InputError
        If there is none.
    """
    rows = comparisons[
        (comparisons["metric"] == metric)
        & (comparisons["depth"] == depth)
        & np.isclose(comparisons["freeze_ratio"], freeze_ratio)
    ]
    if rows.empty:
        raise InputError(f"comparisons: no row of {metric} at depth {depth} and freeze ratio {freeze_ratio:g}")
    return rows


def _row_label(name):
    if name == "all":
        return "mean of all"
    return name if len(name) <= 24 else name[:23] + "…"


def _numbers_at_the_right(axes, rows):
    numbers = [
        "no pair" if np.isnan(row.difference) else _signed(row.difference) + _ends(row) for row in rows.itertuples()
    ]
    right = axes.twinx()
    right.set_ylim(axes.get_ylim())
    right.set_yticks(range(len(rows)), numbers, fontsize="small")
    right.tick_params(length=0)
    right.grid(False)
    right.spines[:].set_visible(False)


def _signed(share):
    return f"{100 * share:+.2f}".replace("-", "−").replace("+0.00", "0.00").replace("−0.00", "0.00")


def _ends(row):
    return "" if np.isnan(row.low) else f" [{_signed(row.low)}, {_signed(row.high)}]"


def grid_figure(comparisons, metric="final_test_accuracy"):
    """Draw all comparisons of one metric: a column of axes per depth, a row per data set, a colour per freeze ratio.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        The table comparisons.
    metric : {'final_test_accuracy', 'best_test_accuracy'}

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = comparisons[comparisons["metric"] == metric]
    names, depths, labels = rows["dataset"].unique(), sorted(rows["depth"].unique()), rows["strategy"].unique()
    looks = palette(labels)
    offsets = dict(zip(labels, np.linspace(-0.27, 0.27, len(labels)) if len(labels) > 1 else [0.0], strict=True))
    with style():
        figure = Figure(figsize=(max(2.9 * len(depths), 6), 1.7 + 0.42 * len(names)), layout="constrained")
        axes = figure.subplots(1, len(depths), sharey=True, sharex=True, squeeze=False)[0]
        for panel, depth in zip(axes, depths, strict=True):
            panel.axvline(0, color="black", linewidth=1)
            panel.axhline(len(names) - 1.5, color=_GREY, linewidth=0.8)
            for row in rows[rows["depth"] == depth].itertuples():
                position = list(names).index(row.dataset) + offsets[row.strategy]
                color = looks[row.strategy]["color"]
                panel.plot([100 * row.low, 100 * row.high], [position, position], color=color, linewidth=2)
                panel.plot(100 * row.difference, position, "o", color=color, markersize=4.5)
            panel.set_title(f"Depth {depth}")
        axes[0].set_yticks(range(len(names)), [_row_label(name) for name in names])
        axes[0].set_ylim(len(names) - 0.5, -0.5)
        figure.supxlabel(f"Difference in {LABELS[metric]} (percentage points)", fontsize="medium")
        handles = [
            Line2D([], [], marker="o", markersize=4.5, linewidth=2, color=looks[label]["color"], label=label)
            for label in labels
        ]
        figure.legend(
            handles=handles,
            loc="outside upper center",
            ncols=min(len(handles), 4),
            frameon=False,
            title="Dot: mean paired difference from standard training. Bar: its 95 % bootstrap interval.",
            title_fontsize="small",
        )
    return figure
