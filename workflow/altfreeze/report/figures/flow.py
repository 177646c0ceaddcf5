"""Figure of gradient flow: what each layer's gradients and updates did, epoch by epoch."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from altfreeze.report.figures.style import GREY, LIGHT_GREY, add_legend, layer_ticks, style, whole_ticks
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.support.errors import InputError
from altfreeze.vocabulary import CLOCKS

QUANTITIES = {
    "gradient_norm": "Gradient\nnorm",
    "change_norm": "Norm of\nchange",
    "change_cosine": "Cosine of\nchanges",
    "steps_since_update": "Steps\nfrozen\nbefore",
}
_NORMS = ["gradient_norm", "change_norm"]
# a float32 norm can be zero, which has no logarithm
_SMALLEST_NORM = 1e-12


def gradient_flow_figure(flow: pd.DataFrame, dataset: str, depth: int, strategies: Sequence[str]) -> Figure:
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
        seeds, of norms geometric, under the primary recipe.

    Raises
    ------
    InputError
        If `flow` lacks one of the strategies.
    """
    rows = flow[(flow["dataset"] == dataset) & (flow["depth"] == depth) & (flow["recipe"] == PRIMARY_RECIPE)]
    for label in strategies:
        if label not in rows["strategy"].to_numpy():
            raise InputError(f"gradient_flow: no row of {label} on data set {dataset!r} at depth {depth}")
    # the mean of logarithms is the geometric mean
    rows = rows.assign(**np.log(rows[_NORMS].replace(np.inf, np.nan).clip(lower=_SMALLEST_NORM)))
    cells = [rows[rows["strategy"] == label].groupby(["layer", "epoch"]) for label in strategies]
    frozen = [cell.change_norm.count().unstack() == 0 for cell in cells]
    with style():
        width, height = max(min(3.2 * len(strategies), 10) + 2, 7.5), float(np.clip(0.16 * depth, 0.8, 2.2))
        figure = Figure(figsize=(width, 1.1 + len(QUANTITIES) * (height + 0.15)), layout="constrained")
        axes = figure.subplots(len(QUANTITIES), len(strategies), sharex=True, sharey=True, squeeze=False)
        for panels, (quantity, label) in zip(axes, QUANTITIES.items(), strict=True):
            means = [cell[quantity].mean().unstack() for cell in cells]
            means = [np.exp(mean) for mean in means] if quantity in _NORMS else means
            _draw_quantity(figure, panels, quantity, means, frozen)
            panels[0].set_ylabel(label, rotation=0, ha="right", va="center", ma="right", labelpad=10)
            layer_ticks(panels[0].yaxis, depth)
        for panel, label in zip(axes[0], strategies, strict=True):
            panel.set_title(label)
            whole_ticks(panel.xaxis, 8)
        figure.supxlabel(CLOCKS["epoch"].label, fontsize="medium")
        handles = [
            Patch(color=LIGHT_GREY, label="frozen"),
            Patch(facecolor="white", edgecolor=GREY, label="learned, for the first time or without a thaw"),
        ]
        add_legend(figure, handles, "Layers (1 is the bottom) by epochs. Means over seeds, of norms geometric.")
    return figure


def _draw_quantity(
    figure: Figure, panels: Sequence[Axes], quantity: str, means: list[pd.DataFrame], frozen: list[pd.DataFrame]
) -> None:
    """Draw one quantity, a table of layers by epochs in each panel, with the bar of its colours."""
    look, bar = _flow_look(quantity, np.concatenate([mean.to_numpy().ravel() for mean in means]))
    for panel, mean, still in zip(panels, means, frozen, strict=True):
        # an epoch that ends early is a narrow column
        edges = np.array([0, *mean.columns]) + 0.5, np.arange(len(mean) + 1) + 0.5
        grey = np.ma.masked_array(np.ones(still.shape), ~still)
        panel.pcolormesh(*edges, grey, cmap=ListedColormap([LIGHT_GREY]), rasterized=True)
        mesh = panel.pcolormesh(*edges, np.ma.masked_invalid(mean), rasterized=True, **look)
        panel.grid(False)
    figure.colorbar(mesh, ax=panels, aspect=9, pad=0.01, **bar).minorticks_off()


def _flow_look(quantity: str, values: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the keyword arguments of a heat map of a quantity, and those of its colour bar."""
    values = values[np.isfinite(values)]
    if quantity == "change_cosine":
        return {"cmap": "RdBu_r", "norm": Normalize(-1, 1)}, {"ticks": [-1, 0, 1], "format": "{x:g}"}
    highest = values.max(initial=_SMALLEST_NORM)
    if quantity == "steps_since_update":
        span = 0, max(highest, 1)
        return {"cmap": "cividis", "norm": Normalize(*span)}, {"ticks": span, "format": "{x:g}"}
    # a network that no longer learns would leave no colours to the others
    lowest = max(values.min(initial=highest), highest / 1e6)
    limits = (lowest, highest) if lowest < highest else (lowest / 2, highest * 2)
    return {"cmap": "viridis", "norm": LogNorm(*limits)}, {"ticks": np.geomspace(*limits, 3), "format": "{x:.2g}"}
