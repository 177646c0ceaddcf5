"""Time to a target where some runs end before they reach it; pure functions of arrays."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from altfreeze.statistics.paired import FEWEST_PAIRS, Interval, bootstrap_interval, mean_difference, resampled_mean


class TimesComparison(NamedTuple):
    """Times to a target of two strategies, paired by seed; see `compare_times`."""

    pairs: int
    horizon: float
    reference_restricted_mean: float
    strategy_restricted_mean: float
    reference_success_rate: float
    strategy_success_rate: float
    reference_expected_runtime: float
    strategy_expected_runtime: float
    difference: Interval


def _checked(times: ArrayLike, reached: ArrayLike, until: float) -> tuple[np.ndarray, np.ndarray]:
    """Return both as arrays; all that is read of them, up to `until`, must have been observed."""
    times, reached = np.asarray(times, dtype=float), np.asarray(reached, dtype=bool)
    if times.ndim != 1 or times.shape != reached.shape or not times.size:
        raise ValueError(f"times and reached are of shape {times.shape} and {reached.shape}, not both (runs,)")
    if not (times >= 0).all():
        raise ValueError(f"a time is {times[~(times >= 0)][0]}; it is a number from 0 on")
    if (times[~reached] < until).any():
        raise ValueError(f"a run ended at {times[~reached].min()} without its target, before {until}")
    return times, reached


def compare_times(
    reference_times: ArrayLike,
    reference_reached: ArrayLike,
    strategy_times: ArrayLike,
    strategy_reached: ArrayLike,
    horizon: float,
    seed: int,
) -> TimesComparison:
    """Compare the times that two strategies take to a target, up to a horizon that both were trained to.

    With T_i the time at which run i reaches its target, or else ends, and tau the horizon:

    - restricted mean = mean of min(T_i, tau): the area above the runtime distribution, or
      below the survival curve, up to tau (P. Royston and M. K. B. Parmar, 2013,
      https://doi.org/10.1186/1471-2288-13-152). A run that has not reached its target
      counts with tau, so the mean is a lower bound of the time that the strategy takes.
    - success rate = share of runs with the target reached and T_i <= tau.
    - expected runtime ERT = sum of min(T_i, tau) / number of successes: what restarts
      until a first success take on average (N. Hansen, A. Auger, D. Brockhoff, D. Tusar,
      T. Tusar, COCO: Performance Assessment, 2016, https://arxiv.org/abs/1605.03560, section 4).

    The difference of the restricted means is paired by seed and depends on the horizon as
    they do. Its interval is that of `mean_difference`: with 10 pairs of exponential times, of
    which about a third and a seventh were censored, it covered 94 to 95 % in simulation.

    Parameters
    ----------
    reference_times, strategy_times : array_like of float, shape (pairs,)
        When the run reached its target, or else when it ended; the same seeds in the same
        order, in one unit (epochs, updates, operations or seconds).
    reference_reached, strategy_reached : array_like of bool, shape (pairs,)
        Whether the run reached its target.
    horizon : float
        At most the end of every run: the smaller of the two strategies' ends.
    seed : int
        Of the resamples, see `altfreeze.statistics.resample_counts`; no estimate depends on it.

    Returns
    -------
    TimesComparison
        All times in the unit of `reference_times`; an expected runtime is infinite where no run
        succeeded; difference is strategy minus reference (negative: the strategy is
        sooner there). Where neither strategy ever succeeded it is 0 and its ends are
        NaN: nothing is known but that both take longer.

    Raises
    ------
    ValueError
        If the shapes differ or are empty, a time is negative or NaN, or a run ended without its
        target before the horizon: what it would have done until then is not known.
    """
    arms = [
        _checked(times, reached, horizon)
        for times, reached in ((reference_times, reference_reached), (strategy_times, strategy_reached))
    ]
    if len(arms[0][0]) != len(arms[1][0]):
        raise ValueError(f"{len(arms[0][0])} runs of the reference, but {len(arms[1][0])} of the strategy")
    spent = [np.minimum(times, horizon) for times, _ in arms]
    success = [float((reached & (times <= horizon)).mean()) for times, reached in arms]
    means = [float(times.mean()) for times in spent]
    expected = [mean / rate if rate else np.inf for mean, rate in zip(means, success, strict=True)]
    difference = mean_difference([spent[1] - spent[0]], [seed]) if any(success) else Interval(0.0, np.nan, np.nan)
    return TimesComparison(
        pairs=len(spent[0]),
        horizon=float(horizon),
        reference_restricted_mean=means[0],
        strategy_restricted_mean=means[1],
        reference_success_rate=success[0],
        strategy_success_rate=success[1],
        reference_expected_runtime=expected[0],
        strategy_expected_runtime=expected[1],
        difference=difference,
    )


def log_ratio_of_means(
    references: Sequence[np.ndarray], strategies: Sequence[np.ndarray], seeds: Sequence[int]
) -> Interval:
    """Return the log of how many times as long a strategy takes as its reference, averaged over data sets.

    Of data set i it is log(mean of s_ij / mean of r_ij), s and r the restricted times of
    `compare_times`, so that one run that takes long weighs as in the restricted mean; over data
    sets the mean of the logs, the log of the geometric mean of their ratios. The
    interval is that of `mean_difference`, of the log ratio of each resample of pairs, with the influence
    values s_ij / mean s_i - r_ij / mean r_i in the place of the differences (A. C. Davison and D. V.
    Hinkley, Bootstrap Methods and their Application, 1997, sections 2.7.2 and 5.3). Simulated, it
    covers 95 % of nine data sets of 5 pairs of gamma times that share half of their spread; of one data set
    93 to 95 % with 10 pairs, also where a seventh of exponential times is censored, and 92 % with 5.

    Parameters
    ----------
    references, strategies : sequence of ndarray, shape (pairs,)
        Restricted times above 0 of one array a data set, paired by seed.
    seeds : sequence of int
        Of each data set, the seed of its resamples; see `altfreeze.statistics.resample_counts`.

    Returns
    -------
    Interval
        Natural logs; ends as those of `mean_difference`.

    Raises
    ------
    ValueError
        If the arms of a data set differ in shape or a time is not above 0.
    """
    influences, resamples = [], []
    for reference, strategy, seed in zip(references, strategies, seeds, strict=True):
        if reference.shape != strategy.shape or not (np.concatenate([reference, strategy]) > 0).all():
            raise ValueError("times must be above 0 and of as many runs in both arms")
        if not len(reference):
            return Interval(np.nan, np.nan, np.nan)
        means = reference.mean(), strategy.mean()
        influences.append(np.log(means[1] / means[0]) + strategy / means[1] - reference / means[0])
        few = len(reference) < FEWEST_PAIRS
        resamples.append(None if few else np.log(resampled_mean(strategy, seed) / resampled_mean(reference, seed)))
    return bootstrap_interval(influences, resamples)
