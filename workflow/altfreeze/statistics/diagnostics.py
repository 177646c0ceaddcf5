"""Whether a study can answer: where its variance is, how many seeds it needs, standard training against itself."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

from altfreeze.statistics.paired import CONFIDENCE, Interval, _standard_error


class VarianceComponents(NamedTuple):
    """What each source adds to the variance of one run, or its share of the sum; see `variance_components`."""

    dataset: float
    strategy: float
    interaction: float
    seed: float
    residual: float

    def shares(self) -> "VarianceComponents":
        """Return each component over the sum of all: 0 to 1, and 1 together; NaN where nothing varies."""
        total = sum(self)
        return VarianceComponents(*(value / total if total else np.nan for value in self))


class SeedsNeeded(NamedTuple):
    """What numbers of seeds buy, one value per number; see `seeds_needed`."""

    seeds: np.ndarray
    half_width: np.ndarray
    power: np.ndarray


def variance_components(values: ArrayLike) -> VarianceComponents:
    """Split the variance of runs by data set, strategy, their interaction, seed and rest.

    Analysis of variance of y_dsn = mu + D_d + S_s + (DS)_ds + N_dn + e_dsn with all
    effects random: strategies are crossed with data sets, and seeds lie within a data
    set, where all strategies share them. With a data sets, b strategies, n seeds and
    mean squares M, the method of moments gives (S. R. Searle, G. Casella, C. E. McCulloch,
    Variance Components, 1992, https://doi.org/10.1002/9780470316856, chapter 4)

    - residual: M_e; seed: (M_N - M_e) / b; interaction: (M_DS - M_e) / n;
    - strategy: (M_S - M_DS) / (a n); data set: (M_D - M_DS - M_N + M_e) / (b n),

    each negative one put to 0, which makes small ones a little too large on average. A
    difference of two strategies that is paired by seed is free of data set and seed:
    the larger the share of seed beside the residual, the more the pairing saves.

    Parameters
    ----------
    values : array_like of float, shape (datasets, strategies, seeds)
        One value per run, for example its final test accuracy.

    Returns
    -------
    VarianceComponents
        In the squared unit of `values`; its method ``shares`` divides by the sum.

    Raises
    ------
    ValueError
        If the table has not three axes of at least 2 entries, or a value is not finite:
        the formulas hold for balanced tables, so what is missing has to be left out whole.
    """
    values = np.asarray(values, dtype=float)
    if values.ndim != 3 or min(values.shape) < 2 or not np.isfinite(values).all():
        raise ValueError(f"shape {values.shape}: (datasets, strategies, seeds), each at least 2, all finite, is needed")
    datasets, strategies, seeds = values.shape

    def mean(*axes: int) -> np.ndarray:
        return values.mean(axis=axes, keepdims=True)

    def mean_square(deviation: np.ndarray, degrees: int) -> float:
        return np.square(np.broadcast_to(deviation, values.shape)).sum() / degrees

    grand, by_dataset, by_strategy, by_cell, by_seed = mean(0, 1, 2), mean(1, 2), mean(0, 2), mean(2), mean(1)
    d = mean_square(by_dataset - grand, datasets - 1)
    s = mean_square(by_strategy - grand, strategies - 1)
    ds = mean_square(by_cell - by_dataset - by_strategy + grand, (datasets - 1) * (strategies - 1))
    n = mean_square(by_seed - by_dataset, datasets * (seeds - 1))
    e = mean_square(values - by_cell - by_seed + by_dataset, datasets * (strategies - 1) * (seeds - 1))
    estimates = (
        (d - ds - n + e) / (strategies * seeds),
        (s - ds) / (datasets * seeds),
        (ds - e) / seeds,
        (n - e) / strategies,
        e,
    )
    return VarianceComponents(*(max(float(estimate), 0.0) for estimate in estimates))


def seeds_needed(differences: Sequence[np.ndarray], seeds: ArrayLike, difference: float) -> SeedsNeeded:
    """Return how wide the interval of a mean difference is, and its power, with other numbers of seeds.

    For the t interval of the mean over these data sets of their mean paired differences,
    with n seeds on each of k data sets and s_d the standard deviations observed,
    the standard error is sigma = sqrt(sum s_d^2 / n) / k, with

    - degrees of freedom nu = (n - 1) (sum s_d^2)^2 / sum s_d^4 (F. E. Satterthwaite, 1946,
      https://doi.org/10.2307/3002019): n - 1 on one data set, k (n - 1) where all s_d are equal;
    - expected half width t_nu sigma E[chi_nu] / sqrt(nu), where
      E[chi_nu] = sqrt(2) Gamma((nu + 1) / 2) / Gamma(nu / 2);
    - power P(abs(T) > t_nu) of the two-sided t test, T noncentral t with nu degrees of
      freedom and noncentrality difference / sigma (J. Cohen, Statistical Power Analysis
      for the Behavioral Sciences, 1988, https://doi.org/10.4324/9780203771587, chapter 12),

    and t_nu the 97.5 % quantile. Exact for normal differences on one data set or of equal
    variance on all; s_d is taken as the truth, which few pairs know only roughly.
    More seeds say nothing of other data sets.

    Parameters
    ----------
    differences : sequence of ndarray, shape (pairs,)
        One array of paired differences per data set, not necessarily equally long.
    seeds : array_like of int, shape (k,)
        Numbers of seeds per data set, from 2 on.
    difference : float
        The mean difference to detect, in the unit of `differences`, not 0.

    Returns
    -------
    SeedsNeeded
        ``seeds``, ``half_width`` in the unit of `differences` and ``power``, 0 to 1, each of shape (k,).

    Raises
    ------
    ValueError
        If a data set has fewer than 2 pairs, a number of seeds is below 2 or the difference is 0.
    """
    seeds = np.asarray(seeds)
    if min(map(len, differences)) < 2 or seeds.min() < 2 or not difference:
        raise ValueError("at least 2 pairs of each data set, 2 seeds and a difference other than 0 are needed")
    variances = np.array([np.var(sample, ddof=1) for sample in differences])
    if not variances.any():
        return SeedsNeeded(seeds, np.zeros(len(seeds)), np.ones(len(seeds)))
    error = np.sqrt(variances.sum() / seeds) / len(variances)
    degrees = variances.sum() ** 2 / np.sum(variances**2) * (seeds - 1)
    critical = stats.t.ppf((1 + CONFIDENCE) / 2, degrees)
    # the ratio of gamma functions, Gamma(z + 1/2) / Gamma(z) at z = nu / 2
    half_width = critical * error * special.poch(degrees / 2, 0.5) * np.sqrt(2 / degrees)
    # so far out a test cannot fail, and farther out scipy gives NaN
    noncentrality = np.clip(difference / error, -1e8, 1e8)
    # the lower tail is the upper one of the mirrored distribution, of which scipy's cdf is NaN far out
    power = sum(stats.nct.sf(critical, degrees, side * noncentrality) for side in (1, -1))
    return SeedsNeeded(seeds, half_width, power)


def a_a(reference: Sequence[np.ndarray], again: Sequence[np.ndarray]) -> Interval:
    """Compare a strategy with itself on other seeds: whatever is found is not there.

    The mean over data sets of mean(again) - mean(reference), with the interval of B. L.
    Welch (1947, https://doi.org/10.1093/biomet/34.1-2.28) for the sum of independent means:
    estimate -+ t_nu sqrt(sum V_j), where V_j = s_j^2 / (n_j k^2) is over both samples of
    each of the k data sets, nu = (sum V_j)^2 / sum(V_j^2 / (n_j - 1)) and t_nu the 97.5 %
    quantile. It covers 0 in 95 % of studies, nearly so where values are not normal. Seeds that
    differ make no pairs, so it is wider than that of as many pairs of correlated runs.

    Parameters
    ----------
    reference, again : sequence of ndarray, shape (runs,)
        One array of values per data set, of the same strategy; no seed in both.

    Returns
    -------
    Interval
        At confidence 0.95, for `altfreeze.statistics.verdict`, which should be
        'equivalent' or 'undecided'.

    Raises
    ------
    ValueError
        If a data set has fewer than 2 runs on a side, or the sides differ in their data sets.
    """
    samples = [*reference, *again]
    if len(reference) != len(again) or min(map(len, samples)) < 2:
        raise ValueError("as many data sets on both sides, with at least 2 runs of each, are needed")
    estimate = float(np.mean([np.mean(b) - np.mean(a) for a, b in zip(reference, again, strict=True)]))
    # of the mean over twice as many samples as there are data sets
    error, degrees = _standard_error(samples)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees)) * 2 * error
    return Interval(estimate, estimate - half, estimate + half)
