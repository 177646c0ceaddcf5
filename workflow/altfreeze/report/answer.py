"""The answer of a study in one sentence, and the sentences that stand below it; all computed from the tables."""

import math
from typing import Any

import pandas as pd

from altfreeze.freezing.schedules import split_index
from altfreeze.report.selection import overall
from altfreeze.report.words import (
    count,
    distance,
    interval_of_distances,
    listed,
    margin_in_words,
    points,
    reference_in_words,
    side,
)
from altfreeze.study.grid import Study
from altfreeze.vocabulary import METRICS, NOT_ABOVE_CHANCE, PANELS, Metric


def answer(study: Study, comparisons: pd.DataFrame) -> str:
    """Return the answer of the study in one sentence.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    comparisons : pandas.DataFrame
        The table comparisons.

    Returns
    -------
    str
        On the row 'all' of the primary comparison; see `altfreeze.study.grid.Study.primary`.

    Raises
    ------
    InputError
        If `comparisons` lacks that row.
    """
    depth, ratio = study.primary_depth, study.primary_freeze_ratio
    strategy, reference, budget = study.primary
    row = overall(comparisons, study.metric.final, depth, strategy, budget, reference)
    subject = f"{_frozen(depth, ratio)}, depth-{depth} networks"
    by_chance = _by_chance(comparisons)
    if row.verdict == NOT_ABOVE_CHANCE:
        where = f"any of the {len(by_chance)} data sets" if len(by_chance) > 1 else by_chance[0]
        return (
            f"No verdict on alternating freezing: standard training of depth-{depth} networks is not above chance on "
            f"{where}, no better than to always name {_constant(study)}, so there is nothing to compare."
        )
    against, pairs = reference_in_words(study.strategies[reference]["name"], budget), _pairs(study, row, by_chance)
    if math.isnan(row.difference):
        return (
            f"Undecided: {subject} cannot be compared with {against}, "
            f"because a data set has no pair of runs that both ended ({pairs})."
        )
    return (
        f"{_opening(study, row)}: {subject} ended {_ended(study, row, study.metric.units)} {against} "
        f"({_in_brackets(row)}; {pairs})."
    )


def reason(study: Study, comparisons: pd.DataFrame) -> str:
    """Return a sentence on what is left of the difference on other budgets, and on what was spent.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    comparisons : pandas.DataFrame
        The table comparisons.

    Returns
    -------
    str
        On the primary strategy against standard training at equal epochs and against the controls
        `standard_half_updates` and `standard_matched_flops`, each at its own end, as far as
        it was compared with them and they are not the primary comparison itself.
    """
    depth, strategy = study.primary_depth, study.primary_strategy
    matched = f"standard_matched_flops-{study.primary_freeze_ratio:g}"
    parts = []
    for reference, budget in (("standard", "epochs"), ("standard_half_updates", "own"), (matched, "own")):
        compared = (comparisons["reference"] == reference) & (comparisons["strategy"] == strategy)
        if not compared.any() or (strategy, reference, budget) == study.primary:
            continue
        row = overall(comparisons, study.metric.final, depth, strategy, budget, reference)
        if not math.isnan(row.difference) and row.verdict != NOT_ABOVE_CHANCE:
            against = reference_in_words(study.strategies[reference]["name"], budget)
            parts.append(f"{_ended(study, row, study.metric.points)} {against} ({_in_brackets(row)}: {row.verdict})")
    operations = overall(comparisons, "flops_ratio", depth, strategy, "own").strategy_mean
    sentences = [f"It ended {', and '.join(parts)}."] if parts else []
    if not math.isnan(operations):
        epochs = f"{study.epochs_alternating} and {count(study.epochs_standard, 'epoch')}"
        share = f"{100 * operations:.0f} % of the operations of standard training"
        sentences.append(f"Its whole training took {share} ({epochs}).")
    return " ".join(sentences)


def generalisation(study: Study, across: pd.DataFrame) -> str:
    """Return a sentence on what the primary comparison says of data sets like these.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    across : pandas.DataFrame
        The table across_datasets.

    Returns
    -------
    str
        With the data set as the unit; empty where no data set has a pair.
    """
    row: Any = next(across[across["family"] == "primary"].itertuples(), None)
    if row is None or row.datasets < 2:
        return ""
    opening = f"On data sets like these, of which {row.datasets} are a small sample, "
    if not row.can_be_significant:
        opening += (
            f"no result could be significant (the smallest p-value that they permit is {row.smallest_wilcoxon_p:.2g}); "
        )
    adjusted = "" if not study.family else f", {row.adjusted_p:.2g} after Holm's adjustment"
    return (
        f"{opening}the mean difference is {points(row.mean)} {study.metric.points} (95 % t interval "
        f"{points(row.low)} to {points(row.high)}; exact Wilcoxon p = {row.wilcoxon_p:.2g}{adjusted}): {row.verdict}."
    )


def left_out(runs: pd.DataFrame, comparisons: pd.DataFrame, metric: Metric = METRICS["accuracy"]) -> str:
    """Return a sentence on the pairs that no comparison could use, empty where there are none.

    Parameters
    ----------
    runs, comparisons : pandas.DataFrame
        The tables of these names.
    metric : altfreeze.vocabulary.Metric
        That of the study.

    Returns
    -------
    str
        On the primary comparison and on those of every other strategy with standard training, at the ends.
    """
    cells = comparisons[
        (comparisons["metric"] == metric.final) & ~comparisons["dataset"].isin(PANELS) & (comparisons["dropped"] > 0)
    ]
    here = cells["family"] == "primary"
    others = ~here & (cells["budget"] == "own") & (cells["reference"] == "standard")
    parts = [
        f"{count(int(rows['dropped'].sum()), 'pair')} in {count(len(rows), 'cell')} of {where}"
        for rows, where in ((cells[here], "this comparison"), (cells[others], "the others"))
        if len(rows)
    ]
    if not parts:
        return ""
    whose = []
    for status in ("diverged", "missing"):
        standard = runs.loc[runs["status"] == status, "strategy"] == "standard"
        if status == "diverged" or len(standard):
            whose.append(
                f"{status} runs: {standard.sum()} of standard training, {(~standard).sum()} of the other strategies"
            )
    return f"Left out ({'; '.join(whose)}): {', and '.join(parts)}."


def _ended(study: Study, row: Any, units: str) -> str:
    """Return how far a training ended from another: above it, or better or worse where lower is better."""
    words = distance(row.difference, units)
    if not study.metric.lower_is_better:
        return words
    return words.replace(" above", f" of {study.metric.words} better than").replace(
        " below", f" of {study.metric.words} worse than"
    )


def _constant(study: Study) -> str:
    return "the classes' shares" if study.metric.lower_is_better else "the largest class"


def _opening(study: Study, row: Any) -> str:
    if row.verdict == "undecided":
        return "Undecided"
    margin = margin_in_words(study.equivalence_margin, study.metric)
    small = f", by less than {margin}" if row.verdict == "equivalent" else ""
    return {
        -1: f"Alternating freezing lost{small}",
        1: f"Alternating freezing won{small}",
        0: f"Alternating freezing made no difference of {margin} or more",
    }[side(row.low, row.high)]


def _in_brackets(row: Any) -> str:
    if math.isnan(row.low):
        return "no interval: a data set has fewer than five pairs"
    return f"95 % interval {interval_of_distances(row.low, row.high)}"


def _frozen(depth: int, freeze_ratio: float) -> str:
    bottom = split_index(freeze_ratio, depth)
    if bottom in (0, depth):
        return f"with no layer ever frozen (freeze ratio {freeze_ratio:g} is standard training)"
    if 2 * bottom == depth:
        return "with the lower and the upper half of the layers frozen in turn"
    return f"with the lower {bottom} and the upper {depth - bottom} layers frozen in turn"


def _by_chance(comparisons: pd.DataFrame) -> list[str]:
    """Return the data sets on which standard training is not above chance where the primary comparison is made."""
    primary = comparisons[(comparisons["family"] == "primary") & (comparisons["dataset"] != "all")]
    return list(primary.loc[primary["verdict"] == NOT_ABOVE_CHANCE, "dataset"])


def _pairs(study: Study, row: Any, by_chance: list[str]) -> str:
    grid = f"{count(len(study.primary_datasets) - len(by_chance), 'data set')} × {count(study.seeds, 'seed')}"
    if by_chance:
        grid += f", without {listed(by_chance)}, where standard training is not above chance"
    if row.dropped:
        missing = row.missing_reference + row.missing_strategy
        whose = f", {count(missing, 'run')} missing" if missing else ""
        return f"{row.pairs:,} of {count(row.pairs + row.dropped, 'pair')}: {grid}, {row.dropped:,} left out{whose}"
    return f"{count(row.pairs, 'pair')}: {grid}"
