"""What the page on statistics says of all strategies: on data sets like these, along a trend, and of each other."""

import pandas as pd

from altfreeze.report.blocks.cells import NO_PAIR, at, heading, shorter_trainings, tally, whole_trainings
from altfreeze.report.blocks.statistics import SIGNIFICANCE
from altfreeze.report.selection import compared_rows
from altfreeze.report.words import count, interval, number, points
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.vocabulary import BUDGETS, EQUAL_BUDGETS

_OVER = {"freeze_ratio": "freeze ratio", "depth": "depth"}


def against_standard(study: Study, across_datasets: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the table across_datasets that compare whole trainings with standard training.

    At the primary depth, under the primary recipe; none where the study has one data set.
    """
    rows = across_datasets[
        (across_datasets["depth"] == study.primary_depth)
        & (across_datasets["reference"] == "standard")
        & (across_datasets["recipe"] == PRIMARY_RECIPE)
        & across_datasets["strategy"].isin(whole_trainings(study))
    ]
    return rows if len(study.primary_datasets) > 1 else rows.iloc[:0]


def _at_primary_budget(study: Study, across_datasets: pd.DataFrame) -> pd.DataFrame:
    rows = against_standard(study, across_datasets)
    return rows[rows["budget"] == study.primary_budget]


def can_be_drawn(study: Study, across_datasets: pd.DataFrame) -> bool:
    """Return whether any strategy has a mean over data sets at the primary budget."""
    return bool(_at_primary_budget(study, across_datasets)["mean"].notna().any())


def on_others_like_these(study: Study, comparisons: pd.DataFrame, across_datasets: pd.DataFrame) -> str:
    """Return how many strategies get which verdict at each budget, and whether both questions get the same one."""
    if len(study.primary_datasets) == 1:
        return "One data set says nothing of others."
    labels, clock = whole_trainings(study), study.primary_budget
    seen = compared_rows(comparisons, study.metric.final, clock, "standard")
    seen = seen[(seen["dataset"] == "all") & (seen["depth"] == study.primary_depth)].set_index("strategy")["verdict"]
    usable = _at_primary_budget(study, across_datasets).dropna(subset="mean")
    same = (usable["verdict"].to_numpy() == seen.reindex(usable["strategy"]).to_numpy()).sum()
    rows = against_standard(study, across_datasets).dropna(subset="mean")
    of_budgets = [f"{tally(rows.loc[rows['budget'] == budget, 'verdict'])} {at(budget)}" for budget in EQUAL_BUDGETS]
    sentences = [
        f"At depth {study.primary_depth}, of {count(len(labels), 'strategy', 'strategies')}: {'; '.join(of_budgets)}.",
        f"{heading(at(clock))} the two questions get the same verdict for {same} of {len(usable)}.",
    ]
    shorter = shorter_trainings(study)
    if shorter:
        sentences.append(
            f"Left out, as standard training that ends earlier: {', '.join(f'`{label}`' for label in shorter)}; the "
            f"matrix below has {'it' if len(shorter) == 1 else 'them'}."
        )
    return " ".join(sentences)


def on_others_like_these_table(study: Study, across_datasets: pd.DataFrame) -> pd.DataFrame:
    """Return each strategy minus standard training at the primary budget, each data set one value."""
    rows = [
        [
            row.strategy,
            f"{points(row.mean)} {row.verdict}\n{interval(row.low, row.high)}" if row.datasets else NO_PAIR,
            interval(row.cluster_low, row.cluster_high),
            f"{points(row.interquartile_mean)}\n{interval(row.interquartile_low, row.interquartile_high)}".strip(),
            number(row.wilcoxon_p),
        ]
        for row in _at_primary_budget(study, across_datasets).itertuples()
    ]
    columns = [
        heading(at(study.primary_budget)),
        f"Mean ({study.metric.points}), 95 % t interval",
        "95 % cluster bootstrap",
    ]
    columns += ["Interquartile mean", "Wilcoxon p"]
    return pd.DataFrame(rows, columns=columns)


def _tested_trends(trends: pd.DataFrame) -> pd.DataFrame:
    return trends[(trends["recipe"] == PRIMARY_RECIPE) & trends["p_value"].notna()]


def trend(trends: pd.DataFrame) -> str:
    """Return how many tests of a trend are significant, and the smallest p-value."""
    tested = _tested_trends(trends)
    if tested.empty:
        return "No test: it takes three freeze ratios or three depths, and two data sets with a difference at each."
    low = (tested["p_value"] <= SIGNIFICANCE).sum()
    least = tested.loc[tested["p_value"].idxmin()]
    where = f"the {_OVER[least['over']]} ({least['levels'].replace(' ', ', ')}), {least['at']}, {at(least['budget'])}"
    return (
        f"{low} of {count(len(tested), 'test')} {'has' if low == 1 else 'have'} p ≤ {SIGNIFICANCE:g}, and with no "
        f"trend anywhere {SIGNIFICANCE * len(tested):.1f} would be expected to; the smallest is "
        f"{number(least['p_value'])}: over {where}: {least['direction']}."
    )


def trend_table(trends: pd.DataFrame) -> pd.DataFrame:
    """Return direction and p-value of each trend at each budget."""
    rows = []
    for (over, where, levels), tests in _tested_trends(trends).groupby(["over", "at", "levels"], sort=False):
        of_budget = {row.budget: f"{row.direction}\np = {number(row.p_value)}" for row in tests.itertuples()}
        cells = [of_budget.get(budget, "no test") for budget in BUDGETS]
        rows.append([f"{_OVER[over]} {levels.replace(' ', ', ')}", where, tests["datasets"].max(), *cells])
    columns = ["Over", "Of", "Data sets", *(heading(at(budget)) for budget in BUDGETS)]
    return pd.DataFrame(rows, columns=columns)


def matrix_cells(study: Study, matrix: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the table matrix to draw: at the primary depth, none where no two strategies share a seed."""
    rows = matrix[(matrix["depth"] == study.primary_depth) & (matrix["recipe"] == PRIMARY_RECIPE)]
    return rows if rows["mean_difference"].notna().any() else rows.iloc[:0]


def everything_against_everything(study: Study, matrix: pd.DataFrame) -> str:
    """Return how many pairs of strategies differ significantly."""
    rows = matrix_cells(study, matrix)
    if rows.empty:
        return "No two strategies have a run of the same seed that ended."
    pairs = rows[rows["row"] < rows["column"]]
    low = (pairs["wilcoxon_p"] <= SIGNIFICANCE).sum()
    whole = pairs["datasets"].max()
    partial = (pairs["datasets"] < whole).sum()
    fewer = f" ({count(partial, 'pair')} on fewer, as no seed ended with both)" if partial else ""
    return (
        f"Of {count(len(pairs), 'pair')} of strategies, {low} {'has' if low == 1 else 'have'} p ≤ {SIGNIFICANCE:g}, "
        f"not adjusted, on {count(whole, 'data set')}{fewer}; the smallest that any has is "
        f"{number(pairs['wilcoxon_p'].min())}."
    )
