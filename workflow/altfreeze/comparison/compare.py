"""Compare the strategies of a study: tables of pairs, of data sets and of times to target."""

import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from altfreeze.comparison import secondary as inference
from altfreeze.data.split import TEST_SHARE, VALIDATION_SHARE
from altfreeze.statistics import (
    PairedComparison,
    across_datasets,
    bayesian_signed_rank,
    cluster_mean,
    holm,
    interquartile_mean,
    paired_comparisons,
    two_one_sided_tests,
    verdict,
)
from altfreeze.study.grid import Study, share_parameters
from altfreeze.support.errors import InputError
from altfreeze.support.files import atomic_output
from altfreeze.support.parallel import in_order
from altfreeze.support.randomness import stream_seed
from altfreeze.tables.schema import (
    CELL,
    DIGITS,
    ROUNDING,
    arrow_rows,
    columns,
    conform,
    csv_header,
    csv_rows,
    read_categories,
    read_table,
    write_table,
)

# the column of the table epochs that each budget is counted on
CLOCKS = {"epochs": "epoch", "updates": "updates_mean", "flops": "flops", "seconds": "reference_seconds"}
RATIOS = {"flops_ratio": "flops", "seconds_ratio": "reference_seconds"}
OWN_METRICS = ("final_test_accuracy", "best_test_accuracy", *RATIOS)
# of a run's rows: each seed draws its own split
TEST_OVER_TRAIN = TEST_SHARE / (1 - VALIDATION_SHARE - TEST_SHARE)
# what alternating training is compared with beside standard training
CONTROLS = ("standard_half_updates", "standard_matched_flops", "frozen_bottom", "frozen_top", "random_half")


# what is read of the table runs
_READ = ("seed", "status", "best_test_accuracy", "best_epoch", "epochs", *RATIOS.values())


class _Cell(NamedTuple):
    """The runs of a cell, by seed: ``clocks`` by budget, shape (epochs,), and ``accuracy``, shape (runs, epochs).

    ``runs`` are columns of the table runs, shape (runs,). A missing run has no accuracies, and a cell of which
    every run is missing no epochs.
    """

    runs: dict
    clocks: dict
    accuracy: np.ndarray


def rows_at_common_end(*clocks):
    """Return where strategies are read so that none has spent more than the least of their ends.

    Parameters
    ----------
    *clocks : ndarray, shape (epochs,)
        What each strategy has spent after each of its epochs, increasing.

    Returns
    -------
    list of int
        Of each strategy the last row that does not exceed the smallest of the last values,
        and -1 where none does, or where what was spent is not known. Values that differ by less
        than the digits of the logs are the same.
    """
    ends = [clock[-1] if len(clock) else np.nan for clock in clocks]
    if np.isnan(ends).any():
        return [-1] * len(ends)
    end = min(ends) * (1 + ROUNDING)
    return [int(np.searchsorted(clock, end, side="right")) - 1 for clock in clocks]


def comparisons_of(study):
    """Return which strategies are compared with which, on which budgets.

    Every strategy is compared with standard training, and each that alternates also with
    every control whose parameters, as far as it shares them, are its own: with the frozen
    bottom of its own ratio, say.

    Parameters
    ----------
    study : altfreeze.study.grid.Study

    Returns
    -------
    list of (str, str, list of (str, str))
        Label of the strategy, label of its reference, and budgets with metrics.
    """
    own = [("own", metric) for metric in OWN_METRICS]
    every = own + [(budget, "final_test_accuracy") for budget in CLOCKS]
    found = []
    for label, parameters in list(study.strategies.items())[1:]:
        found.append((label, "standard", every))
        for control, others in study.strategies.items() if parameters["name"] == "alternating" else ():
            if others["name"] in CONTROLS and share_parameters(parameters, others):
                # random halves learn as often as groups do, and for as many epochs
                found.append((label, control, own if others["name"] == "random_half" else every))
    return found


def compare(study, tables, threads=1):
    """Write every table that compares.

    These are ``comparisons.csv``, ``pairs.csv``, ``across_datasets.csv`` and those of `altfreeze.comparison.secondary`.

    Runs are paired by seed. A seed of which a run diverged or is missing is left out of the pairs of
    that comparison and counted in ``dropped``, and so are all seeds where a strategy's
    first epoch exceeds the common budget.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    tables : path
        Folder with what `altfreeze.tables.collect` wrote; it is written to, too.
    threads : int
        Processes at work; no table depends on it.

    Raises
    ------
    InputError
        With one line, if a table is missing or lacks a run of the study.
    """
    tables = Path(tables)
    runs, times, reached, calibration = (
        read_table(tables / f"{name}.csv", name) for name in ("runs", "times_to_target", "reached", "calibration")
    )
    cells = _cells(study, tables, runs)
    there = {key: (cell.runs["status"] != "missing").sum() for key, cell in cells.items()}
    for name, table, each in (("times_to_target", times, there), ("reached", reached, dict.fromkeys(cells, 1))):
        expected = {key: count * len(study.target_levels) for key, count in each.items() if count}
        if table.value_counts(CELL).to_dict() != expected:
            raise InputError(f"{tables / name}.csv: its rows are not those of the study; run snakemake again")
    tasks = [
        _Task(
            study,
            depth,
            recipe,
            *compared,
            {
                (name, label): cells[name, depth, label, recipe]
                for name, label in itertools.product(study.datasets, compared[:2])
            },
        )
        for depth, recipe, compared in itertools.product(
            study.depths, dict.fromkeys(pack.recipe for pack in study.packs), comparisons_of(study)
        )
    ]
    pairs, across, primary_differences = [], [], {}
    with atomic_output(tables / "pairs.csv", "wb") as text:
        text.write(csv_header(columns("pairs")))
        for compared in in_order(_comparison, tasks, threads):
            pairs += compared.comparisons
            across += compared.across
            primary_differences |= compared.primary_differences
            text.write(compared.pairs)
    comparisons = _write(tables, "comparisons", pairs)
    _write(tables, "across_datasets", _adjusted(pd.DataFrame(across)))
    _write(tables, "trends", inference.trends(study, comparisons))
    _write(tables, "times", inference.times(study, runs, times, threads))
    _write(tables, "profiles", inference.profiles(study, reached))
    _write(tables, "matrix", inference.matrix(study, runs))
    _write(tables, "self_comparison", inference.self_comparison(study, runs, calibration))
    _write(tables, "variance", inference.variance(study, runs))
    _write(tables, "seeds_needed", inference.seeds(study, primary_differences))


class _Task(NamedTuple):
    """Two strategies that are compared at a depth and kind of learning rates; ``cells`` by data set and strategy."""

    study: Study
    depth: int
    recipe: str
    strategy: str
    reference: str
    readings: list
    cells: dict


class _Compared(NamedTuple):
    """What a task gives: rows of the tables, those of pairs as CSV, and the differences that the study is about."""

    comparisons: list
    across: list
    pairs: bytes
    primary_differences: dict


def _comparison(task):
    """Return the rows of two strategies, on each data set and on all together, at every budget; see `_Compared`."""
    study, depth, recipe, strategy, reference, readings, cells = task
    names = ("depth", "recipe", "strategy", "reference", "budget", "metric")
    ratio = study.strategies[strategy].get("freeze_ratio", np.nan)
    primary = study.primary
    # a data set's seeds are resampled alike in all comparisons, so that of one data set 'all' says the same
    seeds = [inference.resampling_seed(study.seed, name) for name in study.datasets]
    compared = _Compared([], [], bytearray(), {})
    for budget, metric in readings:
        key = (depth, recipe, strategy, reference, budget, metric)
        named = dict(zip(names, key, strict=True))
        stated = {"freeze_ratio": ratio, "family": _family(study, primary, *key)} | named
        values = {
            name: _read(*(cells[name, label] for label in (reference, strategy)), budget, metric)
            for name in study.datasets
        }
        every = list(values.values())
        sides = [[getattr(reading, name) for reading in every] for name in ("reference", "strategy")]
        found = paired_comparisons(*sides, seeds, TEST_OVER_TRAIN)
        for name, chosen, each in zip(
            (*study.datasets, "all"), (*([reading] for reading in every), every), found, strict=True
        ):
            compared.comparisons.append({"dataset": name} | stated | _compared(chosen, each, metric, study))
        for name, reading in values.items():
            compared.pairs.extend(csv_rows(_pairs(reading, named | {"dataset": name})))
        if metric == "final_test_accuracy":
            compared.across.append(stated | _across(every, study))
            if recipe == "configured" and (strategy, reference, budget) == primary:
                compared.primary_differences[depth] = [reading.strategy - reading.reference for reading in every]
    return compared._replace(pairs=bytes(compared.pairs))


def _write(tables, name, rows):
    table = conform(pd.DataFrame(rows), name, str(tables / f"{name}.csv"))
    write_table(table, tables / f"{name}.csv")
    return table


def _family(study, primary, depth, recipe, strategy, reference, budget, metric):
    """Return 'primary', 'family' or 'secondary': what the configuration made of a comparison before it was seen."""
    if (depth, recipe, metric) != (study.primary_depth, "configured", "final_test_accuracy"):
        return "secondary"
    if (strategy, reference, budget) == primary:
        return "primary"
    member = strategy in study.family and strategy != primary[0]
    return "family" if member and (reference, budget) == ("standard", study.primary_budget) else "secondary"


def _across(readings, study):
    """Return the columns of a comparison whose unit is the data set; those without a pair are counted."""
    differences = [reading.strategy - reading.reference for reading in readings]
    usable = [values for values in differences if len(values)]
    missing = {"missing": len(differences) - len(usable)}
    if not usable:
        counts = {"datasets": 0, "nonzero": 0, "can_be_significant": 0, "verdict": "undecided"}
        figures = [name for name, column in columns("across_datasets").items() if column["type"] == "float"]
        return dict.fromkeys({*figures} - {"freeze_ratio", "adjusted_p"}, np.nan) | missing | counts
    means = [round(values.mean(), DIGITS) for values in usable]
    found = across_datasets(means)
    seed = stream_seed(study.seed, "across", "bootstrap")
    middle, mean = (estimate(usable, seed) for estimate in (interquartile_mean, cluster_mean))
    margin = study.equivalence_margin
    believed = bayesian_signed_rank(means, margin, seed)
    return {
        **missing,
        **found._asdict(),
        "can_be_significant": int(found.can_be_significant),
        "cluster_low": mean.low,
        "cluster_high": mean.high,
        "interquartile_mean": middle.estimate,
        "interquartile_low": middle.low,
        "interquartile_high": middle.high,
        "probability_worse": believed.left,
        "probability_equivalent": believed.rope,
        "probability_better": believed.right,
        # data sets that all say the same claim nothing of others
        "verdict": verdict(round(found.low, DIGITS), round(found.high, DIGITS), margin)
        if found.low < found.high
        else "undecided",
    }


def _adjusted(across):
    """Add the p-values of the family that the configuration declares, adjusted by Holm's method."""
    chosen = across["family"].isin(["primary", "family"]) & across["wilcoxon_p"].notna()
    adjusted = pd.Series(np.nan, across.index)
    adjusted[chosen] = holm(across.loc[chosen, "wilcoxon_p"].to_numpy())
    return across.assign(adjusted_p=adjusted)


def _cells(study, tables, runs):
    """Return {(data set, depth, strategy, recipe): _Cell} of a study's table runs and its table epochs."""
    path = tables / "epochs.parquet"
    epochs = _in_order(read_categories(path, "epochs", [*CELL, "seed", *CLOCKS.values(), "test_accuracy"]))
    numbers = {name: epochs[name].to_numpy() for name in ("seed", *CLOCKS.values(), "test_accuracy")}
    starts = np.flatnonzero(np.r_[True, np.diff(epochs["cell"]) != 0]) if len(epochs) else []
    places = {
        tuple(key): slice(start, end)
        for key, start, end in zip(
            epochs[CELL].iloc[starts].itertuples(index=False, name=None),
            starts,
            [*starts[1:], len(epochs)],
            strict=True,
        )
    }
    runs = {key: frame for key, frame in runs.sort_values("seed").groupby(CELL)}
    cells = {}
    for pack in study.packs:
        key = tuple(getattr(pack, name) for name in CELL)
        if pack.calibrates or key in cells:
            continue
        seeds = np.arange(study.seeds)
        lacking = InputError(f"{tables}: the seeds of {' '.join(map(str, key))} are not 0 to {seeds[-1]}, each whole")
        if key not in runs:
            raise InputError(f"{tables / 'runs.csv'}: no run of {' '.join(map(str, key))}; run snakemake again")
        own = {name: runs[key][name].to_numpy() for name in _READ}
        there = seeds[own["status"] != "missing"] if np.array_equal(own["seed"], seeds) else seeds
        if len(there) and key not in places:
            raise InputError(f"{path}: no run of {' '.join(map(str, key))}; run snakemake again")
        rows = {name: values[places.get(key, slice(0))] for name, values in numbers.items()}
        # all seeds of a cell follow one plan, so that their clocks are the same
        first = rows["seed"] == there[0] if len(there) else np.empty(0, bool)
        whole = np.array_equal(rows["seed"], np.repeat(there, first.sum()))
        if not whole or not np.array_equal(own["seed"], seeds):
            raise lacking
        accuracy = np.full((len(seeds), first.sum()), np.nan)
        accuracy[there] = rows["test_accuracy"].reshape(len(there), -1) if len(there) else np.nan
        cells[key] = _Cell(own, {budget: rows[name][first] for budget, name in CLOCKS.items()}, accuracy)
    return cells


def _in_order(epochs):
    """Return the table epochs by cell, seed and epoch, its cells numbered in the column cell."""
    cell = np.zeros(len(epochs), np.int64)
    for name in CELL:
        codes, values = pd.factorize(epochs[name])
        cell = cell * len(values) + codes
    cell = pd.factorize(cell)[0]
    keys = [cell, epochs["seed"].to_numpy(), epochs["epoch"].to_numpy()]
    order = np.lexsort(keys[::-1])
    epochs = epochs.assign(cell=cell)
    return epochs if (order[1:] > order[:-1]).all() else epochs.iloc[order]


class _Reading(NamedTuple):
    """Values of two cells on the pairs that are used and their seeds, shape (pairs,), and the counts of runs."""

    reference: np.ndarray
    strategy: np.ndarray
    read_reference: np.ndarray
    read_strategy: np.ndarray
    used: np.ndarray
    seeds: int
    diverged_reference: int
    diverged_strategy: int
    missing_reference: int
    missing_strategy: int


def _read(reference, strategy, budget, metric):
    """Read two cells at a budget; see `_Reading`."""
    pair = (reference, strategy)
    counts = [[(each.runs["status"] == status).sum() for each in pair] for status in ("diverged", "missing")]
    usable = np.all([each.runs["status"] == "ok" for each in pair], axis=0)
    rows = [-1, -1]
    if budget != "own":
        rows = rows_at_common_end(*(each.clocks[budget] for each in pair))
        usable &= min(rows) >= 0
    epochs = [each.clocks["epochs"] for each in pair]
    nothing = np.full(len(usable), np.nan)
    shares = [
        np.full(len(usable), made[row] / made[-1]) if len(made) else nothing
        for made, row in zip(epochs, rows, strict=True)
    ]
    if metric in RATIOS:
        spent = [each.runs[RATIOS[metric]] for each in pair]
        # of runs that are not used, nothing may have been spent
        values = [np.ones(len(usable)), np.divide(spent[1], spent[0], out=nothing.copy(), where=usable)]
        # without timing there are no reference seconds
        usable &= np.isfinite(values[1])
    elif metric == "best_test_accuracy":
        values = [each.runs["best_test_accuracy"] for each in pair]
        shares = [each.runs["best_epoch"] / each.runs["epochs"] for each in pair]
    else:
        values = [
            each.accuracy[:, row] if each.accuracy.size else nothing for each, row in zip(pair, rows, strict=True)
        ]
    read = (value[usable] for value in (*values, *shares, reference.runs["seed"]))
    return _Reading(*read, len(usable), *(int(count) for each in counts for count in each))


def _pairs(reading, key):
    """Return one row per pair of a reading, of the table pairs in Arrow's form."""
    values = {"reference_value": reading.reference, "strategy_value": reading.strategy, "seed": reading.used}
    values |= key | {"difference": reading.strategy - reading.reference}
    return arrow_rows("pairs", len(reading.used), values)


def _compared(readings, found, metric, study):
    """Return the columns of a comparison over the readings of one or of all data sets, and what was found on them."""
    sides = [[getattr(reading, name) for reading in readings] for name in ("reference", "strategy")]
    complete = all(len(values) for values in sides[0])

    def mean(values):
        return float(np.mean([each.mean() for each in values])) if complete else np.nan

    margin = study.cost_margin if metric in RATIOS else study.equivalence_margin
    # the last digits of the logs decide nothing
    said = verdict(round(found.low, DIGITS), round(found.high, DIGITS), margin)
    differences = [strategy - reference for reference, strategy in zip(*sides, strict=True)]
    return {
        "dropped": sum(reading.seeds for reading in readings) - found.pairs,
        **{
            f"{status}_{side}": sum(getattr(reading, f"{status}_{side}") for reading in readings)
            for status, side in itertools.product(("diverged", "missing"), ("reference", "strategy"))
        },
        "reference_mean": mean(sides[0]),
        "strategy_mean": mean(sides[1]),
        "difference": found.mean_difference,
        **{name: getattr(found, name) for name in PairedComparison._fields if name != "mean_difference"},
        "equivalence_p": two_one_sided_tests(differences, margin + 10.0**-DIGITS) if complete else np.nan,
        "read_reference": mean([reading.read_reference for reading in readings]),
        "read_strategy": mean([reading.read_strategy for reading in readings]),
        "verdict": {"better": "higher", "worse": "lower"}.get(said, said) if metric in RATIOS else said,
    }
