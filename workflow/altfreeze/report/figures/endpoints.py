"""Figures of the two endpoints: under each recipe, at each budget, and where they could have come out otherwise."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from altfreeze.report.figures.style import (
    COLORS,
    GREY,
    LIGHT_GREY,
    add_legend,
    few_ticks,
    label_clock,
    label_plainly,
    row_label,
    style,
)
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE, name_of
from altfreeze.vocabulary import METRICS, Metric

# what is said of a recipe, and how it is drawn; colour is not the only sign
_LOOKS = {
    "the primary recipe": {"color": "black", "marker": "D", "markersize": 6},
    "a variation": {"color": COLORS[0], "marker": "o", "markersize": 6},
    "a variation that cripples standard training": {"color": GREY, "marker": "s", "markerfacecolor": "white"},
}


def changes_of_recipes(study: Study) -> dict[str, list[tuple[str, str]]]:
    """Return what each recipe changes, by its name: keys with values as text, none of the primary recipe.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    """
    changes: dict[str, list[tuple[str, str]]] = {PRIMARY_RECIPE: []}
    for variation in study.variations:
        texts = ((key, name_of({key: value}).removeprefix(f"{key}=")) for key, value in variation.items())
        changes[name_of(variation)] = list(texts)
    return changes


def recipes_figure(study: Study, variations: pd.DataFrame) -> Figure:
    """Draw both endpoints under each recipe, and what each changes: a specification curve.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
        With variations.
    variations : pandas.DataFrame
        The table variations.

    Returns
    -------
    matplotlib.figure.Figure
        One column per recipe, the one with the lowest effect at the end first (U. Simonsohn, J. P. Simmons and
        L. D. Nelson, Specification curve analysis, 2020, https://doi.org/10.1038/s41562-020-0912-z).
    """
    rows = variations.sort_values("end_effect", kind="stable", ignore_index=True)
    changes = changes_of_recipes(study)
    changed = list(dict.fromkeys(change for recipe in changes.values() for change in recipe))
    keys = list(dict.fromkeys(key for key, _ in changed))
    # the values of a key stand together
    changed.sort(key=lambda change: keys.index(change[0]))
    with style():
        lines = 0.19 * len(changed)
        figure = Figure(figsize=(10, 4.2 + lines), layout="constrained")
        end, time, matrix = figure.subplots(3, sharex=True, height_ratios=[1.5, 1.2, lines])
        _draw_effects(end, rows, "end", 100)
        end.set_ylabel(f"End\n({study.metric.points})")
        _draw_effects(time, rows, "time", 1)
        time.set_ylabel("Time to target\n(ratio)")
        _draw_margins(end, time, study.equivalence_margin, study.cost_margin)
        _draw_changes(matrix, [changes[recipe] for recipe in rows["recipe"]], changed)
        present = set(_kinds(rows))
        handles = [Line2D([], [], label=kind, linestyle="", **_LOOKS[kind]) for kind in _LOOKS if kind in present]
        if "network" in keys:
            # no dot names it
            handles[0].set_label(f"the primary recipe, of {study.networks}")
        add_legend(figure, handles, None)
        figure.supxlabel(
            "A column is a recipe, and a dot below says what it changes. Bar: 95 % bootstrap interval. Band: the "
            f"margin. End: final test {study.metric.words}\nfor equal operations, above 0 is better. Time to target: "
            "operations, those of standard training are 1, above 1 is later.",
            fontsize="small",
        )
    return figure


def sensitivity_figure(effects: pd.DataFrame, margin: float, metric: Metric = METRICS["accuracy"]) -> Figure:
    """Draw what alternation changes at the end against what standard training gains in the last half of its budget.

    Parameters
    ----------
    effects : pandas.DataFrame
        One row per data set; see `altfreeze.report.blocks.endpoints.effects_and_gains`.
    margin : float
        Half width of the bands in which a difference counts as none, a share.
    metric : altfreeze.vocabulary.Metric

    Returns
    -------
    matplotlib.figure.Figure
        Filled is a data set on which the end is sensitive. Named are those with a value beyond the margin, as far as
        names have room.
    """
    with style():
        figure = Figure(figsize=(8, 4.6), layout="constrained")
        axes = figure.subplots()
        for span, line in ((axes.axhspan, axes.axhline), (axes.axvspan, axes.axvline)):
            span(-100 * margin, 100 * margin, color="0.92", linewidth=0, zorder=0)
            line(0, color="black", linewidth=1)
        looks = {"yes": {"markerfacecolor": COLORS[0]}, "no": {"markerfacecolor": "white"}}
        for sensitive, look in looks.items():
            rows = 100 * effects.loc[effects["sensitive"] == sensitive, ["gain", "effect"]]
            axes.plot(rows["gain"], rows["effect"], "o", color=COLORS[0], markersize=6.5, **look)
        for row in effects.itertuples():
            axes.hlines(100 * row.effect, 100 * row.gain_low, 100 * row.gain_high, color=COLORS[0], linewidth=0.7)
            axes.vlines(100 * row.gain, 100 * row.low, 100 * row.high, color=COLORS[0], linewidth=0.7)
        axes.set_xlabel(f"What standard training gains in the last half of its budget ({metric.points})")
        axes.set_ylabel(f"Alternation at the end ({metric.points})")
        axes.grid(True, axis="y")
        handles = [
            Line2D([], [], linestyle="", marker="o", color=COLORS[0], label=words, **looks[sensitive])
            for sensitive, words in (("yes", "sensitive"), ("no", "not sensitive: cannot tell"))
        ]
        add_legend(figure, handles, "A data set, with 95 % bootstrap intervals. Bands: the margin.")
        beyond = effects[effects[["gain", "effect"]].abs().max(axis=1) > margin]
        _name_points(figure, axes, 100 * beyond.set_index("dataset")[["gain", "effect"]])
    return figure


def _name_points(figure: Figure, axes: Axes, points: pd.DataFrame) -> None:
    """Name points of an axes, the farthest from its origin first; a name that would lie on another is left out."""
    order = (points**2).sum(axis=1).sort_values(ascending=False, kind="stable").index
    names = [
        axes.annotate(row_label(name), points.loc[name], (5, 4), textcoords="offset points", fontsize="small")
        for name in order
    ]
    figure.draw_without_rendering()
    taken: list[Bbox] = []
    for name in names:
        box = name.get_window_extent()
        if box.count_overlaps(taken):
            name.remove()
        else:
            taken.append(box)


def own_budgets_figure(rows: pd.DataFrame, margin: float, cost: float, metric: Metric = METRICS["accuracy"]) -> Figure:
    """Draw both endpoints against the operations of standard training.

    Parameters
    ----------
    rows : pandas.DataFrame
        One row per budget, see `altfreeze.report.blocks.endpoints.own_budgets`.
    margin, cost : float
        Half widths of the bands in which a difference, and a ratio less 1, count as none.
    metric : altfreeze.vocabulary.Metric

    Returns
    -------
    matplotlib.figure.Figure
    """
    with style():
        figure = Figure(figsize=(9, 3.4), layout="constrained")
        panels = end, time = figure.subplots(1, 2)
        for panel, endpoint, scale in ((end, "end", 100), (time, "time", 1)):
            effect, low, high = (scale * rows[f"{endpoint}_{name}"] for name in ("effect", "low", "high"))
            panel.plot(rows["operations"], effect, "o-", color=COLORS[0], linewidth=1)
            panel.vlines(rows["operations"], low, high, color=COLORS[0], linewidth=1.8)
            panel.set_xscale("log")
            label_plainly(panel.xaxis, panel.get_xlim())
            panel.grid(True, axis="y")
            for row, height in zip(rows.itertuples(), effect, strict=True):
                panel.annotate(f"{row.epochs}", (row.operations, height), (5, 4), textcoords="offset points")
        _draw_margins(end, time, margin, cost)
        end.set_ylabel(f"End ({metric.points})")
        time.set_ylabel("Time to target (ratio)")
        label_clock(figure, panels, "flops")
        figure.suptitle(
            "Numbers: epochs of standard training. Bar: 95 % bootstrap interval. Band: the margin.", fontsize="small"
        )
    return figure


def _draw_margins(end: Axes, time: Axes, margin: float, cost: float) -> None:
    """Draw that nothing changes, and the margin around it, on the axes of both endpoints; label that of times."""
    time.set_yscale("log")
    for axes, nothing, band in ((end, 0, (-100 * margin, 100 * margin)), (time, 1, (1 / (1 + cost), 1 + cost))):
        axes.axhspan(*band, color="0.92", linewidth=0, zorder=0)
        axes.axhline(nothing, color="black", linewidth=1, zorder=1)
    few_ticks(end.yaxis)
    low, high = time.get_ylim()
    label_plainly(time.yaxis, (low, high))
    if high < 5 * low:
        few_ticks(time.yaxis)


def _kinds(rows: pd.DataFrame) -> list[str]:
    """Return what is said of each recipe, a key of the looks."""
    primary, variation, crippled = _LOOKS
    return [
        primary if row.recipe == PRIMARY_RECIPE else crippled if row.cripples == "yes" else variation
        for row in rows.itertuples()
    ]


def _draw_effects(axes: Axes, rows: pd.DataFrame, endpoint: str, scale: int) -> None:
    """Draw an endpoint's effects with their intervals; one that is not known leaves its column empty."""
    columns = [scale * rows[f"{endpoint}_{name}"] for name in ("effect", "low", "high")]
    for place, (kind, effect, low, high) in enumerate(zip(_kinds(rows), *columns, strict=True)):
        axes.vlines(place, low, high, color=_LOOKS[kind]["color"], linewidth=1.8)
        axes.plot(place, effect, linestyle="", **_LOOKS[kind])
    axes.grid(True, axis="y")
    axes.grid(False, axis="x")


def _draw_changes(axes: Axes, recipes: Sequence[Sequence[tuple[str, str]]], changed: Sequence[tuple[str, str]]) -> None:
    """Draw what recipes change as a matrix of dots, one row per value of a key."""
    for row, change in enumerate(changed):
        with_it = [change in recipe for recipe in recipes]
        for there, color in ((True, "black"), (False, LIGHT_GREY)):
            places = [place for place, has in enumerate(with_it) if has == there]
            axes.plot(places, [row] * len(places), "o", color=color, markersize=5 if there else 2.5)
    labels = [f"{key.replace('_', ' ')} {value}" for key, value in changed]
    axes.set_yticks(range(len(changed)), labels, fontsize="small")
    axes.set_ylim(len(changed) - 0.5, -0.5)
    axes.set_xlim(-0.5, len(recipes) - 0.5)
    axes.set_xticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
