"""Figure of a schedule: which layers learn when, and with which factor of the learning rate."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from altfreeze.freezing.plan import Epoch, Workload
from altfreeze.freezing.strategy import MASKED
from altfreeze.report.figures.style import GREY, LIGHT_GREY, layer_ticks, style, whole_ticks
from altfreeze.vocabulary import CLOCKS


def schedule_figure(epochs: Sequence[Epoch], workload: Workload, until: float) -> Figure:
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
    factors = np.array([step.factors for epoch in epochs for step in epoch.steps])
    ends = np.cumsum([len(epoch.steps) for epoch in epochs])
    by_epoch = np.array([part.mean(axis=0) for part in np.split(factors, ends[:-1])])
    first_steps = _steps_to_draw(factors, ends)
    look = {"cmap": sns.color_palette("crest", as_cmap=True), "norm": Normalize(0, max(1, by_epoch.max()))}
    with style():
        figure = Figure(figsize=(8.6, float(np.clip(0.2 * workload.depth, 0.8, 3.2)) + 0.9), layout="constrained")
        widths = [5, 3] if first_steps else [5]
        axes = figure.subplots(1, len(widths), sharey=True, squeeze=False, width_ratios=widths)[0]
        edges = 0.5 + np.array([0, *ends]) / len(workload.batches)
        mesh = _draw_factors(axes[0], edges, by_epoch, look)
        axes[0].set_xlim(0.5, until + 0.5)
        axes[0].set_xlabel(CLOCKS["epoch"].label)
        _hatch_cached(axes[0], edges, [epoch.cached for epoch in epochs])
        if first_steps:
            _draw_factors(axes[1], 0.5 + np.arange(first_steps + 1), factors[:first_steps], look)
            axes[1].set_xlabel(f"The first {first_steps} steps")
        axes[0].set_ylabel("Layer")
        layer_ticks(axes[0].yaxis, workload.depth)
        for panel in axes:
            whole_ticks(panel.xaxis, 8)
        if not np.isin(by_epoch, (0, 1)).all():
            bar = figure.colorbar(mesh, ax=axes, aspect=12, pad=0.01, label="Learning-rate\nfactor")
            bar.ax.yaxis.set_major_locator(MaxNLocator(3))
    return figure


def _steps_to_draw(factors: np.ndarray, ends: np.ndarray) -> int:
    """Return how many first steps are drawn one by one: none where layers change at most once in each epoch."""
    changes = 1 + np.flatnonzero((np.diff(factors > MASKED, axis=0)).any(axis=1))
    # a change at the start of an epoch is none within
    within = changes[~np.isin(changes, ends)]
    if not len(within) or np.bincount(np.searchsorted(ends, within, side="right")).max() <= 1:
        return 0
    return int(changes[min(2 * factors.shape[1], len(changes)) - 1])


def _draw_factors(axes: Axes, edges: np.ndarray, factors: np.ndarray, look: dict[str, Any]) -> QuadMesh:
    """Draw factors of the learning rate, shape (times, layers), as a heat map; frozen layers are grey."""
    layers = np.arange(factors.shape[1] + 1) + 0.5
    axes.set_facecolor("white")
    axes.grid(False)
    frozen = np.ma.masked_where(factors.T > 0, np.ones(factors.T.shape))
    axes.pcolormesh(edges, layers, frozen, cmap=ListedColormap([LIGHT_GREY]), rasterized=True)
    return axes.pcolormesh(edges, layers, np.ma.masked_equal(factors.T, 0), rasterized=True, **look)


def _hatch_cached(axes: Axes, edges: np.ndarray, cached: list[int]) -> None:
    """Hatch the layers of each epoch whose output is read from a cache, counted from the bottom."""
    if any(cached):
        axes.fill_between(
            edges,
            0.5,
            0.5 + np.array([*cached, cached[-1]]),
            step="post",
            facecolor="none",
            edgecolor=GREY,
            hatch="////",
            linewidth=0,
        )
