"""Simulate studies of which the truth is known, and count how often each method is right; print a table.

Each study has 9 data sets, unlike in accuracy, spread and size, of 10 seeds, and goes
through the functions that the workflow calls. Two populations of runs: *normal* values,
and *accuracies*, shares of test parts of 30 to 360 rows, with their ties. In both, the
runs of a seed share about half of their variance. Two questions, as in the report: *these
data sets*, where only the seeds are drawn anew, and *data sets like these*, where each
study draws its data sets' true differences too, with mean zero. Called as
``python benchmarks/calibration.py``, or with ``--studies 200`` for a rough table.
"""

import argparse
import math
import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

# read when numpy is imported
os.environ.setdefault("OMP_NUM_THREADS", "1")
# the package of this checkout, installed or not
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow"))

import numpy as np
from altfreeze.data.split import TEST_SHARE, VALIDATION_SHARE
from altfreeze.statistics.across import across_datasets, cluster_mean, interquartile_mean, page_trend
from altfreeze.statistics.diagnostics import a_a
from altfreeze.statistics.paired import Interval, median_interval, paired_comparisons, two_one_sided_tests, verdict
from altfreeze.statistics.reach import compare_times
from scipy import special

STUDIES = 2000
DATASETS = 9
SEEDS = 10
LEVEL = 0.05
MARGIN = 0.01
# standard deviation of the true differences of data sets, where these are drawn
DATASET_SPREAD = 0.015
SPREADS = np.geomspace(0.005, 0.03, DATASETS)
ACCURACIES = np.linspace(0.7, 0.9, DATASETS)
TEST_ROWS = np.array([200, 30, 300, 36, 200, 114, 300, 300, 360])
TEST_OVER_TRAIN = TEST_SHARE / (1 - TEST_SHARE - VALIDATION_SHARE)
POPULATIONS = ("normal", "accuracies")


class Claim(NamedTuple):
    """What a method says of how often something happens, and the shares that keep it."""

    text: str
    lowest: float
    highest: float


class Row(NamedTuple):
    """How often something happened in simulated studies, and how often it should."""

    question: str
    population: str
    method: str
    event: str
    claim: Claim
    measured: float


COVERAGE = Claim("95 %", 0.93, 0.97)
# of one data set, as `mean_difference` says
COVERAGE_OF_ONE = Claim("94 %", 0.92, 0.96)
FALSE_POSITIVE_OF_ONE = Claim("6 %", 0.04, 0.08)
AT_LEAST = Claim("at least 95 %", 0.94, 1)
FALSE_POSITIVE = Claim("at most 5 %", 0, 0.06)
FALSE_EQUIVALENCE = Claim("at most 2.5 %", 0, 0.035)
POWER = Claim("80 %", 0.75, 0.85)
NOTHING = Claim("nothing", 0, 1)
THESE, LIKE_THESE = "these data sets", "data sets like these"


def draw(population, effects, generator, correlation=0.0):
    """Return the runs of a reference and of a strategy on 9 data sets, paired by seed.

    Parameters
    ----------
    population : {'normal', 'accuracies'}
    effects : ndarray of float, shape (9,)
        True mean differences.
    generator : numpy.random.Generator
    correlation : float
        Of the differences of any two normal pairs of a data set, as where their training parts overlap.

    Returns
    -------
    tuple of ndarray of float, shape (9, 10)
    """
    shape = (DATASETS, SEEDS)
    if population == "normal":
        shared, *own = generator.normal(size=(3, *shape))
        common = math.sqrt(2 * correlation) * generator.normal(size=(DATASETS, 1))
        one, other = (0.8 + SPREADS[:, None] * (shared + math.sqrt(1 - correlation) * each) for each in own)
        return one, other + SPREADS[:, None] * common + effects[:, None]
    rows, mean = TEST_ROWS[:, None], ACCURACIES[:, None]
    # the split of a seed is easy or hard for both by as much as chance adds to either
    difficulty = np.sqrt(mean * (1 - mean) / rows) * generator.uniform(-math.sqrt(3), math.sqrt(3), size=shape)
    levels = (np.clip(mean + difficulty + shift, 0, 1) for shift in (0, effects[:, None]))
    return tuple(generator.binomial(rows, level) / rows for level in levels)


def kept(row, slack=0.0):
    """Return whether a claim was kept, up to a slack."""
    return row.claim.lowest - slack <= row.measured <= row.claim.highest + slack


def covers(interval, truth):
    """Return whether an interval holds a true value, its ends included, to rounding."""
    return interval.low - 1e-12 <= truth <= interval.high + 1e-12


class Counts:
    """How often each event happened, by what a row of the table says of it."""

    def __init__(self):
        self.happened = defaultdict(list)

    def add(self, question, population, method, event, claim, happened):
        """Note whether an event happened in one study."""
        self.happened[question, population, method, event, claim].append(bool(happened))

    def interval(self, question, population, method, found, truth, claim=COVERAGE):
        """Note whether an interval holds the truth."""
        self.add(question, population, method, "interval holds the truth", claim, covers(found, truth))

    def null(self, question, population, method, found, claims=(COVERAGE, FALSE_POSITIVE)):
        """Note what an interval says where nothing differs."""
        coverage, false_positive = claims
        self.interval(question, population, method, found, 0, coverage)
        said = verdict(found.low, found.high, 0)
        event = "better or worse, though nothing differs"
        self.add(question, population, method, event, false_positive, said in ("better", "worse"))

    def rows(self):
        """Return the table."""
        return [Row(*key, float(np.mean(happened))) for key, happened in self.happened.items()]


ONE, NINE = "paired_comparisons, one data set", "paired_comparisons, mean of nine"


def seeds(generator, count=DATASETS):
    """Return seeds of resamples, so that no two studies share any."""
    return generator.integers(2**62, size=count).tolist()


def without_difference(counts, population, index, generator):
    """Simulate a study in which nothing differs; return what one data set and all nine could detect."""
    reference, strategy = draw(population, np.zeros(DATASETS), generator)
    one = paired_comparisons(reference[[index]], strategy[[index]], seeds(generator, 1))[-1]
    nine = paired_comparisons(reference, strategy, seeds(generator))[-1]
    counts.null(THESE, population, ONE, one, (COVERAGE_OF_ONE, FALSE_POSITIVE_OF_ONE))
    counts.null(THESE, population, NINE, nine)
    again, _ = draw(population, np.zeros(DATASETS), generator)
    counts.null(THESE, population, "a_a, mean of nine", a_a(reference, again))
    middle = median_interval(strategy[index] - reference[index])
    counts.add(THESE, population, "median_interval", "interval holds the truth", AT_LEAST, covers(middle, 0))
    across(counts, population, strategy - reference, generator)
    return one.minimum_detectable_difference, nine.minimum_detectable_difference


def with_a_difference(counts, population, index, detectable, generator):
    """Simulate studies whose true differences are the minimum detectable ones, and the margin."""
    one, nine = detectable
    for method, effects in ((ONE, np.where(np.arange(DATASETS) == index, one, 0)), (NINE, np.full(DATASETS, nine))):
        reference, strategy = draw(population, effects, generator)
        rows = [index] if method == ONE else range(DATASETS)
        found = paired_comparisons(reference[rows], strategy[rows], seeds(generator, len(rows)))[-1]
        event = "better, where the minimum detectable difference is true"
        counts.add(THESE, population, method, event, POWER, verdict(found.low, found.high, 0) == "better")
    reference, strategy = draw(population, np.full(DATASETS, MARGIN), generator)
    found = paired_comparisons(reference, strategy, seeds(generator))[-1]
    event = "equivalent, where the margin is true"
    said = verdict(found.low, found.high, MARGIN)
    counts.add(THESE, population, NINE, event, FALSE_EQUIVALENCE, said == "equivalent")
    p_value = two_one_sided_tests(strategy - reference, MARGIN)
    counts.add(THESE, population, "two_one_sided_tests, mean of nine", event, FALSE_EQUIVALENCE, p_value < LEVEL / 2)


def overlapping(counts, generator):
    """Simulate a data set whose pairs correlate as much as test over test and training rows."""
    correlation = TEST_OVER_TRAIN / (1 + TEST_OVER_TRAIN)
    reference, strategy = draw("normal", np.zeros(DATASETS), generator, correlation)
    found = paired_comparisons(reference[:1], strategy[:1], seeds(generator, 1), TEST_OVER_TRAIN)[-1]
    corrected = Interval(found.mean_difference, found.nadeau_bengio_low, found.nadeau_bengio_high)
    population = f"normal, correlated {correlation:.2f}"
    counts.interval(THESE, population, "paired_comparisons, one data set, Nadeau and Bengio", corrected, 0)
    counts.interval(THESE, population, ONE, found, 0, NOTHING)


def timed(counts, generator):
    """Simulate exponential times to a target, a mean of 10 against one of 6, of which some are censored at 12."""
    horizon, means = 12.0, np.array([10.0, 6.0])
    shared, *own = generator.normal(size=(3, SEEDS))
    times = [-mean * special.log_ndtr((shared + each) / math.sqrt(2)) for mean, each in zip(means, own, strict=True)]
    observed = [part for each in times for part in (np.minimum(each, horizon), each <= horizon)]
    restricted = means * -np.expm1(-horizon / means)
    found = compare_times(*observed, horizon, *seeds(generator, 1)).difference
    population, truth = "exponential times, censored", np.diff(restricted)[0]
    counts.interval(THESE, population, "compare_times, one data set", found, truth, COVERAGE_OF_ONE)


def across(counts, population, differences, generator):
    """Note what is said of data sets like these, whose true differences have mean zero."""
    found = across_datasets(differences.mean(axis=1))
    event = "p <= 0.05, though nothing differs"
    for test, p_value in (("Wilcoxon", found.wilcoxon_p), ("t test", found.t_p)):
        happened = p_value <= LEVEL
        counts.add(LIKE_THESE, population, f"across_datasets, {test}", event, FALSE_POSITIVE, happened)
    counts.interval(LIKE_THESE, population, "across_datasets, t interval", found, 0)
    for method in (cluster_mean, interquartile_mean):
        counts.interval(LIKE_THESE, population, method.__name__, method(differences, *seeds(generator, 1)), 0)


def like_these(counts, population, generator):
    """Simulate a study whose data sets' true differences are drawn around zero."""
    effects = generator.normal(scale=DATASET_SPREAD, size=DATASETS)
    reference, strategy = draw(population, effects, generator)
    drawn = f"{population}, differences drawn"
    across(counts, drawn, strategy - reference, generator)
    levels = np.stack([np.subtract(*draw(population, effects, generator)).mean(axis=1) for _ in range(3)], axis=1)
    event = "p <= 0.05, though there is no trend"
    happened = page_trend(levels).p_value <= LEVEL
    counts.add(LIKE_THESE, drawn, "page_trend, three levels", event, FALSE_POSITIVE, happened)
    found = paired_comparisons(reference, strategy, seeds(generator))[-1]
    counts.interval(THESE, drawn, NINE, found, effects.mean())
    counts.interval(LIKE_THESE, drawn, NINE, found, 0, NOTHING)


def calibrate(studies, seed=1):
    """Simulate studies and count.

    Parameters
    ----------
    studies : int
        Of each kind.
    seed : int

    Returns
    -------
    list of Row
    """
    generator, counts = np.random.default_rng(seed), Counts()
    for population in POPULATIONS:
        found = np.array(
            [without_difference(counts, population, study % DATASETS, generator) for study in range(studies)]
        )
        for study in range(studies):
            index = study % DATASETS
            # at the true spread, as its square is the mean of the squares of those observed
            detectable = (np.sqrt(np.mean(each**2)) for each in (found[index::DATASETS, 0], found[:, 1]))
            with_a_difference(counts, population, index, detectable, generator)
            like_these(counts, population, generator)
    for _ in range(studies):
        overlapping(counts, generator)
        timed(counts, generator)
    return sorted(counts.rows(), key=lambda row: (row.question == LIKE_THESE, row.population, row.method))


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=STUDIES, help="simulated studies of each kind")
    studies = parser.parse_args().studies
    start = time.perf_counter()
    rows = calibrate(studies)
    error = 100 * math.sqrt(0.05 * 0.95 / studies)
    print(f"{studies} studies of each kind in {time.perf_counter() - start:.0f} s;", end=" ")
    print(f"the standard error of a share near 5 or 95 % is {error:.1f} points.")
    header = (*Row._fields[:4], "claimed", "measured", "kept")
    cells = [
        (
            *row[:4],
            row.claim.text,
            f"{100 * row.measured:.1f} %",
            ("no", "yes")[kept(row)] if row.claim != NOTHING else "",
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    for line in (header, ["-" * width for width in widths], *cells):
        print("  ".join(value.ljust(width) for value, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
