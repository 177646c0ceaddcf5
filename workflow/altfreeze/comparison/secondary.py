"""What the tables of a study say beyond single comparisons: trends, times, profiles, and diagnostics of the study."""

import itertools

import numpy as np

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
from altfreeze.statistics.diagnostics import VarianceComponents
from altfreeze.statistics.reach import TimesComparison
from altfreeze.support.parallel import in_order
from altfreeze.support.randomness import stream_seed
from altfreeze.tables.schema import CELL, DIGITS, ROUNDING

# the columns of the table runs that hold the ends of the clocks of times_to_target
ENDS = {"epoch": "epochs", "updates": "updates_mean", "flops": "flops", "seconds": "reference_seconds"}
# a trend needs three levels to be one
FEWEST_LEVELS = 3
SEEDS = (2, 3, 5, 10, 20, 30, 50, 100, 200, 500, 1000)


def resampling_seed(study_seed, dataset):
    """Return the seed of the resamples of a data set's pairs, which all of its comparisons share.

    Parameters
    ----------
    study_seed : int
    dataset : str

    Returns
    -------
    int
        See `altfreeze.statistics.resample_counts`.
    """
    return stream_seed(study_seed, dataset, "bootstrap")


def trends(study, comparisons):
    """Return the table trends: Page's test of alternating training over freeze ratios and over depths.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    comparisons : pandas.DataFrame
        The table comparisons.

    Returns
    -------
    list of dict
        One row for each budget, kind of learning rates, and depth or strategy with at least three
        levels; of fewer than two data sets that have them all, without a statistic.
    """
    chosen = comparisons[
        (comparisons["metric"] == "final_test_accuracy")
        & (comparisons["reference"] == "standard")
        & (comparisons["dataset"] != "all")
    ]
    primary = study.strategies[study.primary_strategy]
    # those that differ from the primary strategy in nothing but the freeze ratio
    plain = [
        label
        for label, parameters in study.strategies.items()
        if parameters == primary | {"freeze_ratio": parameters.get("freeze_ratio")}
        and label == f"alternating-{parameters['freeze_ratio']:g}"
    ]
    chosen = chosen[chosen["strategy"].isin(plain)]
    rows = []
    for over, along in (("freeze_ratio", "depth"), ("depth", "strategy")):
        for (budget, recipe, at), cells in chosen.groupby(["budget", "recipe", along], sort=False):
            table = cells.pivot(index="dataset", columns=over, values="difference")
            if table.shape[1] < FEWEST_LEVELS:
                continue
            # the last digits of the logs make no ranks
            whole = table.dropna().round(DIGITS)
            found = page_trend(whole.to_numpy()) if len(whole) > 1 else PageTrend(np.nan, "unknown", np.nan)
            rows.append(
                {
                    "budget": budget,
                    "recipe": recipe,
                    "over": over,
                    "at": f"depth {at}" if along == "depth" else at,
                    "levels": " ".join(f"{level:g}" for level in table.columns),
                    "datasets": len(whole),
                    "missing": len(table) - len(whole),
                    **found._asdict(),
                }
            )
    return rows


def times(study, runs, reached_times, threads=1):
    """Return the table times: the time to each target on each clock, every strategy against standard training.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    runs, reached_times : pandas.DataFrame
        The tables runs and times_to_target.
    threads : int
        Processes at work.

    Returns
    -------
    list of dict
        See `altfreeze.statistics.compare_times`; a diverged run counts as one that did not
        reach its target unless it did so before. A seed of which a run is missing is left out.
    """
    there = runs[runs["status"] != "missing"]
    ends = there.groupby(CELL)[list(ENDS.values())].min()
    cells = {key: frame.sort_values(["seed", "level"]) for key, frame in reached_times.groupby(CELL)}
    tasks = []
    for dataset, depth, recipe, strategy in itertools.product(
        study.datasets, study.depths, sorted(runs["recipe"].unique()), list(study.strategies)[1:]
    ):
        keys = [(dataset, depth, label, recipe) for label in ("standard", strategy)]
        found = [cells.get(key, reached_times[:0]) for key in keys]
        shared = set(found[0]["seed"]) & set(found[1]["seed"])
        arms = [
            {name: rows[name].to_numpy() for name in ("level", "reached", *ENDS)}
            for rows in (each[each["seed"].isin(shared)] for each in found)
        ]
        # without a run there is no end
        horizons = {
            clock: min(float(ends.loc[key, end]) for key in keys) if shared else np.nan for clock, end in ENDS.items()
        }
        tasks.append((study.seed, study.target_levels, (dataset, depth, recipe, strategy), arms, horizons))
    return [row for rows in in_order(_times_of, tasks, threads) for row in rows]


def _times_of(task):
    """Return the rows of the table times of one strategy at a data set and depth."""
    study_seed, levels, (dataset, depth, recipe, strategy), arms, horizons = task
    # the resamples of the comparisons on the data set
    seed = resampling_seed(study_seed, dataset)
    rows = []
    for level, clock in itertools.product(levels, ENDS):
        at = [arm["level"] == level for arm in arms]
        key = {
            "dataset": dataset,
            "depth": depth,
            "recipe": recipe,
            "strategy": strategy,
            "level": level,
            "clock": clock,
        }
        given = [
            values
            for arm, chosen in zip(arms, at, strict=True)
            for values in (arm[clock][chosen].astype(float), arm["reached"][chosen].astype(bool))
        ]
        if np.isnan(horizons[clock]):
            # neither without runs nor without reference seconds is there a time
            compared = TimesComparison(len(given[0]), *[np.nan] * 7, Interval(np.nan, np.nan, np.nan))._asdict()
        else:
            compared = compare_times(*given, horizons[clock], seed)._asdict()
        interval = compared.pop("difference")
        expected = {name: compared.pop(name) for name in ("reference_expected_runtime", "strategy_expected_runtime")}
        rows.append(
            key
            | compared
            # where no run succeeded the expected runtime is infinite: empty in the table
            | {name: value if np.isfinite(value) else np.nan for name, value in expected.items()}
            | {"difference": interval.estimate, "low": interval.low, "high": interval.high}
        )
    return rows


def profiles(study, reached):
    """Return the table profiles: how close each strategy comes to the fastest one's median time to target.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    reached : pandas.DataFrame
        The table reached.

    Returns
    -------
    list of dict
        One row for each depth, kind of learning rates, level, clock and strategy.
    """
    rows = []
    for (depth, recipe, level), cells in reached.groupby(["depth", "recipe", "level"]):
        for clock in ENDS:
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


def matrix(study, runs):
    """Return the table matrix: every strategy against every other over the data sets, each at its own end.

    Each two are paired by seed, so that a diverged run leaves out the seed in its own rows alone.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    runs : pandas.DataFrame
        The table runs.

    Returns
    -------
    list of dict
        See `altfreeze.statistics.multi_comparison_matrix`; rows and columns by descending mean
        of all runs that ended, data sets weighing the same. Strategies that share no seed of
        any data set have no difference.
    """
    rows = []
    for depth, recipe in itertools.product(study.depths, sorted(runs["recipe"].unique())):
        chosen = runs[(runs["depth"] == depth) & (runs["recipe"] == recipe)]
        # a diverged run has no accuracy at its end
        table = chosen.pivot(index=["dataset", "seed"], columns="strategy", values="final_test_accuracy")
        table = table.reindex(columns=list(study.strategies))
        means = table.groupby("dataset").mean().mean().round(DIGITS)
        found = {}
        for one, other in itertools.combinations(table, 2):
            # the last digits of the logs make no wins
            differences = (table[one] - table[other]).dropna().groupby("dataset").mean().round(DIGITS)
            counts = {"datasets": len(differences), "missing": len(study.datasets) - len(differences)}
            nothing = {"mean_difference": np.nan, "wins": 0, "ties": 0, "losses": 0, "wilcoxon_p": np.nan}
            cells = [{"row": row, "column": column} | nothing for row, column in ((one, other), (other, one))]
            if len(differences):
                scores = np.column_stack([differences, np.zeros(len(differences))])
                cells = [cell._asdict() for cell in multi_comparison_matrix(scores, [one, other])]
            found |= {(cell["row"], cell["column"]): counts | cell for cell in cells}
        order = means.sort_values(ascending=False, kind="stable").index
        key = {"depth": depth, "recipe": recipe}
        rows += [key | found[pair] for pair in itertools.permutations(order, 2)]
    return rows


def _ended(frame, depth):
    """Return the final test accuracies of the runs of a depth that ended, by data set."""
    frame = frame[(frame["depth"] == depth) & (frame["status"] == "ok")].sort_values("seed")
    return {name: cells["final_test_accuracy"].to_numpy() for name, cells in frame.groupby("dataset")}


def self_comparison(study, runs, calibration):
    """Return the table self_comparison: standard training against itself, the compared seeds and those of calibration.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    runs, calibration : pandas.DataFrame
        The tables of these names.

    Returns
    -------
    list of dict
        One row for each depth, and data set or 'all' together; without a difference where
        a side has fewer than two runs that ended.
    """
    standard = runs[(runs["strategy"] == "standard") & (runs["recipe"] == "configured")]
    rows = []
    for depth in study.depths:
        sides = [_ended(standard, depth), _ended(calibration, depth)]
        for name in (*study.datasets, "all"):
            chosen = study.datasets if name == "all" else [name]
            values = [[side.get(each, ()) for each in chosen] for side in sides]
            enough = min(map(len, itertools.chain(*values))) > 1
            found = a_a(*values) if enough else Interval(np.nan, np.nan, np.nan)
            low, high = round(found.low, DIGITS), round(found.high, DIGITS)
            rows.append(
                {
                    "depth": depth,
                    "dataset": name,
                    "runs": sum(map(len, values[0])),
                    "calibration_runs": sum(map(len, values[1])),
                    "difference": found.estimate,
                    "low": found.low,
                    "high": found.high,
                    "verdict": verdict(low, high, study.equivalence_margin),
                }
            )
    return rows


def _balanced(study, runs, depth):
    """Return the final test accuracies of standard and of the primary strategy, shape (data sets, 2, seeds).

    Of each data set these are the first seeds of which neither run diverged, as many as
    the data set with the fewest has: seeds of two data sets have nothing in common.
    """
    chosen = runs[(runs["depth"] == depth) & (runs["recipe"] == "configured")]
    table = chosen.pivot(index=["dataset", "seed"], columns="strategy", values="final_test_accuracy")
    table = table[["standard", study.primary_strategy]].dropna()
    sides = [table[table.index.get_level_values("dataset") == name].to_numpy().T for name in study.datasets]
    fewest = min(side.shape[1] for side in sides)
    return np.array([side[:, :fewest] for side in sides])


def variance(study, runs):
    """Return the table variance: the share that data set, strategy and seed have in the variance of a run.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    runs : pandas.DataFrame
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


def seeds(study, differences):
    """Return the table seeds_needed: interval and power of the primary comparison with other numbers of seeds.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
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
        found = SEEDS, *[[np.nan] * len(SEEDS)] * 2
        if min(map(len, samples)) > 1:
            found = seeds_needed(samples, SEEDS, study.equivalence_margin)
        rows += [
            {"depth": depth, "seeds": int(count), "half_width": float(width), "power": float(power)}
            for count, width, power in zip(*found, strict=True)
        ]
    return rows
