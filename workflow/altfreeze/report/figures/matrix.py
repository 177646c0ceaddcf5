"""Figure of every strategy against every other."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from altfreeze.report.figures.style import style
from altfreeze.report.words import signed_points
from altfreeze.support.errors import InputError
from altfreeze.vocabulary import METRICS, Metric

# points; where no two strategies differ, colours need a span all the same
_SMALLEST_SPAN = 1e-12


def matrix_figure(matrix: pd.DataFrame, depth: int, margin: float, metric: Metric = METRICS["accuracy"]) -> Figure:
    """Draw every strategy against every other over the data sets, as a heat map with its numbers.

    Parameters
    ----------
    matrix : pandas.DataFrame
        The table matrix, of one recipe.
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
    limit = max(table.abs().fillna(0).max(axis=None), 2 * 100 * margin, _SMALLEST_SPAN)
    norm = SymLogNorm(max(100 * margin, limit / 1e4), vmin=-limit, vmax=limit)
    # many cells share the width of a page, and few do not fill it
    width, height = np.clip(7.2 / len(labels), (0.45, 0.5), (0.8, 0.6))
    with style():
        figure = Figure(figsize=(max(width * len(labels) + 2.4, 9), height * len(labels) + 2.2), layout="constrained")
        axes = figure.subplots()
        axes.imshow(np.ma.masked_invalid(table), cmap="RdBu", norm=norm, aspect="auto")
        _write_numbers(axes, cells, labels, norm, smaller=0 if width > 0.6 else 1)
        axes.set_xticks(range(len(labels)), labels, rotation=40, ha="left", rotation_mode="anchor", fontsize="small")
        axes.set_yticks(range(len(labels)), labels, fontsize="small")
        axes.tick_params(top=False, labeltop=True, bottom=False, labelbottom=False, left=False)
        axes.grid(False)
        axes.spines[:].set_visible(False)
        figure.supxlabel(
            f"Depth {depth}, each at its own end. Mean difference in final test {metric.words}, "
            f"row against column ({metric.points});\n"
            "data sets on which the row is better/equal/worse; exact Wilcoxon p-value, not adjusted.",
            fontsize="small",
        )
    return figure


def _write_numbers(axes: Axes, cells: pd.DataFrame, labels: list[str], norm: SymLogNorm, smaller: float) -> None:
    """Write difference, wins and p-value into each cell of the heat map."""
    for row in cells.dropna(subset="mean_difference").itertuples():
        column, line = labels.index(row.column), labels.index(row.row)
        color = "white" if abs(norm(100 * row.mean_difference) - 0.5) > 0.3 else "black"
        for text, shift, size in (
            (signed_points(row.mean_difference, 1 if abs(row.mean_difference) >= 0.1 else 2), -0.27, 8.5),
            (f"{row.wins}/{row.ties}/{row.losses}", 0.03, 7.5),
            ("" if np.isnan(row.wilcoxon_p) else f"{row.wilcoxon_p:.2g}", 0.31, 7),
        ):
            axes.text(column, line + shift, text, ha="center", va="center", fontsize=size - smaller, color=color)
