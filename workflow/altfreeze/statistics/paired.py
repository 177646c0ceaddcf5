"""Paired comparison of strategies; pure functions of arrays."""

import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
FEWEST_PAIRS = 5
RESAMPLES = 9999


class Interval(NamedTuple):
    """An estimate and its interval; the ends are NaN where none can be given."""

    estimate: float
    low: float
    high: float


def _mean_of_means(*samples, axis=-1):
    return np.mean([sample.mean(axis=axis) for sample in samples], axis=0)


def mean_difference(differences, generator):
    """Return the mean of paired differences, averaged over data sets, with a bootstrap interval.

    The interval answers for these data sets: only seeds are resampled, within each
    data set, and every data set weighs the same. It is the expanded percentile interval
    of T. Hesterberg, What Teachers Should Know About the Bootstrap (2015,
    https://arxiv.org/abs/1411.5279), section 5.3, from 9999 resamples: the percentiles
    are those of the level Phi(-sqrt(n / (n - 1)) t) on each side, with the t quantile at
    97.5 % for the pairs less one of each data set, and n the fewest pairs of a data set.
    A resample's mean cannot leave the range of the differences, so there is no interval
    for a data set with fewer than 5 pairs.

    Parameters
    ----------
    differences : sequence of ndarray, shape (pairs,)
        One array of paired differences per data set, not necessarily equally long.
    generator : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    Interval
        At confidence 0.95; its ends are NaN where a data set has fewer than 5 pairs,
        and all of it where one has none.
    """
    pairs = [len(sample) for sample in differences]
    fewest = min(pairs)
    if fewest == 0:
        return Interval(np.nan, np.nan, np.nan)
    estimate = float(_mean_of_means(*differences))
    if fewest < FEWEST_PAIRS:
        return Interval(estimate, np.nan, np.nan)
    t = stats.t.ppf((1 + CONFIDENCE) / 2, sum(pairs) - len(pairs))
    level = stats.norm.cdf(-np.sqrt(fewest / (fewest - 1)) * t)
    resampled = stats.bootstrap(
        tuple(differences),
        _mean_of_means,
        n_resamples=RESAMPLES,
        confidence_level=1 - 2 * level,
        method="percentile",
        vectorized=True,
        rng=generator,
    )
    return Interval(estimate, *map(float, resampled.confidence_interval))


def median_interval(values, confidence=CONFIDENCE):
    """Return the median of a sample with an interval that no distribution breaks.

    The ends are order statistics, the k-th smallest value and the k-th largest, with the
    largest k whose coverage 1 - 2 P(B < k) reaches the confidence, where B is the number
    of n values below the true median, binomial (n, 1/2): the values that the sign test
    does not refuse (W. J. Conover, Practical Nonparametric Statistics, 3rd ed., 1999,
    section 3.2; W. R. Thompson, On confidence ranges for the median, 1936,
    https://doi.org/10.1214/aoms/1177732502).

    Parameters
    ----------
    values : array_like of float, shape (n,)
        Independent values of one distribution, or of distributions with one median.
    confidence : float
        Between 0 and 1.

    Returns
    -------
    Interval
        Its ends are NaN where n is too small for any: below 6 at confidence 0.95.
    """
    ordered = np.sort(values)
    count = len(ordered)
    # in how many of the 2^n equally likely cases at most j values lie below the median, j = 0, 1, ...
    tails = itertools.accumulate(math.comb(count, j) for j in range(count // 2))
    k = sum(1 - 2 * tail / 2**count >= confidence for tail in tails)
    low, high = (ordered[k - 1], ordered[-k]) if k else (np.nan, np.nan)
    return Interval(float(np.median(ordered)), float(low), float(high))


def verdict(low, high, margin):
    """Return what an interval of a difference says.

    Parameters
    ----------
    low, high : float
        Ends of the interval; NaN where there is none.
    margin : float
        Differences within plus or minus this count as none.

    Returns
    -------
    {'better', 'worse', 'equivalent', 'undecided'}
        ``equivalent`` where the interval lies within the margin, its ends included, be it
        on one side of 0 or not (two one-sided tests: D. J. Schuirmann, 1987,
        https://doi.org/10.1007/BF01068419, at half of one minus the confidence each);
        else ``better`` or ``worse`` where it lies wholly above or below 0.
    """
    if -margin <= low and high <= margin:
        return "equivalent"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "undecided"
