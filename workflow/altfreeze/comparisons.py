"""Compare the strategies of a study: tables of pairs, of data sets and of times to target."""

import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from altfreeze import InputError, inference
from altfreeze.config import packs, primary_comparison, share_parameters, strategies
from altfreeze.data import TEST_SHARE, VALIDATION_SHARE
from altfreeze.randomness import stream_seed
from altfreeze.statistics import (
    PairedComparison,
    across_datasets,
    bayesian_signed_rank,
    cluster_mean,
    holm,
    interquartile_mean,
    paired_comparison,
    two_one_sided_tests,
    verdict,
)
from altfreeze.tables import CELL, DIGITS, ROUNDING, columns, conform, read_table, write_table

# the column of the table epochs that each budget is counted on
CLOCKS = {"epochs": "epoch", "updates": "updates_mean", "flops": "flops", "seconds": "reference_seconds"}
RATIOS = {"flops_ratio": "flops", "seconds_ratio": "reference_seconds"}
OWN_METRICS = ("final_test_accuracy", "best_test_accuracy", *RATIOS)
# of a run's rows: each seed draws its own split
TEST_OVER_TRAIN = TEST_SHARE / (1 - VALIDATION_SHARE - TEST_SHARE)
# what alternating training is compared with beside standard training
CONTROLS = ("standard_half_updates", "standard_matched_flops", "frozen_bottom", "frozen_top", "random_half")


class _Cell(NamedTuple):
    """The runs of a cell, by seed: ``clocks`` by budget, shape (epochs,), and ``accuracy``, shape (runs, epochs)."""

    runs: pd.DataFrame
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
        and -1 where none does. Values that differ by less than the digits of the logs are
        the same.
    """
    end = min(clock[-1] for clock in clocks) * (1 + ROUNDING)
    return [int(np.searchsorted(clock, end, side="right")) - 1 for clock in clocks]


def comparisons_of(study):
    """Return which strategies are compared with which, on which budgets.

    Every strategy is compared with standard training, and each that alternates also with
    every control whose parameters, as far as it shares them, are its own: with the frozen
    bottom of its own ratio, say.

    Parameters
    ----------
    study : dict
        Complete configuration; see `altfreeze.config.validate`.

    Returns
    -------
    list of (str, str, list of (str, str))
        Label of the strategy, label of its reference, and budgets with metrics.
    """
    own = [("own", metric) for metric in OWN_METRICS]
    every = own + [(budget, "final_test_accuracy") for budget in CLOCKS]
    found = []
    for label, parameters in list(strategies(study).items())[1:]:
        found.append((label, "standard", every))
        for control, others in strategies(study).items() if parameters["name"] == "alternating" else ():
            if others["name"] in CONTROLS and share_parameters(parameters, others):
                # random halves learn as often as groups do, and for as many epochs
                found.append((label, control, own if others["name"] == "random_half" else every))
    return found


def compare(study, tables):
    """Write every table that compares.

    These are ``comparisons.csv``, ``pairs.csv``, ``across_datasets.csv`` and those of `altfreeze.inference`.

    Runs are paired by seed. A seed of which a run diverged is left out of the pairs of
    that comparison and counted in ``dropped``, and so are all seeds where a strategy's
    first epoch exceeds the common budget.

    Parameters
    ----------
    study : dict
        Complete configuration; see `altfreeze.config.validate`.
    tables : path
        Folder with what `altfreeze.tables.collect` wrote; it is written to, too.

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
    for name, table, each in (("times_to_target", times, study["seeds"]), ("reached", reached, 1)):
        if table.value_counts(CELL).to_dict() != dict.fromkeys(cells, each * len(study["target_levels"])):
            raise InputError(f"{tables / name}.csv: its rows are not those of the study; run snakemake again")
    ratios = {label: parameters.get("freeze_ratio", np.nan) for label, parameters in strategies(study).items()}
    names = ("depth", "rates", "strategy", "reference", "budget", "metric")
    primary = primary_comparison(study)
    pairs, seeds, across, primary_differences = [], [], [], {}
    for depth, rates, (strategy, reference, readings) in itertools.product(
        study["depths"], dict.fromkeys(pack.rates for pack in packs(study)), comparisons_of(study)
    ):
        for budget, metric in readings:
            key = (depth, rates, strategy, reference, budget, metric)
            stated = {"freeze_ratio": ratios[strategy], "family": _family(study, primary, *key)} | dict(
                zip(names, key, strict=True)
            )
            values = {
                name: _read(*(cells[name, depth, label, rates] for label in (reference, strategy)), budget, metric)
                for name in study["datasets"]
            }
            seeds += [
                _pairs(reading).assign(dataset=name, **dict(zip(names, key, strict=True)))
                for name, reading in values.items()
            ]
            for name in (*study["datasets"], "all"):
                chosen = list(values.values()) if name == "all" else [values[name]]
                # the same draws for each, so that of one data set 'all' says the same
                compared = _compared(chosen, metric, study, _generator(study, *key))
                pairs.append({"dataset": name} | stated | compared)
            if metric == "final_test_accuracy":
                across.append(stated | _across(list(values.values()), study, _generator(study, "across", *key)))
                if rates == "configured" and (strategy, reference, budget) == primary:
                    primary_differences[depth] = [reading.strategy - reading.reference for reading in values.values()]
    comparisons = _write(tables, "comparisons", pairs)
    _write(tables, "pairs", pd.concat(seeds, ignore_index=True))
    _write(tables, "across_datasets", _adjusted(pd.DataFrame(across)))
    _write(tables, "trends", inference.trends(study, comparisons))
    _write(tables, "times", inference.times(study, runs, times))
    _write(tables, "profiles", inference.profiles(study, reached))
    _write(tables, "matrix", inference.matrix(study, runs))
    _write(tables, "self_comparison", inference.self_comparison(study, runs, calibration))
    _write(tables, "variance", inference.variance(study, runs))
    _write(tables, "seeds_needed", inference.seeds(study, primary_differences))


def _generator(study, *key):
    return np.random.default_rng(stream_seed(study["seed"], *key, "bootstrap"))


def _write(tables, name, rows):
    table = conform(pd.DataFrame(rows), name, str(tables / f"{name}.csv"))
    write_table(table, tables / f"{name}.csv")
    return table


def _family(study, primary, depth, rates, strategy, reference, budget, metric):
    """Return 'primary', 'family' or 'secondary': what the configuration made of a comparison before it was seen."""
    if (depth, rates, metric) != (study["primary_depth"], "configured", "final_test_accuracy"):
        return "secondary"
    if (strategy, reference, budget) == primary:
        return "primary"
    member = strategy in study["family"] and strategy != primary[0]
    return "family" if member and (reference, budget) == ("standard", study["primary_budget"]) else "secondary"


def _across(readings, study, generator):
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
    middle, mean = (estimate(usable, generator) for estimate in (interquartile_mean, cluster_mean))
    margin = study["equivalence_margin"]
    believed = bayesian_signed_rank(means, margin, generator)
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
    """Return {(data set, depth, strategy, rates): _Cell} of a study's table runs and its table epochs."""
    epochs = read_table(tables / "epochs.parquet", "epochs").sort_values(["seed", "epoch"])
    runs = {key: frame.set_index("seed") for key, frame in runs.sort_values("seed").groupby(CELL)}
    epochs = dict(list(epochs.groupby(CELL)))
    cells = {}
    for pack in packs(study):
        key = tuple(getattr(pack, name) for name in CELL)
        if pack.calibrates or key in cells:
            continue
        seeds = list(range(study["seeds"]))
        for name, table in (("runs.csv", runs), ("epochs.parquet", epochs)):
            if key not in table:
                raise InputError(f"{tables / name}: no run of {' '.join(map(str, key))}; run snakemake again")
        # all seeds of a cell follow one plan, so that their clocks are the same
        first = epochs[key][epochs[key]["seed"] == 0]
        if runs[key].index.tolist() != seeds or epochs[key]["seed"].tolist() != np.repeat(seeds, len(first)).tolist():
            raise InputError(f"{tables}: the seeds of {' '.join(map(str, key))} are not 0 to {seeds[-1]}, each whole")
        clocks = {budget: first[column].to_numpy() for budget, column in CLOCKS.items()}
        cells[key] = _Cell(runs[key], clocks, epochs[key]["test_accuracy"].to_numpy().reshape(len(seeds), -1))
    return cells


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


def _read(reference, strategy, budget, metric):
    """Read two cells at a budget; see `_Reading`."""
    pair = (reference, strategy)
    diverged = [(each.runs["status"] == "diverged").to_numpy() for each in pair]
    usable = ~(diverged[0] | diverged[1])
    rows = [-1, -1]
    if budget != "own":
        rows = rows_at_common_end(*(each.clocks[budget] for each in pair))
        usable &= min(rows) >= 0
    epochs = [each.clocks["epochs"] for each in pair]
    shares = [np.full(len(usable), made[row] / made[-1]) for made, row in zip(epochs, rows, strict=True)]
    if metric in RATIOS:
        spent = [each.runs[RATIOS[metric]].to_numpy() for each in pair]
        values = [np.ones(len(usable)), spent[1] / spent[0]]
    elif metric == "best_test_accuracy":
        values = [each.runs["best_test_accuracy"].to_numpy() for each in pair]
        shares = [(each.runs["best_epoch"] / each.runs["epochs"]).to_numpy() for each in pair]
    else:
        values = [each.accuracy[:, row] for each, row in zip(pair, rows, strict=True)]
    numbers = reference.runs.index.to_numpy()
    read = (value[usable] for value in (*values, *shares, numbers))
    return _Reading(*read, len(usable), *map(int, map(np.sum, diverged)))


def _pairs(reading):
    """Return one row per pair of a reading, with the last columns of the table pairs."""
    values = {"reference_value": reading.reference, "strategy_value": reading.strategy}
    return pd.DataFrame({"seed": reading.used, **values, "difference": reading.strategy - reading.reference})


def _compared(readings, metric, study, generator):
    """Return the columns of a comparison over the readings of one or of all data sets."""
    sides = [[getattr(reading, name) for reading in readings] for name in ("reference", "strategy")]
    found = paired_comparison(*sides, generator, TEST_OVER_TRAIN)
    complete = all(len(values) for values in sides[0])

    def mean(values):
        return float(np.mean([each.mean() for each in values])) if complete else np.nan

    margin = study["cost_margin" if metric in RATIOS else "equivalence_margin"]
    # the last digits of the logs decide nothing
    said = verdict(round(found.low, DIGITS), round(found.high, DIGITS), margin)
    differences = [strategy - reference for reference, strategy in zip(*sides, strict=True)]
    return {
        "dropped": sum(reading.seeds for reading in readings) - found.pairs,
        "diverged_reference": sum(reading.diverged_reference for reading in readings),
        "diverged_strategy": sum(reading.diverged_strategy for reading in readings),
        "reference_mean": mean(sides[0]),
        "strategy_mean": mean(sides[1]),
        "difference": found.mean_difference,
        **{name: getattr(found, name) for name in PairedComparison._fields if name != "mean_difference"},
        "equivalence_p": two_one_sided_tests(differences, margin + 10.0**-DIGITS) if complete else np.nan,
        "read_reference": mean([reading.read_reference for reading in readings]),
        "read_strategy": mean([reading.read_strategy for reading in readings]),
        "verdict": {"better": "higher", "worse": "lower"}.get(said, said) if metric in RATIOS else said,
    }
