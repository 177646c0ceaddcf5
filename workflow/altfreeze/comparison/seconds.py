"""How well seconds are known: what the rounds of timing leave open, and intervals that carry it.

Every run's seconds are counted from the same timings, so that no resampling of seeds shows their error. It is that of
a ratio of two strategies' seconds, whose interval over the rounds is in the table speedups. On the log scale it is
independent of the seeds, and for independent errors half widths add in quadrature: where a ratio has the interval
estimate ± h over seeds and ± e over rounds, both normal, that of both is estimate ± sqrt(h² + e²). The
data sets are timed one after the other, so that the error of a mean over n of them is sqrt(sum of e_i²) / n. With the
data set as the unit an interval carries the error as it is: it is part of what differs between data sets.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from altfreeze.comparison.readings import CellRuns, read_pair
from altfreeze.statistics import Interval, PairedComparison
from altfreeze.vocabulary import MEASURES

# a ratio of seconds that is known no better than to this share cannot be told, and has no interval
LIMIT = 0.2


def timing_errors(speedups: pd.DataFrame) -> dict[tuple[str, int, str], float]:
    """Return how well the ratio of a strategy's seconds to those of standard training is known.

    Parameters
    ----------
    speedups : DataFrame
        The table speedups.

    Returns
    -------
    dict of (str, int, str) to float
        By data set, depth and strategy, the longer half of its interval on the log scale; infinite where there is none.
    """
    logs = np.log(speedups[["low", "measured", "high"]])
    halves = logs.diff(axis=1)[["measured", "high"]].max(axis=1, skipna=False)
    keys = speedups[["dataset", "depth", "strategy"]].itertuples(index=False, name=None)
    return dict(zip(keys, halves.fillna(math.inf), strict=True))


def error_of_pair(errors: Mapping[tuple, float], dataset: str, depth: int, *strategies: str) -> float:
    """Return the error of the ratio of two strategies' seconds, on the log scale; see `timing_errors`."""
    return math.hypot(*(errors.get((dataset, depth, strategy), 0.0) for strategy in strategies))


def widened(interval: Interval, errors: Sequence[float], limit: float = math.inf) -> Interval:
    """Return an interval of a mean that carries an independent error of each of its values.

    Parameters
    ----------
    interval : Interval
    errors : sequence of float
        Half widths, one for each value of the mean, on its scale.
    limit : float
        Up to which half width the error of the mean is carried.

    Returns
    -------
    Interval
        Without ends where the error of the mean is above the limit or infinite.
    """
    estimate, low, high = interval
    error = math.hypot(*errors) / len(errors) if errors else 0.0
    if error > limit or math.isinf(error):
        return Interval(estimate, math.nan, math.nan)
    return Interval(
        estimate, estimate - math.hypot(estimate - low, error), estimate + math.hypot(high - estimate, error)
    )


def widened_log_ratio(interval: Interval, errors: Sequence[float]) -> Interval:
    """Return `widened` of the log of a ratio of seconds, without ends where it is known no better than to `LIMIT`."""
    return widened(interval, errors, math.log1p(LIMIT))


def widened_ratio(interval: Interval, errors: Sequence[float]) -> Interval:
    """Return `widened_log_ratio` of a ratio less 1, the errors on the log scale."""
    logs = widened_log_ratio(Interval(*map(float, np.log1p(interval))), errors)
    return Interval(*map(float, np.expm1(logs)))


def error_of_reading(cells: tuple[CellRuns, CellRuns], budget: str, metric: str, error: float) -> float:
    """Return what an error of two cells' seconds makes of what is read of them.

    Parameters
    ----------
    cells : tuple of CellRuns
        Of the reference and of the strategy.
    budget, metric : str
        See `altfreeze.comparison.readings.read_pair`.
    error : float
        On the log scale, as of `error_of_pair`.

    Returns
    -------
    float
        Of the ratio of seconds that error. Of the metric at equal seconds by how much the mean difference moves
        where the strategy's seconds are as many times more or less, the larger of the two. On other clocks 0.
    """
    if metric == "seconds_ratio" or (budget == "seconds" and math.isinf(error)):
        return error
    if budget != "seconds" or not error:
        return 0.0
    reference, strategy = cells
    means = []
    for factor in (1.0, math.exp(error), math.exp(-error)):
        clocks = strategy.clocks | {"seconds": factor * strategy.clocks["seconds"]}
        differences = read_pair(reference, strategy._replace(clocks=clocks), budget, metric).differences
        means.append(differences.mean() if len(differences) else math.nan)
    moved = max(abs(mean - means[0]) for mean in means[1:])
    return math.inf if math.isnan(moved) else moved


def carried(
    figures: Sequence[PairedComparison],
    samples: Sequence[Sequence[str]],
    cells: Mapping[str, tuple[CellRuns, CellRuns]],
    errors: Mapping[str, float],
    budget: str,
    metric: str,
) -> list[PairedComparison]:
    """Return statistics whose intervals carry the error of seconds, where what is read depends on it.

    Parameters
    ----------
    figures : sequence of PairedComparison
    samples : sequence of sequence of str
        Data sets that each of them is a mean over.
    cells, errors : dict
        By data set, as for `error_of_reading`.
    budget, metric : str
    """
    of_reading = {name: error_of_reading(cells[name], budget, metric, error) for name, error in errors.items()}
    widen = widened_ratio if MEASURES[metric].is_ratio else widened
    carrying = []
    for each, sample in zip(figures, samples, strict=True):
        ends = widen(Interval(each.mean_difference, each.low, each.high), [of_reading[name] for name in sample])
        carrying.append(each._replace(low=ends.low, high=ends.high) if any(of_reading.values()) else each)
    return carrying
