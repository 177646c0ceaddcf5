"""The two endpoints that a study answers with, and whether each could have come out otherwise.

*End*: the metric after the last epoch, for equal operations. *Time*: what was spent until a validation target.
"""

import itertools
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from altfreeze.comparison.readings import CellRuns, read_pair, resampling_seed
from altfreeze.comparison.seconds import error_of_pair, timing_errors, widened_log_ratio
from altfreeze.statistics import (
    Interval,
    across_datasets,
    holm,
    log_ratio_of_means,
    mean_difference,
    sign_test_p_value,
    verdict,
)
from altfreeze.statistics.paired import FEWEST_PAIRS
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.tables.schema import CELL, DIGITS
from altfreeze.vocabulary import CLOCKS, ENDPOINTS, NOT_ABOVE_CHANCE, SATURATED

# shares of its budget that standard training loses; the first decides whether an endpoint is sensitive
LOST = (0.5, 0.75)
# the clock that times to the target are compared on; seconds are beside it
PRIMARY_CLOCK = "flops"
# values of a data set's runs, paired by seed: of the reference, of the strategy
Sample = tuple[np.ndarray, np.ndarray]


class Spent(NamedTuple):
    """What the runs of a study had spent at a target.

    Attributes
    ----------
    times : dict of tuple to dict of str to ndarray, shape (runs,)
        By cell, ``seed``, ``reached`` and each clock of the table times_to_target at the primary level, by seed.
    ends : dict of tuple to dict of str to float
        By cell, what its runs have spent at their end, by clock.
    errors : dict of (str, int, str) to float
        How well seconds are known; see `altfreeze.comparison.seconds.timing_errors`.
    """

    times: dict[tuple, dict[str, np.ndarray]]
    ends: dict[tuple, dict[str, float]]
    errors: Mapping[tuple[str, int, str], float] = MappingProxyType({})


def spent_at_target(study: Study, runs: pd.DataFrame, times: pd.DataFrame, speedups: pd.DataFrame) -> Spent:
    """Return what the runs had spent at the target of the primary level.

    Parameters
    ----------
    study : Study
    runs, times, speedups : DataFrame
        The tables runs, times_to_target and speedups.
    """
    ends = runs[runs["status"] != "missing"].groupby(CELL)[[clock.end for clock in CLOCKS.values()]].min()
    ends.columns = list(CLOCKS)
    at_level = times[times["level"] == study.primary_level].sort_values("seed")
    columns = ("seed", "reached", *CLOCKS)
    by_cell = {cell: {name: rows[name].to_numpy() for name in columns} for cell, rows in at_level.groupby(CELL)}
    return Spent(by_cell, ends.to_dict("index"), timing_errors(speedups))


def sensitivity(
    study: Study, cells: Mapping[tuple, CellRuns], spent: Spent, by_chance: Mapping[tuple, Collection[str]]
) -> list[dict[str, Any]]:
    """Return the table sensitivity: whether an endpoint notices that standard training lost a part of its budget.

    Where it does not, "no difference" says nothing of what is compared there (assay sensitivity: ICH E10,
    Choice of Control Group and Related Issues in Clinical Trials, 2000, section 1.5). At the end the lesser training
    is `standard_half_updates` where half is lost and it was trained, with a learning rate that decays in its own
    time; else it is standard training read earlier on its curve, which a rate that has not decayed yet makes look
    worse. On the way to a target it is standard training that spends more for each of its epochs.

    Parameters
    ----------
    study : Study
    cells : dict of tuple to CellRuns
        See `altfreeze.comparison.readings.read_cells`.
    spent : Spent
    by_chance : dict of (int, str) to collection of str
        By every depth and recipe that is trained, the data sets on which standard training is not above chance.

    Returns
    -------
    list of dict
        One row for each place, recipe, endpoint and share lost, and one for each panel of data sets together.
    """
    rows = []
    for (depth, recipe), chance in by_chance.items():
        for endpoint, lost in itertools.product(ENDPOINTS, LOST):
            samples, read = {}, {}
            for name in study.datasets:
                standard = (name, depth, "standard", recipe)
                if endpoint == "end":
                    half = cells.get((name, depth, "standard_half_updates", recipe)) if lost == LOST[0] else None
                    samples[name] = _at_the_end(study, cells[standard], half, lost)
                    read[name] = "own run" if half else "curve"
                else:
                    samples[name], read[name] = _slower(spent, standard, lost), "slower"
            for name, members in _together(study, chance).items():
                chosen = {member: samples[member] for member in members}
                effect = _effect(study, endpoint, chosen)
                # times that are stretched are computed, not drawn
                said = _verdict(study, endpoint, effect, exact=endpoint == "time")
                rows.append(
                    {"dataset": name, "depth": depth, "recipe": recipe, "endpoint": endpoint, "lost": lost}
                    | {"read": read[members[0]] if members else "nothing", "pairs": _count_pairs(chosen)}
                    | _as_stated(endpoint, effect)
                    | {"sensitive": "yes" if said in ("worse", "higher") else "no"}
                )
    return rows


def sensitive_places(rows: list[dict[str, Any]], endpoint: str) -> set[tuple[str, int, str]]:
    """Return data set, depth and recipe of every place that notices half of a budget at an endpoint."""
    return {
        (row["dataset"], row["depth"], row["recipe"])
        for row in rows
        if row["endpoint"] == endpoint and row["lost"] == LOST[0] and row["sensitive"] == "yes"
    }


def where_sensitive(said: str, sensitive: bool) -> str:
    """Return a verdict: being equivalent says nothing where half of a budget is not noticed."""
    return SATURATED if said == "equivalent" and not sensitive else said


def endpoints(
    study: Study,
    cells: Mapping[tuple, CellRuns],
    spent: Spent,
    by_chance: Mapping[tuple, Collection[str]],
    sensitivities: list[dict[str, Any]],
) -> pd.DataFrame:
    """Return the table endpoints: every alternating strategy at both endpoints.

    On these data sets an effect has the interval of `altfreeze.statistics.mean_difference` or, of times,
    `log_ratio_of_means`; that of seconds carries their error, see `altfreeze.comparison.seconds`. With the data set
    as the unit its value is one number of a sample: a t interval, Wilcoxon's test and the sign test; of the two primary
    ones Wilcoxon's p-values are adjusted by Holm's method.

    Parameters
    ----------
    study, cells, spent, by_chance
        As for `sensitivity`.
    sensitivities : list of dict
        What that returned.

    Returns
    -------
    DataFrame
    """
    noticed = {endpoint: sensitive_places(sensitivities, endpoint) for endpoint in ENDPOINTS}
    rows = []
    for (depth, recipe), chance in by_chance.items():
        for label, ratio in study.alternating.items():
            if not all((name, depth, label, recipe) in cells for name in study.datasets):
                continue
            for endpoint, clock, reference, samples in _samples(study, cells, spent, depth, recipe, label):
                primary = (label, depth, recipe) == (study.primary_strategy, study.primary_depth, PRIMARY_RECIPE)
                key = {"depth": depth, "recipe": recipe, "strategy": label, "freeze_ratio": ratio}
                key |= {"endpoint": endpoint, "reference": reference, "clock": clock}
                measured = (endpoint, clock) == ("time", "seconds")
                errors = {
                    name: error_of_pair(spent.errors, name, depth, label, reference) if measured else 0.0
                    for name in study.datasets
                }
                key["family"] = "primary" if primary and (endpoint == "end" or clock == PRIMARY_CLOCK) else "secondary"
                for name, members in _together(study, chance).items():
                    chosen = {member: samples[member] for member in members}
                    sensitive = [member for member in members if (member, depth, recipe) in noticed[endpoint]]
                    row = _row(study, endpoint, chosen, (name, depth, recipe) in noticed[endpoint], errors)
                    if not members or (name in study.datasets and name in chance):
                        row["verdict"] = NOT_ABOVE_CHANCE
                    rows.append({"dataset": name, **key, "sensitive": len(sensitive), **row})
    table = pd.DataFrame(rows)
    tested = (table["family"] == "primary") & (table["dataset"] == "all") & table["wilcoxon_p"].notna()
    table["adjusted_p"] = np.nan
    table.loc[tested, "adjusted_p"] = holm(table.loc[tested, "wilcoxon_p"].to_numpy())
    return table


def variations(study: Study, cells: Mapping[tuple, CellRuns], endpoints: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the table variations: the primary comparison under each recipe, on the primary data sets together.

    Parameters
    ----------
    study : Study
    cells : dict of tuple to CellRuns
        See `altfreeze.comparison.readings.read_cells`.
    endpoints : DataFrame
        The table endpoints.

    Returns
    -------
    list of dict
        The primary recipe first. A recipe ``cripples`` standard training that ends lower by the margin or more than
        under the primary one.
    """
    here = endpoints[
        (endpoints["dataset"] == "all")
        & (endpoints["depth"] == study.primary_depth)
        & (endpoints["strategy"] == study.primary_strategy)
    ].set_index(["recipe", "endpoint", "clock"])

    def of_standard(recipe: str) -> float:
        runs = [cells[name, study.primary_depth, "standard", recipe].runs for name in study.panels["all"]]
        return float(np.mean([each[study.metric.final][each["status"] == "ok"].mean() for each in runs]))

    best = of_standard(PRIMARY_RECIPE)
    rows = []
    for recipe in study.recipes:
        standard = of_standard(recipe)
        clocks = {"end": study.primary_budget, "time": PRIMARY_CLOCK}
        end, time = (here.loc[(recipe, endpoint, clock)] for endpoint, clock in clocks.items())
        columns = ("effect", "low", "high", "sensitive", "verdict")
        rows.append(
            {"recipe": recipe, "datasets": end["datasets"], "pairs": end["pairs"]}
            | {"standard_value": standard}
            | {"cripples": "yes" if study.metric.sign * (standard - best) < -study.equivalence_margin else "no"}
            | {f"end_{name}": end[name] for name in columns}
            | {f"time_{name}": time[name] for name in columns}
        )
    return rows


def _together(study: Study, by_chance: Collection[str]) -> dict[str, list[str]]:
    """Return the data sets of each row: each alone, and those of a panel together that are above chance."""
    panels = {name: [one for one in members if one not in by_chance] for name, members in study.panels.items()}
    return {name: [name] for name in study.datasets} | panels


def _at_the_end(study: Study, standard: CellRuns, half: CellRuns | None, lost: float) -> Sample:
    """Return the metric of standard training and of one that lost a share of its budget, at their ends."""
    if half is not None:
        return _oriented(study, standard, half, "own")
    ended = standard.runs["status"] == "ok"
    epochs = standard.scores.shape[1]
    if not epochs:
        return np.empty(0), np.empty(0)
    earlier = max(1, int(epochs * (1 - lost)))
    scores = study.metric.sign * standard.scores[ended]
    return scores[:, -1], scores[:, earlier - 1]


def _oriented(study: Study, reference: CellRuns, strategy: CellRuns, budget: str) -> Sample:
    """Return the metric of two cells at a budget, of which more is better."""
    reading = read_pair(reference, strategy, budget, study.metric.final)
    return study.metric.sign * reading.reference, study.metric.sign * reading.strategy


def _slower(spent: Spent, cell: tuple, lost: float) -> Sample:
    """Return the times to the target of standard training and of one that takes 1 / (1 - lost) times as long."""
    if cell not in spent.times:
        return np.empty(0), np.empty(0)
    times, end = spent.times[cell][PRIMARY_CLOCK], spent.ends[cell][PRIMARY_CLOCK]
    slower = np.where(spent.times[cell]["reached"] == 1, times / (1 - lost), end)
    return np.minimum(times, end), np.minimum(slower, end)


def _samples(
    study: Study, cells: Mapping[tuple, CellRuns], spent: Spent, depth: int, recipe: str, label: str
) -> Iterator[tuple[str, str, str, dict[str, Sample]]]:
    """Yield endpoint, clock, reference and the values of each data set of an alternating strategy."""
    _, reference, budget = study.at_equal_budget(label, study.primary_budget)
    if (study.datasets[0], depth, reference, recipe) in cells:
        ends = {}
        for name in study.datasets:
            arms = [cells[name, depth, arm, recipe] for arm in (reference, label)]
            ends[name] = _oriented(study, arms[0], arms[1], budget)
        yield "end", study.primary_budget, reference, ends
    for clock in (PRIMARY_CLOCK, "seconds"):
        times = {
            name: _restricted(spent, (name, depth, "standard", recipe), (name, depth, label, recipe), clock)
            for name in study.datasets
        }
        yield "time", clock, "standard", times


def _restricted(spent: Spent, reference: tuple, strategy: tuple, clock: str) -> Sample:
    """Return the times to the target of two cells, up to the smaller of their ends; none where no run reached it."""
    if not all(cell in spent.times for cell in (reference, strategy)):
        return np.empty(0), np.empty(0)
    arms = [spent.times[cell] for cell in (reference, strategy)]
    end = min(spent.ends[cell][clock] for cell in (reference, strategy))
    _, *rows = np.intersect1d(arms[0]["seed"], arms[1]["seed"], assume_unique=True, return_indices=True)
    if np.isnan(end) or not any(arm["reached"][at].any() for arm, at in zip(arms, rows, strict=True)):
        return np.empty(0), np.empty(0)
    first, second = (np.minimum(arm[clock][at], end) for arm, at in zip(arms, rows, strict=True))
    return first, second


def _row(
    study: Study, endpoint: str, samples: Mapping[str, Sample], sensitive: bool, errors: Mapping[str, float]
) -> dict[str, Any]:
    """Return the columns of an endpoint over some data sets together."""
    usable = {name: sample for name, sample in samples.items() if len(sample[0])}
    # a data set without a pair leaves the mean at the end unknown; a target that nobody reaches says nothing of times
    effect = _effect(study, endpoint, samples if endpoint == "end" else usable)
    effect = widened_log_ratio(effect, [errors[name] for name in usable])
    differing = sum(np.count_nonzero(reference != strategy) for reference, strategy in usable.values())
    said = _verdict(study, endpoint, effect) if differing >= FEWEST_PAIRS else "undecided"
    units = [_estimate(endpoint, sample) for sample in usable.values()]
    means = [[side.mean() for side in sample] for sample in usable.values()]
    # over data sets a mean of operations says nothing
    known = means and (endpoint == "end" or len(samples) == 1)
    sign = study.metric.sign if endpoint == "end" else 1
    values = sign * np.mean(means, axis=0) if known else np.full(2, np.nan)
    return {
        "datasets": len(usable),
        "missing": len(samples) - len(usable),
        "pairs": _count_pairs(samples),
        "reference_value": values[0],
        "strategy_value": values[1],
        **_as_stated(endpoint, effect),
        "verdict": where_sensitive(said, sensitive),
        **_with_the_data_set_as_unit(study, endpoint, np.round(units, DIGITS), sensitive),
    }


def _with_the_data_set_as_unit(study: Study, endpoint: str, values: np.ndarray, sensitive: bool) -> dict[str, Any]:
    """Return what the effects of data sets, one number each, say of data sets like these."""
    names = ("across_low", "across_high", "sign_p", "wilcoxon_p")
    counts = {"above": int((values > 0).sum()), "below": int((values < 0).sum())}
    if len(values) < 2:
        return counts | dict.fromkeys(names, np.nan) | {"across_verdict": "undecided"}
    result = across_datasets(values)
    interval = Interval(result.mean, result.low, result.high)
    stated = _as_stated(endpoint, interval)
    numbers = (stated["low"], stated["high"], sign_test_p_value(values), result.wilcoxon_p)
    said = where_sensitive(_verdict(study, endpoint, interval), sensitive)
    return counts | dict(zip(names, numbers, strict=True)) | {"across_verdict": said}


def _effect(study: Study, endpoint: str, samples: Mapping[str, Sample]) -> Interval:
    """Return the effect on data sets that weigh the same: a difference or, of times, the log of a ratio."""
    if not samples:
        return Interval(np.nan, np.nan, np.nan)
    seeds = [resampling_seed(study.seed, name) for name in samples]
    references, strategies = zip(*samples.values(), strict=True)
    if endpoint == "end":
        return mean_difference([one - other for one, other in zip(strategies, references, strict=True)], seeds)
    return log_ratio_of_means(references, strategies, seeds)


def _estimate(endpoint: str, sample: Sample) -> float:
    """Return the effect on one data set, without its interval."""
    reference, strategy = (side.mean() for side in sample)
    return float(strategy - reference if endpoint == "end" else np.log(strategy / reference))


def _verdict(study: Study, endpoint: str, effect: Interval, exact: bool = False) -> str:
    """Return what an effect says; of times as of costs."""
    low, high = round(effect.low, DIGITS), round(effect.high, DIGITS)
    if endpoint == "end":
        return verdict(low, high, study.equivalence_margin, exact)
    said = verdict(low, high, float(np.log1p(study.cost_margin)), exact)
    return {"better": "higher", "worse": "lower"}.get(said, said)


def _as_stated(endpoint: str, effect: Interval) -> dict[str, float]:
    """Return an effect as tables state it: a difference, or a ratio of times."""
    ends = effect if endpoint == "end" else map(float, np.exp(effect))
    return dict(zip(("effect", "low", "high"), ends, strict=True))


def _count_pairs(samples: Mapping[str, Sample]) -> int:
    return sum(len(reference) for reference, _ in samples.values())
