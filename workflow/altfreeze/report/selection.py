"""Rows of the tables that pages and figures read."""

from typing import Any

import pandas as pd

from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.support.errors import InputError
from altfreeze.vocabulary import METRICS, Metric


def compared_rows(
    comparisons: pd.DataFrame, metric: str, budget: str, reference: str, recipe: str = PRIMARY_RECIPE
) -> pd.DataFrame:
    """Return the rows of a table of comparisons that have these values; all columns but these vary."""
    wanted = {"metric": metric, "budget": budget, "reference": reference, "recipe": recipe}
    return comparisons[(comparisons[list(wanted)] == list(wanted.values())).all(axis=1)]


def comparison_rows(
    comparisons: pd.DataFrame,
    metric: str,
    depth: int,
    strategy: str,
    budget: str = "epochs",
    reference: str = "standard",
    recipe: str = PRIMARY_RECIPE,
) -> pd.DataFrame:
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
    rows = compared_rows(comparisons, metric, budget, reference, recipe)
    rows = rows[(rows["depth"] == depth) & (rows["strategy"] == strategy)]
    if rows.empty:
        raise InputError(
            f"comparisons: no row of {metric} of {strategy} against {reference} at depth {depth}, "
            f"budget {budget} and recipe {recipe}"
        )
    return rows


def overall(
    comparisons: pd.DataFrame,
    metric: str,
    depth: int,
    strategy: str,
    budget: str = "epochs",
    reference: str = "standard",
    recipe: str = PRIMARY_RECIPE,
) -> Any:
    """Return the mean over all data sets of one comparison.

    Parameters
    ----------
    comparisons : pandas.DataFrame
        The table comparisons.
    metric, depth, strategy, budget, reference, recipe : str, int, str, str, str, str
        The values of these columns.

    Returns
    -------
    namedtuple
        The row ``all``.

    Raises
    ------
    InputError
        If there is not one such row.
    """
    rows = compared_rows(comparisons, metric, budget, reference, recipe)
    rows = rows[(rows["depth"] == depth) & (rows["strategy"] == strategy) & (rows["dataset"] == "all")]
    if len(rows) != 1:
        raise InputError(
            f"comparisons: {len(rows)} rows 'all' of {metric} at depth {depth} of {strategy} against {reference}, "
            f"budget {budget} and recipe {recipe}; allowed: one"
        )
    return next(rows.itertuples())


def paired_differences(
    runs: pd.DataFrame,
    depth: int,
    strategy: str,
    reference: str = "standard",
    metric: Metric = METRICS["accuracy"],
) -> pd.DataFrame:
    """Return one row per pair of runs of which both ended.

    Parameters
    ----------
    runs : pandas.DataFrame
        The table runs.
    depth : int
    strategy, reference : str
        Labels of the strategy and of what it is compared with.
    metric : altfreeze.vocabulary.Metric
        Read at the end, on the test part.

    Returns
    -------
    pandas.DataFrame
        ``dataset``, ``seed`` and ``difference``, the strategy minus its reference, or the reverse
        where lower is better, each as it is in `runs`; under the primary recipe.
    """
    ended = runs[(runs["depth"] == depth) & (runs["status"] == "ok") & (runs["recipe"] == PRIMARY_RECIPE)]
    ended = ended.set_index(["dataset", "seed"])
    other = ended.loc[ended["strategy"] == strategy, metric.final]
    other_side = ended.loc[ended["strategy"] == reference, metric.final]
    return (metric.sign * (other - other_side)).dropna().rename("difference").reset_index()
