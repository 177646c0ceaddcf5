"""What the page on statistics says of the primary comparison: on these data sets, and on data sets like these."""

import math
from typing import Any

import pandas as pd

from altfreeze.comparison.compare import TEST_OVER_TRAIN
from altfreeze.report.blocks.cells import NO_PAIR, at, tally, verdict_in_words
from altfreeze.report.words import count, interval, margin_in_words, number, percent, points
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.vocabulary import MEASURES, NOT_ABOVE_CHANCE, PANELS

SIGNIFICANCE = 0.05


def named(dataset: str) -> str:
    """Return the name of a data set, or of all together."""
    return f"mean of {dataset}" if dataset in PANELS else dataset


def primary_in_words(study: Study) -> str:
    """Return which strategy the primary comparison is of, minus which reference, and at which budget."""
    strategy, reference, budget = study.primary
    return f"`{strategy}` minus `{reference}`, {at(budget)}"


def primary_rows(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the primary comparison in the table comparisons, one per data set and their mean."""
    return comparisons[comparisons["family"] == "primary"]


def _units(row: Any) -> str:
    """Return what the difference of a row is counted in."""
    metric = MEASURES[row.metric].metric
    return metric.points if metric else "%"


def _primary_across(across_datasets: pd.DataFrame) -> Any:
    return next(across_datasets[across_datasets["family"] == "primary"].itertuples())


def on_these_data_sets(study: Study, comparisons: pd.DataFrame) -> str:
    """Return what the primary comparison says of these data sets."""
    rows = primary_rows(comparisons)
    row = next(rows[rows["dataset"] == "all"].itertuples())
    subject = f"Final test {study.metric.words} at depth {study.primary_depth}, {primary_in_words(study)}"
    # the mean and its pairs are of data sets on which training is above chance
    judged = rows["dataset"].isin(study.primary_datasets) & (rows["verdict"] != NOT_ABOVE_CHANCE)
    grid = f"{count(judged.sum(), 'data set')} × {count(study.seeds, 'seed')}"
    pairs = f"{count(row.pairs, 'pair')}, {grid}" + (f", {row.dropped} left out" if row.dropped else "")
    if math.isnan(row.difference):
        return f"**On these data sets: undecided.** {subject}: a data set has no pair of runs ({pairs})."
    why = ", as a data set has fewer than five pairs" if math.isnan(row.low) else ""
    tests = (
        "" if math.isnan(row.equivalence_p) else f" Two one-sided tests of the margin: p = {number(row.equivalence_p)}."
    )
    margin = margin_in_words(study.equivalence_margin, study.metric, short=True)
    return (
        f"**On these data sets: {row.verdict}.** {subject}: {points(row.difference)} {study.metric.points}, "
        f"{interval(row.low, row.high)}{why} ({pairs}; margin ±{margin}).{tests}"
    )


def on_data_sets_like_these(across_datasets: pd.DataFrame) -> str:
    """Return what the primary comparison says of data sets like these."""
    row = _primary_across(across_datasets)
    if not row.datasets:
        return "**On data sets like these:** no data set has a pair of runs."
    if row.datasets == 1:
        return "**On data sets like these:** one data set says nothing of others."
    without = f", {row.missing} left out" if row.missing else ""
    adjusted = across_datasets["adjusted_p"].notna().sum()
    holm = f", {number(row.adjusted_p)} after Holm's adjustment in its family of {adjusted}" if adjusted > 1 else ""
    return (
        f"**On data sets like these: {row.verdict}.** Mean {points(row.mean)} {_units(row)}, 95 % t interval "
        f"{interval(row.low, row.high)} ({count(row.datasets, 'data set')}{without}); exact Wilcoxon p = "
        f"{number(row.wilcoxon_p)}{holm}; the smallest p-value that so many data sets permit is "
        f"{number(row.smallest_wilcoxon_p)}."
    )


def too_few_data_sets(across_datasets: pd.DataFrame) -> str:
    """Return a warning where no result could be significant, else nothing."""
    row = _primary_across(across_datasets)
    if row.datasets < 2 or row.can_be_significant:
        return ""
    return (
        f"**Warning:** with {count(row.nonzero, 'data set')} that differ at all, no result could ever be "
        "significant at 5 %: here, a large p-value says nothing whatever."
    )


def secondary_comparisons(across_datasets: pd.DataFrame) -> str:
    """Return how many comparisons are secondary, and how many small p-values are to be expected among them."""
    secondary = (across_datasets["family"] == "secondary").sum()
    varied = (across_datasets["recipe"] != PRIMARY_RECIPE).any()
    return (
        f"This is the one comparison that the configuration named before it was seen. All {secondary} others in "
        f"the table of data sets are *secondary*: their p-values are not adjusted for their number, and with no "
        f"difference anywhere up to {SIGNIFICANCE * secondary:.1f} of them would be expected below {SIGNIFICANCE:g}."
        + (" They are those under the primary recipe; the tables hold the variations, too." if varied else "")
    )


def family(across_datasets: pd.DataFrame) -> str:
    """Return a sentence on the family that the configuration declares, empty without one."""
    if not (across_datasets["family"] == "family").any():
        return ""
    return "The family that is tested together, p-values adjusted by Holm's method:"


def family_table(across_datasets: pd.DataFrame) -> pd.DataFrame:
    """Return the primary comparison and the others of its family."""
    declared = across_datasets[across_datasets["family"] == "family"]
    rows = [
        [
            row.strategy,
            row.reference,
            at(row.budget),
            points(row.mean),
            interval(row.low, row.high),
            number(row.wilcoxon_p),
            number(row.adjusted_p),
            row.verdict,
        ]
        for row in ([_primary_across(across_datasets), *declared.itertuples()] if len(declared) else [])
    ]
    columns = [
        "Strategy",
        "Minus",
        "Read",
        f"Mean ({_units(_primary_across(across_datasets))})",
        "95 % t interval",
        "Wilcoxon p",
        "Adjusted p",
        "Verdict",
    ]
    return pd.DataFrame(rows, columns=columns)


def by_data_set(comparisons: pd.DataFrame) -> str:
    """Return how many data sets say what of the primary comparison."""
    rows = primary_rows(comparisons)
    rows = rows[rows["dataset"] != "all"]
    known = rows.loc[rows["difference"].notna(), "verdict"]
    return f"Of {count(len(known), 'data set')}: {tally(known)}."


def _sign_holds_up_to(row: Any) -> float:
    """Return the correlation of a data set's seeds up to which the sign of its mean difference is clear.

    Where any two differences correlate by c, the interval is mean -+ t s sqrt(1 / n + c / (1 - c)), of which that of
    Nadeau and Bengio is the one with c = n_test / (n_train + n_test), and of which 0 is an end where
    c / (1 - c) = (mean / (t s))^2 - 1 / n.

    Parameters
    ----------
    row : namedtuple
        Of the table comparisons, on one data set.

    Returns
    -------
    float
        0 where it is clear at no correlation from 0 on, NaN without an interval of Nadeau and Bengio.
    """
    half = (row.nadeau_bengio_high - row.nadeau_bengio_low) / 2
    if math.isnan(half) or row.dataset in PANELS:
        return math.nan
    # t s, squared; without any spread the sign is clear at every correlation, or there is none
    spread = half**2 / (1 / row.pairs + TEST_OVER_TRAIN)
    odds = row.difference**2 / spread - 1 / row.pairs if spread else math.inf * bool(row.difference)
    return 1.0 if math.isinf(odds) else max(0.0, odds) / (1 + max(0.0, odds))


def which_question(comparisons: pd.DataFrame) -> str:
    """Return which question each interval on one data set answers, and what the correlation of seeds could change."""
    found = [_sign_holds_up_to(row) for row in primary_rows(comparisons).itertuples()]
    held = [each for each in found if not math.isnan(each)]
    if not held:
        return ""
    assumed = TEST_OVER_TRAIN / (1 + TEST_OVER_TRAIN)
    return (
        "The bootstrap interval answers whether other seeds on these very rows would say the same; whether other rows "
        "of the same population would is answered by that of Nadeau and Bengio (table comparisons), in which any two "
        f"seeds correlate by {assumed:.2f}, as their training parts overlap. How they do correlate, a study cannot "
        "measure, as what all its seeds share is in their mean; so the table says up to which correlation the sign is "
        f"clear: above 0 on {sum(each > 0 for each in held)} and above {assumed:.2f} on "
        f"{sum(each > assumed for each in held)} of {count(len(held), 'data set')}."
    )


def by_data_set_table(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return difference, intervals and verdict of the primary comparison on each data set."""
    rows = [
        [
            named(row.dataset),
            f"{row.pairs}" + (f" ({row.dropped} left out)" if row.dropped else ""),
            points(row.difference) or NO_PAIR,
            points(row.median_difference),
            interval(row.low, row.high),
            number(_sign_holds_up_to(row), ".2f"),
            verdict_in_words(row),
        ]
        for row in primary_rows(comparisons).itertuples()
    ]
    columns = [
        "Data set",
        "Pairs",
        f"Mean ({_units(next(primary_rows(comparisons).itertuples()))})",
        "Median",
        "95 % bootstrap",
        "Sign is clear up to a correlation of",
        "Verdict",
    ]
    return pd.DataFrame(rows, columns=columns)


def effects(study: Study, comparisons: pd.DataFrame) -> str:
    """Return on how many data sets a difference as large as the margin could go unseen, and what pairing gains."""
    rows = primary_rows(comparisons)
    rows = rows[rows["dataset"] != "all"]
    known = rows["minimum_detectable_difference"].dropna()
    sentences = []
    if len(known):
        blunt = (known > study.equivalence_margin).sum()
        sentences.append(
            f"On {blunt} of {count(len(known), 'data set')} a true difference as large as the margin would go unseen "
            "in more than one study of five."
        )
    correlations = rows["correlation"].dropna()
    if len(correlations):
        ends = dict.fromkeys(number(end, ".2f") for end in (correlations.min(), correlations.max()))
        sentences.append(f"The correlation of the pair is {' to '.join(ends)}.")
    return " ".join(sentences)


def effects_table(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return effect sizes of the primary comparison on each data set."""
    rows = [
        [
            named(row.dataset),
            number(row.correlation, ".2f"),
            percent(row.probability_of_improvement),
            number(row.cliffs_delta, "+.2f"),
            number(row.hedges_g, "+.2f"),
            points(row.minimum_detectable_difference).lstrip("+"),
            number(row.equivalence_p),
        ]
        for row in primary_rows(comparisons).itertuples()
    ]
    columns = [
        "Correlation",
        "Improvement",
        "Cliff's δ",
        "Hedges' g",
        f"Detectable ({_units(next(primary_rows(comparisons).itertuples()))})",
        "Equivalence p",
    ]
    return pd.DataFrame(rows, columns=["Data set", *columns])
