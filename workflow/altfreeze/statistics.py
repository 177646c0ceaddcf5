"""Paired comparison of strategies; pure functions of arrays."""

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
