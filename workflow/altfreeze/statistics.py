"""Paired comparison of strategies; pure functions of arrays."""

from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
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
    data set, and every data set weighs the same. It is the percentile interval of
    B. Efron and R. Tibshirani, An Introduction to the Bootstrap (1993), chapter 13,
    from 9999 resamples.

    Parameters
    ----------
    differences : sequence of ndarray, shape (pairs,)
        One array of paired differences per data set, not necessarily equally long.
    generator : numpy.random.Generator
        Source of the resamples.

    Returns
    -------
    Interval
        At confidence 0.95; its ends are NaN where a data set has fewer than two pairs,
        and all of it where one has none.
    """
    if min(map(len, differences)) == 0:
        return Interval(np.nan, np.nan, np.nan)
    estimate = float(_mean_of_means(*differences))
    if min(map(len, differences)) < 2:
        return Interval(estimate, np.nan, np.nan)
    resampled = stats.bootstrap(
        tuple(differences),
        _mean_of_means,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        vectorized=True,
        rng=generator,
    )
    return Interval(estimate, *map(float, resampled.confidence_interval))
