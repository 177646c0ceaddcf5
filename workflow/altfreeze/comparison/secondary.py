"""What the tables of a study say beyond single comparisons: trends, times, profiles, and diagnostics of the study."""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from altfreeze.comparison.readings import resampling_seed
from altfreeze.comparison.seconds import error_of_pair, widened
from altfreeze.statistics import (
    Interval,
    a_a,
    compare_times,
    multi_comparison_matrix,
    page_trend,
    profile_score,
    seeds_needed,
    time_ratios,
    variance_components,
    verdict,
)
from altfreeze.statistics.across import PageTrend
from altfreeze.statistics.diagnostics import SeedsNeeded, VarianceComponents
from altfreeze.statistics.reach import TimesComparison
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.support.parallel import in_order
from altfreeze.tables.schema import CELL, DIGITS, ROUNDING
from altfreeze.vocabulary import CLOCKS, Metric

# a trend needs three levels to be one
FEWEST_LEVELS = 3
SEEDS = (2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000)


def trends(study: Study, comparisons: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the table trends: Page's test of alternating training over freeze ratios and over depths.

    Parameters
    ----------
    study : Study
    comparisons : DataFrame
        The table comparisons.

    Returns
    -------
    list of dict
        One row for each budget and depth or strategy with at least three levels, under the
        primary recipe; of fewer than two data sets that have them all, without a statistic.
    """
    read = comparisons[
        (comparisons["metric"] == study.metric.final)
        & (comparisons["reference"] == "standard")
        & comparisons["dataset"].isin(study.primary_datasets)
        & (comparisons["recipe"] == PRIMARY_RECIPE)
    ]
    primary = study.strategies[study.primary_strategy]
    # those that differ from the primary strategy in nothing but the freeze ratio
    levels = [
        label
        for label, parameters in study.strategies.items()
        if parameters == primary | {"freeze_ratio": parameters.get("freeze_ratio")}
        and label == f"alternating-{parameters['freeze_ratio']:g}"
    ]
    read = read[read["strategy"].isin(levels)]
    rows = []
    for over, along in (("freeze_ratio", "depth"), ("depth", "strategy")):
        for (budget, recipe, at), cells in read.groupby(["budget", "recipe", along], sort=False):
            table = cells.pivot(index="dataset", columns=over, values="difference")
            if table.shape[1] < FEWEST_LEVELS:
                continue
            # the last digits of the logs make no ranks
            whole = table.dropna().round(DIGITS)
            trend = page_trend(whole.to_numpy()) if len(whole) > 1 else PageTrend(np.nan, "unknown", np.nan)
            rows.append(
                {
                    "budget": budget,
                    "recipe": recipe,
                    "over": over,
                    "at": f"depth {at}" if along == "depth" else at,
                    "levels": " ".join(f"{level:g}" for level in table.columns),
                    "datasets": len(whole),
                    "missing": len(table) - len(whole),
                    **trend._asdict(),
                }
            )
    return rows


class _Times(NamedTuple):
    """A strategy beside standard training at a data set and depth: what its rows of the table times are made of.

    ``arms`` are columns of the table times_to_target, of standard training and of the strategy, each sorted by
    seed; ``horizons`` by clock the smaller of their ends, NaN where there is none; ``error`` of the ratio of their
    seconds, see `altfreeze.comparison.seconds.error_of_pair`.
    """

    study_seed: int
    levels: list[float]
    cell: dict[str, Any]
    arms: list[dict[str, np.ndarray]]
    horizons: dict[str, float]
    error: float


def times(
    study: Study,
    runs: pd.DataFrame,
    reached_times: pd.DataFrame,
    errors: Mapping[tuple[str, int, str], float],
    threads: int = 1,
) -> list[dict[str, Any]]:
    """Return the table times: the time to each target on each clock, every strategy against standard training.

    Parameters
    ----------
    study : Study
    runs, reached_times : DataFrame
        The tables runs and times_to_target.
    errors : dict
        How well seconds are known; see `altfreeze.comparison.seconds.timing_errors`.
    threads : int
        Processes at work.

    Returns
    -------
    list of dict
        See `altfreeze.statistics.compare_times`, where the interval on the clock of seconds carries their error; a
        diverged run counts as one that did not reach its target unless it did so before. A seed of which a run is
        missing is left out.
    """
    ends = runs[runs["status"] != "missing"].groupby(CELL)[[clock.end for clock in CLOCKS.values()]].min()
    cells = {key: frame.sort_values(["seed", "level"]) for key, frame in reached_times.groupby(CELL)}
    tasks = []
    for dataset, depth, strategy, recipe in study.cells:
        if strategy == "standard":
            continue
        keys = [(dataset, depth, label, recipe) for label in ("standard", strategy)]
        frames = [cells.get(key, reached_times[:0]) for key in keys]
        shared = set(frames[0]["seed"]) & set(frames[1]["seed"])
        arms = [
            {name: rows[name].to_numpy() for name in ("level", "reached", *CLOCKS)}
            for rows in (frame[frame["seed"].isin(shared)] for frame in frames)
        ]
        # without a run there is no end
        horizons = {
            name: min(float(ends.loc[key, clock.end]) for key in keys) if shared else np.nan
            for name, clock in CLOCKS.items()
        }
        cell = {"dataset": dataset, "depth": depth, "recipe": recipe, "strategy": strategy}
        error = error_of_pair(errors, dataset, depth, strategy, "standard")
        tasks.append(_Times(study.seed, study.target_levels, cell, arms, horizons, error))
    return [row for rows in in_order(_times_of, tasks, threads) for row in rows]


def _times_of(task: _Times) -> list[dict[str, Any]]:
    """Return the rows of the table times of one strategy at a data set and depth."""
    # the resamples of the comparisons on the data set
    seed = resampling_seed(task.study_seed, task.cell["dataset"])
    rows = []
    for level, clock in itertools.product(task.levels, CLOCKS):
        arms = [{name: values[arm["level"] == level] for name, values in arm.items()} for arm in task.arms]
        spent = [arm[clock].astype(float) for arm in arms]
        reached = [arm["reached"].astype(bool) for arm in arms]
        horizon = task.horizons[clock]
        if np.isnan(horizon):
            # neither without runs nor without reference seconds is there a time
            result: dict[str, Any] = dict.fromkeys(TimesComparison._fields, np.nan)
            result |= {"pairs": len(spent[0]), "difference": Interval(np.nan, np.nan, np.nan)}
        else:
            result = compare_times(spent[0], reached[0], spent[1], reached[1], horizon, seed)._asdict()
        interval = result.pop("difference")
        if clock == "seconds":
            # as much longer as the strategy may take
            interval = widened(interval, [result["strategy_restricted_mean"] * np.expm1(task.error)])
        expected = {name: result.pop(name) for name in ("reference_expected_runtime", "strategy_expected_runtime")}
        rows.append(
            task.cell
            | {"level": level, "clock": clock}
            | result
            # where no run succeeded the expected runtime is infinite: empty in the table
            | {name: value if np.isfinite(value) else np.nan for name, value in expected.items()}
            | {"difference": interval.estimate, "low": interval.low, "high": interval.high}
        )
    return rows


def profiles(study: Study, reached: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the table profiles: how close each strategy comes to the fastest one's median time to target.

    Parameters
    ----------
    study : Study
    reached : DataFrame
        The table reached.

    Returns
    -------
    list of dict
        One row for each depth, level, clock and strategy, under the primary recipe.
    """
    rows = []
    reached = reached[reached["dataset"].isin(study.primary_datasets) & (reached["recipe"] == PRIMARY_RECIPE)]
    for (depth, recipe, level), cells in reached.groupby(["depth", "recipe", "level"]):
        for clock in CLOCKS:
            table = cells.pivot(index="strategy", columns="dataset", values=clock).reindex(list(study.strategies))
            medians = table.fillna(np.inf).to_numpy()
            ratios = time_ratios(medians)
            for strategy, score, own in zip(table.index, profile_score(medians), ratios, strict=True):
                rows.append(
                    {
                        "depth": depth,
                        "recipe": recipe,
                        "level": level,
                        "clock": clock,
                        "strategy": strategy,
                        "datasets": len(own),
                        "reached": int(np.isfinite(own).sum()),
                        # the order of a sum makes no winner
                        "fastest": int((own <= 1 + ROUNDING).sum()),
                        "score": score,
                    }
                )
    return rows


def matrix(study: Study, runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the table matrix: every strategy against every other over the data sets, under the primary recipe.

    Each is read at its own end. Each two are paired by seed, so that a diverged run leaves out the seed in its own
    rows alone.

    Parameters
    ----------
    study : Study
    runs : DataFrame
        The table runs.

    Returns
    -------
    list of dict
        See `altfreeze.statistics.multi_comparison_matrix`; rows and columns by mean, the best first,
        of all runs that ended, data sets weighing the same. Strategies that share no seed of
        any data set have no difference.
    """
    rows = []
    runs = runs[runs["dataset"].isin(study.primary_datasets)]
    for depth in study.depths:
        cells = runs[(runs["depth"] == depth) & (runs["recipe"] == PRIMARY_RECIPE)]
        # a diverged run has no score at its end
        table = cells.pivot(index=["dataset", "seed"], columns="strategy", values=study.metric.final)
        # more is better
        table = study.metric.sign * table.reindex(columns=list(study.strategies))
        means = table.groupby("dataset").mean().mean().round(DIGITS)
        of_pair: dict[tuple[str, str], dict] = {}
        for one, other in itertools.combinations(table, 2):
            # the last digits of the logs make no wins
            differences = (table[one] - table[other]).dropna().groupby("dataset").mean().round(DIGITS)
            counts = {"datasets": len(differences), "missing": len(study.primary_datasets) - len(differences)}
            nothing = {"mean_difference": np.nan, "wins": 0, "ties": 0, "losses": 0, "wilcoxon_p": np.nan}
            both = [{"row": row, "column": column} | nothing for row, column in ((one, other), (other, one))]
            if len(differences):
                scores = np.column_stack([differences, np.zeros(len(differences))])
                both = [cell._asdict() for cell in multi_comparison_matrix(scores, [one, other])]
            of_pair |= {(cell["row"], cell["column"]): counts | cell for cell in both}
        order = means.sort_values(ascending=False, kind="stable").index
        key = {"depth": depth, "recipe": PRIMARY_RECIPE}
        rows += [key | of_pair[pair] for pair in itertools.permutations(order, 2)]
    return rows


def _ended(metric: Metric, frame: pd.DataFrame, depth: int) -> dict[str, np.ndarray]:
    """Return the final scores, of which more is better, of the runs of a depth that ended, by data set."""
    frame = frame[(frame["depth"] == depth) & (frame["status"] == "ok")].sort_values("seed")
    return {name: metric.sign * cells[metric.final].to_numpy() for name, cells in frame.groupby("dataset")}


def self_comparison(study: Study, runs: pd.DataFrame, calibration: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the table self_comparison: standard training against itself, the compared seeds and those of calibration.

    Parameters
    ----------
    study : Study
    runs, calibration : DataFrame
        The tables of these names.

    Returns
    -------
    list of dict
        One row for each depth, and data set or 'all' together; without a difference where
        a side has fewer than two runs that ended.
    """
    standard = runs[(runs["strategy"] == "standard") & (runs["recipe"] == PRIMARY_RECIPE)]
    calibration = calibration[calibration["recipe"] == PRIMARY_RECIPE]
    rows = []
    for depth in study.depths:
        sides = [_ended(study.metric, each, depth) for each in (standard, calibration)]
        for name in (*study.datasets, "all"):
            datasets = study.primary_datasets if name == "all" else [name]
            values = [[side.get(dataset, np.empty(0)) for dataset in datasets] for side in sides]
            enough = min(map(len, itertools.chain(*values))) > 1
            interval = a_a(*values) if enough else Interval(np.nan, np.nan, np.nan)
            low, high = round(interval.low, DIGITS), round(interval.high, DIGITS)
            rows.append(
                {
                    "depth": depth,
                    "dataset": name,
                    "runs": sum(map(len, values[0])),
                    "calibration_runs": sum(map(len, values[1])),
                    "difference": interval.estimate,
                    "low": interval.low,
                    "high": interval.high,
                    "verdict": verdict(low, high, study.equivalence_margin),
                }
            )
    return rows


def _balanced(study: Study, runs: pd.DataFrame, depth: int) -> np.ndarray:
    """Return the final scores of standard and of the primary strategy, shape (data sets, 2, seeds).

    Of each data set these are the first seeds of which neither run diverged, as many as
    the data set with the fewest has: seeds of two data sets have nothing in common.
    """
    cells = runs[(runs["depth"] == depth) & (runs["recipe"] == PRIMARY_RECIPE)]
    table = cells.pivot(index=["dataset", "seed"], columns="strategy", values=study.metric.final)
    table = table[["standard", study.primary_strategy]].dropna()
    sides = [table[table.index.get_level_values("dataset") == name].to_numpy().T for name in study.primary_datasets]
    fewest = min(side.shape[1] for side in sides)
    return np.array([side[:, :fewest] for side in sides])


def variance(study: Study, runs: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the table variance: the share that data set, strategy and seed have in the variance of a run.

    Parameters
    ----------
    study : Study
    runs : DataFrame
        The table runs.

    Returns
    -------
    list of dict
        One row for each depth and component, of standard and primary training; without a
        value for fewer than two data sets or seeds. See `altfreeze.statistics.variance_components`.
    """
    rows = []
    for depth in study.depths:
        values = _balanced(study, runs, depth)
        enough = min(values.shape) > 1
        components = variance_components(values) if enough else VarianceComponents(*[np.nan] * 5)
        for name, value, share in zip(components._fields, components, components.shares(), strict=True):
            rows.append(
                {"depth": depth, "component": name, "seeds": values.shape[2], "variance": value, "share": share}
            )
    return rows


def seeds(study: Study, differences: dict[int, list[np.ndarray]]) -> list[dict[str, Any]]:
    """Return the table seeds_needed: interval and power of the primary comparison with other numbers of seeds.

    Parameters
    ----------
    study : Study
    differences : dict of int to list of ndarray, shape (pairs,)
        Of each depth, the paired differences of the primary comparison on each data set.

    Returns
    -------
    list of dict
        One row for each depth and number of seeds, without values where a data set has fewer
        than two pairs; see `altfreeze.statistics.seeds_needed`. The difference to detect is
        the study's equivalence margin.
    """
    rows = []
    for depth, samples in differences.items():
        unknown = np.full(len(SEEDS), np.nan)
        needed = SeedsNeeded(np.array(SEEDS), unknown, unknown)
        if min(map(len, samples)) > 1:
            needed = seeds_needed(samples, SEEDS, study.equivalence_margin)
        rows += [
            {"depth": depth, "seeds": int(count), "half_width": float(width), "power": float(power)}
            for count, width, power in zip(*needed, strict=True)
        ]
    return rows
