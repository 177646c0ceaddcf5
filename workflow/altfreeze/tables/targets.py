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
from altfreeze.vocabulary import CLOCKS, Metric

# logs hold nine digits: a share is exact to 1e-9, and a larger number to so much of itself
ROUNDING_OF_LOGS = 1e-9


def _chance(study: Study, dataset: str, y: np.ndarray, part: np.ndarray | None) -> float:
    """Return the best that a constant prediction scores on the validation part, which is the same for every seed.

    The classes' shares of that part are the same for every seed.
    """
    counts = np.bincount(y[split_of_seed(y, study.seed, dataset, 0, part).validation])
    return float(study.metric.chance(counts / counts.sum()))


def _median(scores: np.ndarray) -> float:
    """Return the median with a diverged run, NaN, below all others; NaN if it falls on one."""
    median = np.median(np.nan_to_num(scores, nan=-np.inf))
    return median if np.isfinite(median) else np.nan


def above_chance(scores: np.ndarray, chance: float) -> str:
    """Return whether runs beat a constant prediction, which takes no training.

    They do where the lower end of the 95 % t interval of their mean, over seeds, lies above it (Student, The
    probable error of a mean, 1908, https://doi.org/10.2307/2331554). Runs that diverged are left out, as they are
    of comparisons, unless they are so many that the median is one.

    Parameters
    ----------
    scores : ndarray, shape (runs,)
        More is better: of a metric of which less is, its negative. NaN of a run that diverged.
    chance : float
        What the constant prediction scores; NaN where it is not known.

    Returns
    -------
    {'yes', 'no', 'unknown'}
        A run alone has no interval: it is ``no`` if it is not above chance itself, else ``unknown``.
    """
    ended = scores[~np.isnan(scores)]
    if not len(scores) or np.isnan(chance):
        return "unknown"
    if np.isnan(_median(scores)):
        return "no"
    half = 0.0
    if len(ended) > 1:
        half = special.stdtrit(len(ended) - 1, (1 + CONFIDENCE) / 2) * ended.std(ddof=1) / np.sqrt(len(ended))
    if ended.mean() - half <= chance + ROUNDING_OF_LOGS:
        return "no"
    return "yes" if len(ended) > 1 else "unknown"


def calibrated_targets(
    study: Study,
    calibration: pd.DataFrame,
    classes: Mapping[str, tuple[np.ndarray, np.ndarray | None] | None],
) -> pd.DataFrame:
    """Return the targets that the final validation scores of the calibration runs give.

    Of a missing run nobody knows how good it was: without it there is no median, and no target. Nor is there one
    where standard training is not above chance: its share of the way from there to there is nothing.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    calibration : pandas.DataFrame
        The table calibration.
    classes : dict of str to (ndarray of int, shape (rows,), ndarray of int8, shape (rows,), or None), or None
        By data set the class of each row and the split that it came with, if it did; None where nobody knows.

    Returns
    -------
    pandas.DataFrame
        The table targets.
    """
    calibrated = {setting: runs for setting, runs in calibration.groupby(SETTING)}
    metric, rows = study.metric, []
    for setting in study.settings:
        runs, known = calibrated[setting], classes[setting[0]]
        chance = np.nan if known is None else _chance(study, setting[0], *known)
        there = (runs["status"] != "missing").sum()
        whole = there == len(runs)
        scores = metric.sign * runs[f"final_{metric.validation}"].to_numpy()
        median = metric.sign * _median(scores) if whole else np.nan
        above = above_chance(scores, metric.sign * chance) if whole else "unknown"
        for level in study.target_levels:
            target = np.nan if above == "no" else chance + level * (median - chance)
            rows.append((*setting, level, there, chance, median, above, target))
    return conform(pd.DataFrame(rows, columns=list(columns("targets"))), "targets", "targets")


def times_to_target(
    key: Mapping[str, Any], targets: Sequence[tuple[float, float]], logged: Mapping[str, np.ndarray], metric: Metric
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
    metric : altfreeze.vocabulary.Metric
        What the targets are of.

    Returns
    -------
    pyarrow.Table
        Rows of the table times_to_target, by run and level.
    """
    scores = metric.sign * logged[metric.validation]
    levels, aims = np.array(targets, float).reshape(-1, 2).T
    hits = scores[:, None, :] >= (metric.sign * aims - ROUNDING_OF_LOGS * np.maximum(1, np.abs(aims)))[:, None]
    reached = hits.any(axis=2)
    # shape (runs, levels): the first epoch at the target, or the last one
    at = np.where(reached, hits.argmax(axis=2), scores.shape[1] - 1)
    run = np.arange(len(scores))[:, None]
    values = {
        "seed": np.repeat(logged["seed"][:, 0], len(aims)),
        "level": np.tile(levels, len(scores)),
        "target": np.tile(aims, len(scores)),
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
