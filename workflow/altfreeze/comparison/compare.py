"""Compare the strategies of a study: which with which, on each data set, on all together, and over data sets."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from altfreeze.comparison import endpoints, secondary
from altfreeze.comparison.readings import CellRuns, Reading, read_cells, read_pair, resampling_seed
from altfreeze.comparison.seconds import carried, error_of_pair
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
from altfreeze.statistics.paired import FEWEST_PAIRS
from altfreeze.study.grid import Study, share_parameters
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.study.sources import fixes_test_part
from altfreeze.support.errors import InputError
from altfreeze.support.files import atomic_output, write_json
from altfreeze.support.parallel import in_order
from altfreeze.support.randomness import stream_seed
from altfreeze.tables.schema import (
    CELL,
    DIGITS,
    SETTING,
    arrow_rows,
    columns,
    conform,
    csv_header,
    csv_rows,
    float_columns,
    read_table,
    write_table,
)
from altfreeze.tables.seals import seals
from altfreeze.vocabulary import EQUAL_BUDGETS, MEASURES, METRICS, NOT_ABOVE_CHANCE

# of a run's rows, where each seed draws its own split
TEST_OVER_TRAIN = TEST_SHARE / (1 - VALIDATION_SHARE - TEST_SHARE)
# what alternating training is compared with beside standard training
CONTROLS = ("standard_half_updates", "standard_matched_flops", "frozen_bottom", "frozen_top", "random_half")
# the cheapest of them that explain what any other strategy does: fewer updates, and any layers at all
EXPLAINING = ("standard_half_updates", "random_half")


def comparisons_of(study: Study, recipe: str = PRIMARY_RECIPE) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """Return which strategies are compared with which, on which budgets.

    Every strategy is compared with standard training, and each that alternates also with
    every control whose parameters, as far as it shares them, are its own: with the frozen
    bottom of its own ratio, say. Of the controls, every other strategy is compared with half of the
    updates and with random halves. The study's metric is read at every budget, the others at the ends.
    Under a variation it is the primary strategy alone, with each that is trained beside it, and nothing is
    measured in seconds: the timing study times the primary recipe.

    Parameters
    ----------
    study : Study
    recipe : str
        See `Study.recipes`.

    Returns
    -------
    list of (str, str, list of (str, str))
        Label of the strategy, label of its reference, and budgets with metrics.
    """
    ends = [study.metric.final, *(each.final for each in METRICS.values() if each != study.metric), study.metric.best]
    own = [("own", metric) for metric in (*ends, *(name for name, measure in MEASURES.items() if measure.is_ratio))]
    every = own + [(budget, study.metric.final) for budget in EQUAL_BUDGETS]
    if recipe != PRIMARY_RECIPE:
        measured = [each for each in every if each not in (("own", "seconds_ratio"), ("seconds", study.metric.final))]
        strategy = study.primary_strategy
        return [(strategy, label, measured) for label in study.labels_of(recipe) if label != strategy]
    comparisons = []
    for label, parameters in list(study.strategies.items())[1:]:
        comparisons.append((label, "standard", every))
        alternates = parameters["name"] == "alternating"
        explained = not alternates and parameters["name"] not in ("standard", *CONTROLS)
        for control, others in study.strategies.items():
            of_its_own = alternates and others["name"] in CONTROLS and share_parameters(parameters, others)
            if of_its_own or (explained and others["name"] in EXPLAINING):
                # random halves learn as often as groups do, and for as many epochs
                comparisons.append((label, control, own if others["name"] == "random_half" else every))
    return comparisons


def compare(study: Study, tables: Path | str, threads: int = 1) -> None:
    """Write every table that compares.

    These are ``comparisons.csv``, ``pairs.csv``, ``across_datasets.csv`` and those of `altfreeze.comparison.secondary`;
    ``comparisons.json`` holds their seals.

    Runs are paired by seed. A seed of which a run diverged or is missing is left out of the pairs of
    that comparison and counted in ``dropped``, and so are all seeds where a strategy's
    first epoch exceeds the common budget. Where standard training is not above chance all but costs
    get no verdict, and the data set stands in no mean over data sets.

    Parameters
    ----------
    study : Study
    tables : Path or str
        Folder with what `altfreeze.tables.collect` wrote; it is written to, too.
    threads : int
        Processes at work; no table depends on it.

    Raises
    ------
    InputError
        With one line, if a table is missing, was changed or lacks a run of the study.
    """
    tables = Path(tables)
    runs, times, reached, calibration, targets, speedups = (
        read_table(tables / f"{name}.csv", name)
        for name in ("runs", "times_to_target", "reached", "calibration", "targets", "speedups")
    )
    cells = read_cells(study, tables, runs)
    trained = {key: int((cell.runs["status"] != "missing").sum()) for key, cell in cells.items()}
    _check_levels(study, tables / "times_to_target.csv", times, trained)
    _check_levels(study, tables / "reached.csv", reached, dict.fromkeys(cells, 1))
    _check_levels(study, tables / "targets.csv", targets, dict.fromkeys(study.settings, 1), SETTING)

    by_chance = _by_chance(study, targets)
    spent = endpoints.spent_at_target(study, runs, times, speedups)
    sensitivities = endpoints.sensitivity(study, cells, spent, by_chance)
    sensitive = endpoints.sensitive_places(sensitivities, "end")
    answered = endpoints.endpoints(study, cells, spent, by_chance, sensitivities)

    rows: list[dict] = []
    across: list[dict] = []
    primary_differences: dict[int, list[np.ndarray]] = {}
    with atomic_output(tables / "pairs.csv", "wb") as pairs:
        pairs.write(csv_header(columns("pairs")))
        for result in in_order(_compare_two, _tasks(study, cells, by_chance, sensitive, spent.errors), threads):
            rows += result.comparisons
            across += result.across
            primary_differences |= result.primary_differences
            pairs.writelines(result.pairs)
    comparisons = _write(tables, "comparisons", rows)
    compared = {
        "endpoints": answered,
        "sensitivity": pd.DataFrame(sensitivities),
        "variations": pd.DataFrame(endpoints.variations(study, cells, answered)),
        "across_datasets": _adjusted(pd.DataFrame(across)),
        # where nothing was learned there is nothing to rank
        "trends": secondary.trends(study, comparisons[comparisons["verdict"] != NOT_ABOVE_CHANCE]),
        "times": secondary.times(study, runs, times, spent.errors, threads),
        "profiles": secondary.profiles(study, reached),
        "matrix": secondary.matrix(study, runs),
        "self_comparison": secondary.self_comparison(study, runs, calibration),
        "variance": secondary.variance(study, runs),
        "seeds_needed": secondary.seeds(study, primary_differences),
    }
    for name, table in compared.items():
        _write(tables, name, table)
    sealed = seals(tables, [f"{name}.csv" for name in ("comparisons", "pairs", *compared)])
    write_json(tables / "comparisons.json", {"tables": sealed})


def _check_levels(
    study: Study, path: Path, table: pd.DataFrame, counts: dict[tuple, int], key: Sequence[str] = CELL
) -> None:
    """Refuse a table that has not, for each level of the targets, as many rows of each cell as there should be."""
    expected = {key: count * len(study.target_levels) for key, count in counts.items() if count}
    if table.value_counts(list(key)).to_dict() != expected:
        raise InputError(f"{path}: its rows are not those of the study; run snakemake again")


def _write(tables: Path, name: str, rows: pd.DataFrame | list[dict]) -> pd.DataFrame:
    table = conform(pd.DataFrame(rows), name, str(tables / f"{name}.csv"))
    write_table(table, tables / f"{name}.csv")
    return table


class _Task(NamedTuple):
    """Two strategies that are compared at a depth, under a recipe.

    ``readings`` are budgets with metrics; ``cells`` are by data set, each with those of reference and strategy;
    ``by_chance`` are the data sets on which standard training is not above chance at the depth, ``sensitive`` those,
    and the panels, on which the end notices that it lost half of its budget; ``errors`` are those of their seconds.
    """

    study: Study
    depth: int
    recipe: str
    strategy: str
    reference: str
    readings: list[tuple[str, str]]
    cells: dict[str, tuple[CellRuns, CellRuns]]
    by_chance: list[str]
    sensitive: set[str]
    errors: dict[str, float]


class _Result(NamedTuple):
    """What a task gives: rows of the tables, those of pairs as CSV, and by depth the differences the study is about."""

    comparisons: list[dict]
    across: list[dict]
    pairs: list[bytes]
    primary_differences: dict[int, list[np.ndarray]]


def _by_chance(study: Study, targets: pd.DataFrame) -> dict[tuple[int, str], list[str]]:
    """Return, by depth and recipe, the data sets on which standard training is not above chance."""
    beaten = set(targets.loc[targets["above_chance"] == "no", SETTING].itertuples(index=False, name=None))
    return {
        (depth, recipe): [name for name in study.datasets if (name, depth, recipe) in beaten]
        for depth, recipe in dict.fromkeys(setting[1:] for setting in study.settings)
    }


def _tasks(
    study: Study,
    cells: dict[tuple, CellRuns],
    by_chance: dict[tuple[int, str], list[str]],
    sensitive: set[tuple[str, int, str]],
    errors: Mapping[tuple[str, int, str], float],
) -> list[_Task]:
    """Return every two strategies to compare, in the order of the tables."""
    return [
        _Task(
            *(study, depth, recipe, strategy, reference, readings),
            {
                name: (cells[name, depth, reference, recipe], cells[name, depth, strategy, recipe])
                for name in study.datasets
            },
            by_chance[depth, recipe],
            {name for name in (*study.datasets, *study.panels) if (name, depth, recipe) in sensitive},
            {name: error_of_pair(errors, name, depth, strategy, reference) for name in study.datasets},
        )
        for depth, recipe in by_chance
        for strategy, reference, readings in comparisons_of(study, recipe)
    ]


def _compare_two(task: _Task) -> _Result:
    """Return the rows of two strategies, on each data set and on all together, at every budget."""
    study = task.study
    pair = {name: getattr(task, name) for name in ("depth", "recipe", "strategy", "reference")}
    ratio = study.strategies[task.strategy].get("freeze_ratio", np.nan)
    # a data set's seeds are resampled alike in all comparisons, so that of one data set 'all' says the same
    seeds = [resampling_seed(study.seed, name) for name in study.datasets]
    fixed = {name for name in study.datasets if fixes_test_part(study.sources.get(name, {}))}
    result = _Result([], [], [], {})
    for budget, metric in task.readings:
        key = pair | {"budget": budget, "metric": metric}
        both = key | {"freeze_ratio": ratio, "family": _family(task, budget, metric)}
        readings = {name: read_pair(*task.cells[name], budget, metric) for name in study.datasets}
        # what a training costs is known, whatever it has learned
        by_chance = [] if MEASURES[metric].is_ratio else task.by_chance
        # each data set alone and, last, those of a panel together; where there is none to judge, all the same
        judged = {panel: [name for name in names if name not in by_chance] for panel, names in study.panels.items()}
        together = {panel: judged[panel] or names for panel, names in study.panels.items()}
        samples = {name: [name] for name in study.datasets} | together
        figures_of = _figures(readings, seeds, list(together.values()), fixed)
        figures_of = carried(figures_of, [*samples.values()], task.cells, task.errors, budget, metric)
        for (name, sample), figures in zip(samples.items(), figures_of, strict=True):
            chance = {"not_above_chance": sum(each in by_chance for each in study.panels.get(name, [name]))}
            row = _comparison(study, [readings[each] for each in sample], figures, metric)
            if sample[0] in by_chance:
                row |= {"equivalence_p": np.nan, "verdict": NOT_ABOVE_CHANCE}
            elif not MEASURES[metric].is_ratio:
                row["verdict"] = endpoints.where_sensitive(row["verdict"], name in task.sensitive)
            family = {} if name in ("all", *study.primary_datasets) else {"family": "secondary"}
            result.comparisons.append({"dataset": name} | both | family | row | chance)
        for name, reading in readings.items():
            result.pairs.append(csv_rows(_pairs(reading, key | {"dataset": name})))
        usable = [readings[name] for name in judged["all"]]
        if metric == study.metric.final:
            chance = {"not_above_chance": len(study.primary_datasets) - len(usable)}
            units = _across(study, usable)
            units["verdict"] = endpoints.where_sensitive(units["verdict"], "all" in task.sensitive)
            result.across.append(both | units | chance)
        if _is_primary(task, budget, metric):
            result.primary_differences[task.depth] = [reading.differences for reading in usable] or [np.empty(0)]
    return result


def _figures(
    readings: dict[str, Reading], seeds: list[int], together: list[list[str]], fixed: set[str]
) -> list[PairedComparison]:
    """Return the statistics of each data set alone and, last, of those that are taken together.

    Where the test part is the same for every seed (`fixed`), the interval of Nadeau and Bengio does not apply.
    """
    worse, better = zip(*(reading.sides for reading in readings.values()), strict=True)
    overlaps = [np.nan if name in fixed else TEST_OVER_TRAIN for name in readings]
    index = {name: number for number, name in enumerate(readings)}
    return paired_comparisons(worse, better, seeds, overlaps, [[index[name] for name in names] for names in together])


def _is_primary(task: _Task, budget: str, metric: str) -> bool:
    """Return whether two strategies at a budget are the primary comparison, at this or another depth."""
    same = (task.strategy, task.reference, budget) == task.study.primary
    return same and (task.recipe, metric) == (PRIMARY_RECIPE, task.study.metric.final)


def _family(task: _Task, budget: str, metric: str) -> str:
    """Return 'primary', 'family' or 'secondary': what the configuration made of a comparison before it was seen."""
    study = task.study
    if _is_primary(task, budget, metric) and task.depth == study.primary_depth:
        return "primary"
    declared = (study.primary_depth, PRIMARY_RECIPE, "standard", study.primary_budget, study.metric.final)
    member = task.strategy in study.family and task.strategy != study.primary.strategy
    return "family" if member and (task.depth, task.recipe, task.reference, budget, metric) == declared else "secondary"


def _pairs(reading: Reading, key: dict[str, Any]) -> pa.Table:
    """Return one row per pair of a reading, of the table pairs in Arrow's form."""
    values = {"seed": reading.seeds, "reference_value": reading.reference, "strategy_value": reading.strategy}
    return arrow_rows("pairs", len(reading.seeds), key | values | {"difference": reading.differences})


def _comparison(study: Study, readings: list[Reading], figures: PairedComparison, metric: str) -> dict[str, Any]:
    """Return the columns of a comparison over the readings of one or of all data sets, and its statistics."""
    complete = all(len(reading.seeds) for reading in readings)

    def mean(name: str) -> float:
        return float(np.mean([getattr(reading, name).mean() for reading in readings])) if complete else np.nan

    measure = MEASURES[metric]
    margin = study.cost_margin if measure.is_ratio else study.equivalence_margin
    differences = [reading.differences for reading in readings]
    few = not measure.is_ratio and sum(map(np.count_nonzero, differences)) < FEWEST_PAIRS
    # the last digits of the logs decide nothing
    low, high = round(figures.low, DIGITS), round(figures.high, DIGITS)
    said = "undecided" if few else verdict(low, high, margin, exact=measure.is_ratio)
    counts = [f"{status}_{side}" for status in ("diverged", "missing") for side in ("reference", "strategy")]
    return {
        "dropped": sum(reading.runs for reading in readings) - figures.pairs,
        **{name: sum(getattr(reading, name) for reading in readings) for name in counts},
        "reference_mean": mean("reference"),
        "strategy_mean": mean("strategy"),
        "difference": figures.mean_difference,
        **{name: getattr(figures, name) for name in PairedComparison._fields if name != "mean_difference"},
        "equivalence_p": two_one_sided_tests(differences, margin + 10.0**-DIGITS, measure.is_ratio),
        "read_reference": mean("read_reference"),
        "read_strategy": mean("read_strategy"),
        "verdict": {"better": "higher", "worse": "lower"}.get(said, said) if measure.is_ratio else said,
    }


def _across(study: Study, readings: list[Reading]) -> dict[str, Any]:
    """Return the columns of a comparison whose unit is the data set; those without a pair are counted.

    Without any reading, no data set is above chance.
    """
    usable = [reading.differences for reading in readings if len(reading.seeds)]
    missing = {"missing": len(readings) - len(usable)}
    if not usable:
        said = "undecided" if readings else NOT_ABOVE_CHANCE
        counts = {"datasets": 0, "nonzero": 0, "can_be_significant": 0, "verdict": said}
        empty = {*float_columns("across_datasets")} - {"freeze_ratio", "adjusted_p"}
        return dict.fromkeys(empty, np.nan) | missing | counts
    means = [round(differences.mean(), DIGITS) for differences in usable]
    result = across_datasets(means)
    seed = stream_seed(study.seed, "across", "bootstrap")
    middle, mean = (estimate(usable, seed) for estimate in (interquartile_mean, cluster_mean))
    margin = study.equivalence_margin
    posterior = bayesian_signed_rank(means, margin, seed)
    return {
        **missing,
        **result._asdict(),
        "can_be_significant": int(result.can_be_significant),
        "cluster_low": mean.low,
        "cluster_high": mean.high,
        "interquartile_mean": middle.estimate,
        "interquartile_low": middle.low,
        "interquartile_high": middle.high,
        "probability_worse": posterior.left,
        "probability_equivalent": posterior.rope,
        "probability_better": posterior.right,
        "verdict": verdict(round(result.low, DIGITS), round(result.high, DIGITS), margin),
    }


def _adjusted(across: pd.DataFrame) -> pd.DataFrame:
    """Add the p-values of the family that the configuration declares, adjusted by Holm's method."""
    tested = across["family"].isin(["primary", "family"]) & across["wilcoxon_p"].notna()
    adjusted = pd.Series(holm(across.loc[tested, "wilcoxon_p"].to_numpy()), across.index[tested], dtype=float)
    return across.assign(adjusted_p=adjusted)
