"""Paired comparison of strategies; pure functions of arrays."""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

CONFIDENCE = 0.95
FEWEST_PAIRS = 5
RESAMPLES = 9999
POWER = 0.8
# differences that differ by no more than this share are equal
ROUNDING = 1e-12


class Interval(NamedTuple):
    """An estimate and its interval; the ends are NaN where none can be given."""

    estimate: float
    low: float
    high: float


class PairedComparison(NamedTuple):
    """What pairs of one seed say of a strategy against its reference; NaN where undefined.

    Attributes
    ----------
    pairs : int
        Over all data sets.
    mean_difference, median_difference : float
        Strategy minus reference; the median is that of the differences, not the difference of medians.
    low, high : float
        95 % interval of the mean difference: see `mean_difference`.
    correlation : float
        Pearson's, of the pair: how much of the spread the two share and pairing removes.
    probability_of_improvement : float
        Share of pairs in which the strategy is above its own partner, ties half.
    cliffs_delta : float
        Share of all couples of any strategy's value with any reference's in which the strategy's is above,
        less the share in which it is below.
    hedges_g : float
        Mean difference over the average standard deviation, with its small-sample correction.
    nadeau_bengio_low, nadeau_bengio_high : float
        95 % interval of the mean difference that allows for overlapping training parts.
    minimum_detectable_difference : float
        Smallest true difference that as many pairs with this spread detect in four studies of five.
    """

    pairs: int
    mean_difference: float
    median_difference: float
    low: float
    high: float
    correlation: float
    probability_of_improvement: float
    cliffs_delta: float
    hedges_g: float
    nadeau_bengio_low: float
    nadeau_bengio_high: float
    minimum_detectable_difference: float


def _mean_of_means(samples: Sequence[np.ndarray]) -> float:
    return float(np.mean([np.mean(sample) for sample in samples]))


@functools.lru_cache(maxsize=128)
def resample_counts(seed: int, number: int) -> np.ndarray:
    """Return how often each of some things stands in each of RESAMPLES resamples of as many, drawn with replacement.

    All comparisons with one seed and number share these resamples, which are drawn once: each
    interval is what it would be with resamples of its own, and its error is shared, too.

    Parameters
    ----------
    seed : int
    number : int
        Things to draw from, at least 1.

    Returns
    -------
    ndarray of unsigned int, shape (RESAMPLES, number)
        Every row sums to `number`.
    """
    drawn = np.random.default_rng(seed).integers(number, size=(RESAMPLES, number))
    # each row counts on numbers of its own
    drawn += number * np.arange(RESAMPLES)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=RESAMPLES * number).reshape(RESAMPLES, number)
    return counts.astype(np.min_scalar_type(number))


# pairs of strategies are compared on one data set after the other: as many as most studies have
@functools.lru_cache(maxsize=32)
def _shares(seed: int, number: int) -> np.ndarray:
    """Return `resample_counts` over their sums, for the next sample of the same seed and number."""
    return resample_counts(seed, number) / number


def resampled_mean(sample: np.ndarray, seed: int) -> np.ndarray:
    """Return the mean of each of RESAMPLES resamples of a sample; those of one seed and size draw the same pairs."""
    return _shares(seed, len(sample)) @ sample


def _standard_error(samples: Sequence[np.ndarray], overlap: float | np.ndarray = 0.0) -> tuple[float, float]:
    """Return the standard error of the mean of means and Satterthwaite's degrees of freedom.

    ``overlap`` is the part that Nadeau and Bengio add to 1 / n, for all or for each sample.
    """
    counts = np.array([len(sample) for sample in samples])
    variances = np.array([np.var(sample, ddof=1) for sample in samples]) * (1 / counts + overlap)
    total = variances.sum()
    if total == 0:
        return 0.0, float(sum(counts - 1))
    return math.sqrt(total) / len(samples), 1 / float(np.sum((variances / total) ** 2 / (counts - 1)))


def mean_difference(differences: Sequence[np.ndarray], seeds: Iterable[int]) -> Interval:
    """Return the mean of paired differences, averaged over data sets, with a bootstrap interval.

    The interval answers for these data sets: only seeds are resampled, within each
    data set, and every data set weighs the same. It is the BCa interval (B. Efron, Better
    bootstrap confidence intervals, 1987, https://doi.org/10.1080/01621459.1987.10478410)
    of 9999 resamples: its ends are the quantiles of the resampled means at

        Phi(z0 + (z0 + z) / (1 - a (z0 + z))),

    z0 = Phi^-1(share of resampled means below the estimate, ties half), and
    a = sum_i sum_j u_ij^3 / n_i^3 / (6 (sum_i sum_j u_ij^2 / n_i^2)^(3/2)) with u_ij the
    difference of pair j less the mean of its data set i (A. C. Davison and D. V. Hinkley,
    Bootstrap Methods and their Application, 1997, section 5.3, several samples). Efron's
    z = -+1.96 is too narrow for few pairs; here z = -+sqrt(n / (n - 1)) t, the expansion of
    T. Hesterberg, What Teachers Should Know About the Bootstrap (2015,
    https://arxiv.org/abs/1411.5279), section 5.3, with n the fewest pairs of a data set
    and t the 97.5 % quantile of Student's t at Satterthwaite's degrees of freedom, n - 1 for
    one data set (F. E. Satterthwaite, 1946, https://doi.org/10.2307/3002019).

    What it covers, simulated: 95 % of the mean of nine data sets of 10 pairs, be the differences
    normal, exponential, those of accuracies of 60 rows, or of one data set ten times as wide as
    of the rest. Of one data set of 10 pairs, 94 % of normal differences and of those of
    accuracies (Efron's z: 90 %), but 92 % of exponential and 88 % of lognormal ones; of
    5 pairs, 92 % of normal ones.

    A resample's mean cannot leave the range of the differences, so there is no interval
    for a data set with fewer than 5 pairs. Where the differences of every data set are all
    equal the interval is their mean alone: values that do not vary cannot say how far others
    would, and it then covers no stated share.

    Parameters
    ----------
    differences : sequence of ndarray, shape (pairs,)
        One array of paired differences per data set, not necessarily equally long.
    seeds : sequence of int
        Of each data set, the seed of its resamples; see `resample_counts`.

    Returns
    -------
    Interval
        At confidence 0.95; its ends are NaN where a data set has fewer than 5 pairs,
        and all of it where one has none.
    """
    pairs = zip(differences, seeds, strict=True)
    resamples = [resampled_mean(sample, seed) if len(sample) >= FEWEST_PAIRS else None for sample, seed in pairs]
    return bootstrap_interval(differences, resamples)


def bootstrap_interval(differences: Sequence[np.ndarray], resamples: Sequence[Any]) -> Interval:
    """Return the interval of `mean_difference`, of the resampled means of each data set.

    Parameters
    ----------
    differences : sequence of ndarray, shape (pairs,)
        Of each data set; their means are the estimates, their deviations the influence of each pair.
    resamples : sequence of ndarray, shape (RESAMPLES,)
        Of each data set its estimate in each resample; None where it has fewer than 5 pairs.

    Returns
    -------
    Interval
    """
    fewest = min(map(len, differences))
    if fewest == 0:
        return Interval(np.nan, np.nan, np.nan)
    estimate = _mean_of_means(differences)
    if fewest < FEWEST_PAIRS:
        return Interval(estimate, np.nan, np.nan)
    deviations = [sample - sample.mean() for sample in differences]
    scale = max(np.abs(each).max() for each in deviations)
    # all equal, to rounding
    if scale <= ROUNDING * max(np.abs(sample).max() for sample in differences):
        return Interval(estimate, estimate, estimate)
    deviations = [each / scale for each in deviations]

    resampled: np.ndarray = sum(resamples) / len(resamples)
    from_estimate = resampled - estimate
    ties = np.abs(from_estimate) <= ROUNDING * scale
    z0 = special.ndtri((np.count_nonzero(from_estimate[~ties] < 0) + ties.sum() / 2) / len(ties))
    second, third = (sum(np.sum(each**power) / len(each) ** power for each in deviations) for power in (2, 3))
    acceleration = third / second**1.5 / 6
    t = special.stdtrit(_standard_error(deviations)[1], (1 + CONFIDENCE) / 2)
    shifted = z0 + math.sqrt(fewest / (fewest - 1)) * t * np.array([-1, 1])
    ends = np.quantile(resampled, special.ndtr(z0 + shifted / (1 - acceleration * shifted)))
    return Interval(estimate, *map(float, ends))


def _correlation(reference: np.ndarray, strategy: np.ndarray) -> float:
    # two values always correlate perfectly, and constants with nothing
    if len(reference) < 3 or np.ptp(reference) == 0 or np.ptp(strategy) == 0:
        return np.nan
    return np.corrcoef(reference, strategy)[0, 1]


def _cliffs_delta(reference: np.ndarray, strategy: np.ndarray) -> float:
    ordered = np.sort(reference)
    below, not_above = (np.searchsorted(ordered, strategy, side=side).sum() for side in ("left", "right"))
    return (below + not_above) / len(strategy) / len(reference) - 1


def _hedges_g(reference: np.ndarray, strategy: np.ndarray) -> float:
    # of two pairs the correction is 0: no expectation exists
    if len(reference) < 3 or np.ptp(reference) == np.ptp(strategy) == 0:
        return np.nan
    covariance = np.cov(reference, strategy)
    trace = np.trace(covariance)
    freedom = (len(reference) - 1) / np.sum((covariance / trace) ** 2)
    return hedges_correction(freedom) * np.mean(strategy - reference) / math.sqrt(trace / 2)


def hedges_correction(freedom: float) -> float:
    """Return the factor J that takes the bias off a standardised mean difference.

    J = Gamma(m / 2) / (sqrt(m / 2) Gamma((m - 1) / 2)), exact for normal values and m degrees
    of freedom of the standardiser (L. V. Hedges, Distribution theory for Glass's estimator of
    effect size, 1981, https://doi.org/10.3102/10769986006002107, equation 6e).

    Parameters
    ----------
    freedom : float
        m, above 1.

    Returns
    -------
    float
        Between 0 and 1.
    """
    return math.exp(math.lgamma(freedom / 2) - math.lgamma((freedom - 1) / 2)) / math.sqrt(freedom / 2)


def noncentrality(freedom: float) -> float:
    """Return the standard errors a true mean must be from 0 for its two-sided t test to detect it.

    The d of P(T > t) = 0.8, with T noncentral t of noncentrality d and t its central 97.5 %
    quantile. What the other side adds to the power, below 1e-6, is left out.

    Parameters
    ----------
    freedom : float
        Degrees of freedom, at least 1.

    Returns
    -------
    float
    """
    return float(special.nctdtrinc(freedom, 1 - POWER, special.stdtrit(freedom, (1 + CONFIDENCE) / 2)))


def paired_comparisons(
    reference: Sequence[np.ndarray],
    strategy: Sequence[np.ndarray],
    seeds: Sequence[int],
    test_over_train: float | Sequence[float] | None = None,
    together: Sequence[Sequence[int]] | None = None,
) -> list[PairedComparison]:
    """Return how a strategy differs from its reference on each data set alone and, last, on all together.

    On all together, every figure but the intervals and the minimum detectable difference is the
    mean of the data sets' own, each of the same weight.

    The probability of improvement is that of R. Agarwal et al., Deep Reinforcement Learning
    at the Edge of the Statistical Precipice (2021, https://arxiv.org/abs/2108.13264), P(X > Y) +
    P(X = Y) / 2 averaged over tasks, but of values with one seed: theirs is over all couples of
    runs, the statistic U of Mann and Whitney over the number of couples, which is
    (1 + Cliff's delta) / 2. Where the pair correlates, the paired one is the farther from 1/2.
    Cliff's delta (N. Cliff, Dominance statistics, 1993,
    https://doi.org/10.1037/0033-2909.114.3.494) disregards the pairing.

    Hedges' g is J(m) (mean difference) / sqrt((s_r^2 + s_s^2) / 2), g_av: standardised by the
    spread of the runs, so that it compares with unpaired studies, not by that of the
    differences, which grows without limit as the pair correlates (D. Lakens, 2013,
    https://doi.org/10.3389/fpsyg.2013.00863; he averages the deviations, here the variances, as for
    two samples). J: see `hedges_correction`; m = (n - 1) (trace S)^2 / trace(S^2), S the
    covariance of the pair, Satterthwaite's degrees of freedom of the average variance: 2 (n - 1)
    without and n - 1 at full correlation.

    The interval of C. Nadeau and Y. Bengio, Inference for the Generalization Error (2003,
    https://doi.org/10.1023/A:1024068626366) is mean -+ t s sqrt(1 / n + n_test / n_train): as each
    seed splits the same rows anew, training parts overlap and runs correlate, which an
    interval over seeds alone does not see. It covers 95 % where the differences are
    normal and any two correlate by n_test / (n_train + n_test), and more where by less.

    The minimum detectable difference (H. S. Bloom, Minimum detectable effects, 1995,
    https://doi.org/10.1177/0193841X9501900504) is `noncentrality` times the standard error: at it, the
    paired t test has power 0.8 at the two-sided 5 % level, if the true spread is the one seen.
    Both use the standard error over data sets sqrt(sum_i s_i^2 / n_i) / (data sets) with
    Satterthwaite's degrees of freedom.

    Parameters
    ----------
    reference, strategy : sequence of ndarray, shape (pairs,)
        One array per data set; the same seeds in the same order in both.
    seeds : sequence of int
        Of each data set, the seed of the resamples of the bootstrap interval; nothing else depends on it.
    test_over_train : float or sequence of float, optional
        Rows of the test part over those of the training part, of all or of each data set,
        where each seed draws its own split; NaN of a data set of which it does not.
    together : sequence of sequence of int, optional
        Instead of all, the data sets that are taken together, counted from 0; one more comparison for each.

    Returns
    -------
    list of PairedComparison, length data sets + 1, or + those of `together`
        The interval needs 5 pairs of each data set, the correlation and Hedges' g 3, the interval of
        Nadeau and Bengio and the minimum detectable difference 2, and every figure 1. The
        correlation is NaN where an array is constant, Hedges' g where both are, and the interval
        of Nadeau and Bengio without ``test_over_train``.

    Raises
    ------
    ValueError
        Where the arrays do not pair up or hold a value that is not finite.
    """
    both = list(zip(reference, strategy, strict=True))
    if any(len(one) != len(other) for one, other in both):
        raise ValueError("reference and strategy must hold the same seeds")
    if not all(np.isfinite(values).all() for values in itertools.chain(*both)):
        raise ValueError("reference and strategy must be finite: leave out the pairs that have no value")
    overlaps = np.broadcast_to(np.nan if test_over_train is None else test_over_train, len(both))
    samples = [_sample(*pair, seed, float(overlap)) for pair, seed, overlap in zip(both, seeds, overlaps, strict=True)]
    groups = [samples] if together is None else [[samples[index] for index in group] for group in together]
    return [_together(chosen) for chosen in (*([sample] for sample in samples), *groups)]


class _Sample(NamedTuple):
    """Of one data set: differences, their resampled means, figures that are averaged, and rows of test over train."""

    differences: np.ndarray
    resampled: np.ndarray | None
    figures: dict
    overlap: float


def _sample(reference: np.ndarray, strategy: np.ndarray, seed: int, overlap: float) -> _Sample:
    differences = strategy - reference
    figures = {}
    if len(differences):
        figures = {
            "median_difference": np.median(differences),
            "correlation": _correlation(reference, strategy),
            "probability_of_improvement": (1 + np.sign(differences).mean()) / 2,
            "cliffs_delta": _cliffs_delta(reference, strategy),
            "hedges_g": _hedges_g(reference, strategy),
        }
    resampled = resampled_mean(differences, seed) if len(differences) >= FEWEST_PAIRS else None
    return _Sample(differences, resampled, figures, overlap)


def _together(samples: list[_Sample]) -> PairedComparison:
    """Return the comparison of data sets that weigh the same."""
    differences = [sample.differences for sample in samples]
    counts = [len(sample) for sample in differences]
    if min(counts) == 0:
        return PairedComparison(sum(counts), *[np.nan] * (len(PairedComparison._fields) - 1))
    interval = bootstrap_interval(differences, [sample.resampled for sample in samples])
    detectable = corrected_low = corrected_high = np.nan
    if min(counts) > 1:
        error, freedom = _standard_error(differences)
        detectable = noncentrality(freedom) * error
        overlap = np.array([sample.overlap for sample in samples])
        if not np.isnan(overlap).any():
            error, freedom = _standard_error(differences, overlap)
            half = special.stdtrit(freedom, (1 + CONFIDENCE) / 2) * error
            corrected_low, corrected_high = interval.estimate - half, interval.estimate + half
    return PairedComparison(
        pairs=sum(counts),
        mean_difference=interval.estimate,
        low=interval.low,
        high=interval.high,
        **{name: float(np.mean([sample.figures[name] for sample in samples])) for name in samples[0].figures},
        nadeau_bengio_low=float(corrected_low),
        nadeau_bengio_high=float(corrected_high),
        minimum_detectable_difference=float(detectable),
    )


def two_one_sided_tests(differences: Sequence[np.ndarray], margin: float, exact: bool = False) -> float:
    """Return the p-value of the claim that the mean difference lies within a margin.

    The larger p of the two one-sided paired t tests that the mean is not above -margin and
    not below margin (D. J. Schuirmann, 1987, https://doi.org/10.1007/BF01068419). It is below
    0.025 exactly where the 95 % t interval lies within the margin, and so the counterpart of
    what `verdict` says of that interval; the usual level of 0.05 each goes with the 90 %
    interval.

    Parameters
    ----------
    differences : sequence of ndarray, shape (pairs,)
        One array of paired differences per data set, every data set of the same weight.
    margin : float
        Above 0, in units of the differences.
    exact : bool
        As in `verdict`.

    Returns
    -------
    float
        Between 0 and 1; NaN where a data set has fewer than 2 pairs, and where the differences of every
        data set are all equal: no spread, no test. Of exact values these give 0 within the margin, its
        ends included, else 1.
    """
    if min(map(len, differences)) < 2:
        return np.nan
    estimate = _mean_of_means(differences)
    error, freedom = _standard_error(differences)
    if error <= ROUNDING * abs(estimate):
        return float(abs(estimate) > margin) if exact else np.nan
    return float(special.stdtr(freedom, (abs(estimate) - margin) / error))


def median_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval:
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


def verdict(low: float, high: float, margin: float, exact: bool = False) -> str:
    """Return what an interval of a difference says.

    Parameters
    ----------
    low, high : float
        Ends of the interval; NaN where there is none.
    margin : float
        Differences within plus or minus this count as none.
    exact : bool
        Whether the values were computed, as costs are from plans, and not drawn: of them one is enough.

    Returns
    -------
    {'better', 'worse', 'equivalent', 'undecided'}
        ``equivalent`` where the interval lies within the margin, its ends included, be it
        on one side of 0 or not (two one-sided tests: D. J. Schuirmann, 1987,
        https://doi.org/10.1007/BF01068419, at half of one minus the confidence each);
        else ``better`` or ``worse`` where it lies wholly above or below 0. An interval without width
        is ``undecided`` wherever it lies, but of exact values: draws that all say the same, or
        one alone, do not say how far the next would be.
    """
    if low == high and not exact:
        return "undecided"
    if -margin <= low and high <= margin:
        return "equivalent"
    if low > 0:
        return "better"
    return "worse" if high < 0 else "undecided"
