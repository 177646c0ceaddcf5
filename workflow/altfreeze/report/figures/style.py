"""The look that all figures share: colours, axes, legends, and how one becomes text."""

import html
import io
import re
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib
import matplotlib.style
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter

from altfreeze.vocabulary import CLOCKS, PANELS, QUANTITIES

# titles of axes: columns of the table epochs, and clocks by name and by column
LABELS = QUANTITIES | {name: clock.label for clock in CLOCKS.values() for name in (clock.name, clock.column)}
DASHES = ["--", "-.", ":", (0, (5, 1, 1, 1, 1, 1))]
# seaborn's colour-blind safe palette, with one dark brown for its faint colours and its second orange
COLORS = [color for place, color in enumerate(sns.color_palette("colorblind").as_hex()) if place not in (5, 6, 8)]
COLORS.append("#7f3b08")
STEPS = [1, 2, 5, 10]
GREY = "#555555"
LIGHT_GREY = "#d4d4d4"
# on an axis of operations
_PREFIXES = "k: 10³, M: 10⁶, G: 10⁹, T: 10¹²"


def style() -> AbstractContextManager[None]:
    """Return a context manager with the look that all figures share.

    Returns
    -------
    context manager
        While it holds, matplotlib writes SVG with real text and with the same ids each time.
    """
    look = {
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
    # not from what the file matplotlibrc of whoever runs this sets
    return matplotlib.style.context(["default", look])


def palette(strategies: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return a look for each strategy: black for standard training, colour-blind safe colours for the others.

    Up to 32 looks differ; strategies of one colour differ in their dashes.

    Parameters
    ----------
    strategies : iterable of str
        Labels of strategies.

    Returns
    -------
    dict of str to dict
        Keyword arguments of `matplotlib.axes.Axes.plot`: ``color`` and ``linestyle``.
    """
    looks: dict[str, dict[str, Any]] = {"standard": {"color": "black", "linestyle": "-"}}
    for position, label in enumerate(label for label in strategies if label != "standard"):
        cycle, place = divmod(position, len(COLORS))
        looks[label] = {"color": COLORS[place], "linestyle": DASHES[(place + cycle) % len(DASHES)]}
    return looks


def looks_of(rows: pd.DataFrame, strategies: Collection[str] | None) -> dict[str, dict[str, Any]]:
    """Return the looks of the strategies to draw, which do not depend on which of them are drawn.

    Parameters
    ----------
    rows : pandas.DataFrame
        With all strategies in the column ``strategy``.
    strategies : collection of str or None
        Labels of those to draw, all without.

    Returns
    -------
    dict of str to dict
        See `palette`.
    """
    present = rows["strategy"].unique()
    drawn = present if strategies is None else [label for label in present if label in set(strategies)]
    return {label: look for label, look in palette(present).items() if label in drawn}


def handles_of(looks: dict[str, dict[str, Any]]) -> list[Line2D]:
    """Return an entry of a legend for each label of `palette`."""
    return [Line2D([], [], label=label, linewidth=2, **look) for label, look in looks.items()]


def add_legend(figure: Figure, handles: Sequence[Any], title: str | None) -> None:
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


def few_ticks(axis: Axis, most: int = 4, **options: Any) -> None:
    """Put a few round numbers on an axis."""
    axis.set_major_locator(MaxNLocator(most, steps=STEPS, **options))


def whole_ticks(axis: Axis, most: int) -> None:
    """Put whole numbers on an axis, at least one."""
    few_ticks(axis, most, integer=True, min_n_ticks=1)


def layer_ticks(axis: Axis, depth: int) -> None:
    """Put the numbers of layers on an axis, all of them where there is room."""
    axis.set_major_locator(MaxNLocator(min(depth, 12), integer=True, min_n_ticks=1))


def label_plainly(axis: Axis, limits: tuple[float, float]) -> None:
    """Label a logarithmic axis without the notation of mathematics, and with 2 and 5 where there is room."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if limits[1] < 100 * limits[0] else (1,)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter(NullFormatter())


def label_clock(figure: Figure, panels: Iterable[Axes], clock: str, below: Axes | None = None) -> None:
    """Name a clock, given by name or column, below panels whose horizontal axis it is, or below one of them."""
    label = LABELS[clock]
    if clock == "flops":
        for panel in panels:
            panel.xaxis.set_major_formatter(EngFormatter(sep=""))
        label = label.replace(")", f"; {_PREFIXES})")
    if below is None:
        figure.supxlabel(label, fontsize="medium")
    else:
        # a panel is narrower than a figure
        below.set_xlabel(label.replace("; ", ";\n"))


def row_label(dataset: str) -> str:
    """Return the label of a data set's row, or of the row of several."""
    if dataset in PANELS:
        return f"mean of {dataset}"
    return dataset if len(dataset) <= 24 else dataset[:23] + "…"


def figure_svg(figure: Figure, title: str) -> str:
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
    # ids that no other figure of a page has
    with style(), matplotlib.rc_context({"svg.hashsalt": title}):
        if layout := figure.get_layout_engine():
            # in the resolution of SVG; to save the figure would draw it once more for its layout
            FigureCanvasSVG(figure)
            figure.dpi = 72
            layout.execute(figure)
            figure.set_layout_engine(None)
        # the resolution is that of heat maps, all else is vectors
        figure.savefig(buffer, format="svg", dpi=200, metadata=dict.fromkeys(["Date", "Creator", "Format", "Type"]))
    text = buffer.getvalue()
    text = re.sub(r'\bd="[^"]*"', _compact, text[text.index("<svg") :])
    # names of groups, to which nothing refers
    text = re.sub('<g id="[^"]*"', "<g", text)
    return text.replace(">", f' role="img">\n <title>{html.escape(title)}</title>', 1)


def _compact(path: re.Match[str]) -> str:
    """Return a path of lines in tenths of a point, less than a pixel, without the letter of each line."""
    # after a curve, points without a letter would be another curve's
    if re.search("[CQ]", path[0]):
        return path[0]
    return re.sub(r"(\.\d)\d+", r"\1", path[0]).replace(" \nL ", " ")


def show(figure: Figure, title: str) -> None:
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
