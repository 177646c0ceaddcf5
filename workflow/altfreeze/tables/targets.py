"""Targets from calibration, and what each run had spent when it reached them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from scipy import special

from altfreeze.data.split import split_of_seed
from altfreeze.statistics.paired import CONFIDENCE
from altfreeze.study.grid import Study
from altfreeze.tables.schema import CELL, SETTING, arrow_rows, columns, conform
from altfreeze.vocabulary import CLOCKS

# logs hold nine digits: a share is exact to 1e-9
SHARE_ROUNDING = 1e-9


def _chance(study: Study, dataset: str, y: np.ndarray) -> float:
    """Return the share of the largest class in the validation part, which is the same for every seed."""
    counts = np.bincount(y[split_of_seed(y, study.seed, dataset, 0).validation])
    return counts.max() / counts.sum()


def _median_accuracy(accuracies: np.ndarray) -> float:
    """Return the median with a diverged run, NaN, below all others; NaN if it falls on one."""
    median = np.median(np.nan_to_num(accuracies, nan=-np.inf))
    return median if np.isfinite(median) else np.nan


def above_chance(accuracies: np.ndarray, chance: float) -> str:
    """Return whether runs beat the share of the largest class, which takes no training.

    They do where the lower end of the 95 % t interval of their mean, over seeds, lies above it (Student, The
    probable error of a mean, 1908, https://doi.org/10.2307/2331554). Runs that diverged are left out, as they are
    of comparisons, unless they are so many that the median is one.

    Parameters
    ----------
    accuracies : ndarray, shape (runs,)
        NaN of a run that diverged.
    chance : float
        NaN where it is not known.

    Returns
    -------
    {'yes', 'no', 'unknown'}
        A run alone has no interval: it is ``no`` if it is not above chance itself, else ``unknown``.
    """
    ended = accuracies[~np.isnan(accuracies)]
    if not len(accuracies) or np.isnan(chance):
        return "unknown"
    if np.isnan(_median_accuracy(accuracies)):
        return "no"
    half = 0.0
    if len(ended) > 1:
        half = special.stdtrit(len(ended) - 1, (1 + CONFIDENCE) / 2) * ended.std(ddof=1) / np.sqrt(len(ended))
    if ended.mean() - half <= chance + SHARE_ROUNDING:
        return "no"
    return "yes" if len(ended) > 1 else "unknown"


def calibrated_targets(
    study: Study, calibration: pd.DataFrame, classes: Mapping[str, np.ndarray | None]
) -> pd.DataFrame:
    """Return the targets that the final validation accuracies of the calibration runs give.

    Of a missing run nobody knows how good it was: without it there is no median, and no target. Nor is there one
    where standard training is not above chance: its share of the way from there to there is nothing.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    calibration : pandas.DataFrame
        The table calibration.
    classes : dict of str to ndarray of int, shape (rows,), or None
        By data set the class of each row; None where nobody knows.

    Returns
    -------
    pandas.DataFrame
        The table targets.
    """
    calibrated = {setting: runs for setting, runs in calibration.groupby(SETTING)}
    rows = []
    for setting in study.settings:
        runs, y = calibrated[setting], classes[setting[0]]
        chance = np.nan if y is None else _chance(study, setting[0], y)
        there = (runs["status"] != "missing").sum()
        whole = there == len(runs)
        accuracies = runs["final_validation_accuracy"].to_numpy()
        accuracy = _median_accuracy(accuracies) if whole else np.nan
        above = above_chance(accuracies, chance) if whole else "unknown"
        for level in study.target_levels:
            target = np.nan if above == "no" else chance + level * (accuracy - chance)
            rows.append((*setting, level, there, chance, accuracy, above, target))
    return conform(pd.DataFrame(rows, columns=list(columns("targets"))), "targets", "targets")


def times_to_target(
    key: Mapping[str, Any], targets: Sequence[tuple[float, float]], logged: Mapping[str, np.ndarray]
) -> pa.Table:
    """Return what each run of a pack had spent at its first epoch at each target, or else at its end.

    Parameters
    ----------
    key : dict
        The cell's columns.
    targets : sequence of (float, float)
        Level and target.
    logged : dict of str to ndarray, shape (runs, epochs)
        Columns of the table epochs.

    Returns
    -------
    pyarrow.Table
        Rows of the table times_to_target, by run and level.
    """
    accuracy = logged["validation_accuracy"]
    levels, aims = np.array(targets, float).reshape(-1, 2).T
    hits = accuracy[:, None, :] >= aims[:, None] - SHARE_ROUNDING
    reached = hits.any(axis=2)
    # shape (runs, levels): the first epoch at the target, or the last one
    at = np.where(reached, hits.argmax(axis=2), accuracy.shape[1] - 1)
    run = np.arange(len(accuracy))[:, None]
    values = {
        "seed": np.repeat(logged["seed"][:, 0], len(aims)),
        "level": np.tile(levels, len(accuracy)),
        "target": np.tile(aims, len(accuracy)),
        "reached": reached.ravel().astype(int),
        **{clock.name: logged[clock.column][run, at].ravel() for clock in CLOCKS.values()},
    }
    return arrow_rows("times_to_target", reached.size, {**key, **values})


def reached_targets(times: pd.DataFrame, cells: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
    """Return of each cell and level how many runs reached the target, and the median of what they had spent.

    Parameters
    ----------
    times : pandas.DataFrame
        The table times_to_target.
    cells : sequence of tuple
        Cell and level of every row, in its order; a cell of which every run is missing has its rows, too.

    Returns
    -------
    pandas.DataFrame
        The table reached.
    """
    clocks = list(CLOCKS)
    # a run that did not reach the target takes longer than any that did
    late = times.assign(**{name: times[name].astype("float64").where(times["reached"] == 1, np.inf) for name in clocks})
    groups = late.groupby([*CELL, "level"], sort=False)
    table = groups["reached"].agg(runs="size", reached="sum")
    table = table.assign(censored=table["runs"] - table["reached"]).join(groups[clocks].median())
    table = table.reindex(pd.MultiIndex.from_tuples(cells, names=[*CELL, "level"]))
    table = table.fillna(dict.fromkeys(("runs", "reached", "censored"), 0))
    return conform(table.replace(np.inf, np.nan).reset_index(), "reached", "times_to_target")
