"""What the page on budgets says of the time to a target."""

import html
import math

import pandas as pd

from altfreeze.report.blocks.budgets import controls
from altfreeze.report.blocks.cells import heading
from altfreeze.report.words import percent
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.vocabulary import CLOCKS


def targets_table(study: Study, targets: pd.DataFrame) -> pd.DataFrame:
    """Return chance, what standard training scores on validation data and the target of each level."""
    goals = targets[(targets["depth"] == study.primary_depth) & (targets["recipe"] == PRIMARY_RECIPE)]
    levels = goals.pivot(index="dataset", columns="level", values="target").reindex(study.datasets)
    levels.columns = [f"{100 * level:g} %" for level in levels.columns]
    first = goals.groupby("dataset")[["chance", "calibration_median"]].first().reindex(study.datasets)
    table = pd.concat([first, levels], axis=1).map(
        lambda share: (
            "none" if math.isnan(share) else f"{study.metric.scale * share:.{1 if study.metric.scale == 100 else 3}f}"
        )
    )
    table = table.rename(columns={"chance": "Chance", "calibration_median": "Standard training"})
    return table.rename_axis("Data set").reset_index()


def with_target(targets: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of data sets that have a target: those on which standard training is above chance."""
    return times.merge(targets.loc[targets["target"].notna(), ["dataset", "depth", "recipe"]].drop_duplicates())


def _here(study: Study, reached: pd.DataFrame) -> pd.DataFrame:
    return reached[(reached["depth"] == study.primary_depth) & (reached["recipe"] == PRIMARY_RECIPE)]


def reached_table(study: Study, reached: pd.DataFrame) -> pd.DataFrame:
    """Return how many runs of each strategy reached each level, over the data sets of the rows."""
    here = _here(study, reached)
    sums = here.groupby(["strategy", "level"], sort=False)[["runs", "reached", "censored"]].sum()
    levels = sorted(here["level"].unique())
    rows = []
    for label in study.strategies:
        of_label = [sums.loc[(label, level)] for level in levels]
        cells = [f"{row['reached']} of {row['runs']} ({percent(row['reached'] / row['runs'])})" for row in of_label]
        rows.append([label, *cells, sum(row["censored"] for row in of_label)])
    columns = [f"At {100 * level:g} %" for level in levels]
    return pd.DataFrame(rows, columns=["Strategy", *columns, "Censored, all levels"])


def hardest(study: Study, reached: pd.DataFrame) -> dict[str, str]:
    """Return the two data sets on which the fewest runs reached a target, each with a sentence that says so."""
    here = _here(study, reached).groupby("dataset")
    shares = (here["reached"].sum() / here["runs"].sum()).sort_values(kind="stable").head(2)
    return {
        dataset: f"**{html.escape(dataset)}** at depth {study.primary_depth}: reached in {percent(share)} of all runs "
        "and levels"
        for dataset, share in shares.items()
    }


def drawn_strategies(study: Study, comparisons: pd.DataFrame) -> list[str]:
    """Return the labels whose curves are drawn: standard training, the primary strategy and its controls."""
    others = [label for labels in controls(study, comparisons).values() for label in labels]
    return ["standard", study.primary_strategy, *others]


def sooner(study: Study) -> str:
    """Return what the table of times as ratios shows, and at which level of the target."""
    return (
        f"Time to the target at {100 * study.primary_level:g} % of the way (the level of the answer), as a ratio to "
        "that of standard training (below 1: sooner): the median over the pairs of which both runs reached it. These "
        "pairs are no fair sample, since what is hard for one strategy is left out for both; *only it*, *only "
        "standard* and *neither* count that."
    )


def sooner_table(study: Study, times_to_target: pd.DataFrame) -> pd.DataFrame:
    """Return each strategy's time to the target as a ratio to standard training's, on every clock."""
    rows_of = _here(study, times_to_target)
    rows_of = rows_of[rows_of["level"] == study.primary_level].set_index(["dataset", "seed"])
    standard = rows_of[rows_of["strategy"] == "standard"]
    there, clocks = standard["reached"] == 1, list(CLOCKS)
    rows = []
    for label in study.strategies:
        if label == "standard":
            continue
        of_label = rows_of[rows_of["strategy"] == label].reindex(standard.index)
        it = of_label["reached"] == 1
        ratios = (of_label.loc[it & there, clocks] / standard.loc[it & there, clocks]).median()
        counts = [(it & there).sum(), (it & ~there).sum(), (~it & there).sum(), (~it & ~there).sum()]
        rows.append([label, *counts, *("" if math.isnan(ratio) else f"{ratio:.2f}" for ratio in ratios)])
    titles = [heading(clock.words) for clock in CLOCKS.values()]
    return pd.DataFrame(rows, columns=["Strategy", "Both", "Only it", "Only standard", "Neither", *titles])
