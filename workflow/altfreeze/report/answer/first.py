"""The first sentence of a report: both halves of the answer, computed from the table endpoints."""

import math
from typing import Any

import pandas as pd

from altfreeze.comparison.endpoints import PRIMARY_CLOCK
from altfreeze.freezing.schedules import split_index
from altfreeze.report.words import (
    count,
    listed,
    margin_in_words,
    more_or_fewer,
    range_of_more,
    reference_in_words,
    side,
    signed_points,
)
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.support.errors import InputError
from altfreeze.vocabulary import CLOCKS, NOT_ABOVE_CHANCE, SATURATED, Metric

# verdicts at either endpoint that speak for a strategy, and against it
FAVOURABLE, UNFAVOURABLE = ("better", "lower"), ("worse", "higher")
_AS = {"end": "good", "time": "fast"}
_TOLD = (*FAVOURABLE, *UNFAVOURABLE, "equivalent")
# more names than these are counted only
_MOST_NAMED = 6


def answer(study: Study, endpoints: pd.DataFrame) -> str:
    """Return the answer of the study: whether alternating freezing is faster, and whether it is better.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    endpoints : pandas.DataFrame
        The table endpoints.

    Returns
    -------
    str
        The scope, then `word`, then both halves, on the mean of the primary data sets.

    Raises
    ------
    InputError
        If `endpoints` lacks a primary row.
    """
    end, time = (primary_row(study, endpoints, endpoint) for endpoint in ("end", "time"))
    chance = by_chance_here(study, endpoints)
    if end.verdict == NOT_ABOVE_CHANCE:
        where = f"any of the {len(chance)} data sets" if len(chance) > 1 else chance[0]
        constant = "the classes' shares" if study.metric.lower_is_better else "the largest class"
        return (
            f"{_scope(study, chance, end)}: no verdict on alternating freezing. Standard training is not above chance "
            f"on {where}, no better than to always name {constant}, so there is nothing to compare."
        )
    subject = f"{_frozen(study.primary_depth, study.primary_freeze_ratio)}, on the mean of the data sets,"
    halves = f"{_time_in_words(study, endpoints, time)}; {_end_in_words(study, end)}"
    return f"{_scope(study, chance, end)}: {word(study, endpoints)}. {subject} {halves}."


def word(study: Study, endpoints: pd.DataFrame) -> str:
    """Return the answer in a word or two: whether a half is won, and whether the other cells of the grid agree.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    endpoints : pandas.DataFrame
        The table endpoints.

    Returns
    -------
    str
        *It depends* where one half is won and the other lost, or where a half is won in one cell of depth and freeze
        ratio and lost in another. *Yes* where a half is won and none lost, with what cannot be told of the other.
        *No* where none is won and both are told: lost, or equivalent where the end could have noticed half of a
        training. Else *Cannot tell*.
    """
    said = {endpoint: primary_row(study, endpoints, endpoint).verdict for endpoint in ("time", "end")}
    won = [endpoint for endpoint, verdict in said.items() if verdict in FAVOURABLE]
    lost = [endpoint for endpoint, verdict in said.items() if verdict in UNFAVOURABLE]
    cells = cells_of_the_grid(study, endpoints)
    if (won and lost) or any(_conflict(rows["verdict"]) for _, rows in cells.groupby("endpoint")):
        return "It depends"
    if won:
        halves = listed([{"end": "better", "time": "faster"}[endpoint] for endpoint in won])
        untold = [endpoint for endpoint, verdict in said.items() if verdict not in _TOLD]
        return f"Yes, {halves}" + "".join(f"; cannot tell whether as {_AS[endpoint]}" for endpoint in untold)
    if all(verdict in _TOLD for verdict in said.values()):
        return "No"
    return "Cannot tell"


def primary_row(
    study: Study, endpoints: pd.DataFrame, endpoint: str, dataset: str = "all", clock: str = PRIMARY_CLOCK
) -> Any:
    """Return the row of an endpoint for the primary strategy at its depth, under the primary recipe.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    endpoints : pandas.DataFrame
        The table endpoints.
    endpoint, dataset : str
    clock : str
        Of times.

    Returns
    -------
    namedtuple

    Raises
    ------
    InputError
        If there is not one such row.
    """
    wanted = {"depth": study.primary_depth, "strategy": study.primary_strategy, "recipe": PRIMARY_RECIPE}
    wanted |= {"endpoint": endpoint, "dataset": dataset}
    wanted |= {"clock": clock if endpoint == "time" else study.primary_budget}
    rows = endpoints[(endpoints[list(wanted)] == list(wanted.values())).all(axis=1)]
    if len(rows) != 1:
        where = ", ".join(f"{name} {value}" for name, value in wanted.items())
        raise InputError(f"endpoints: {len(rows)} rows of {where}; allowed: one")
    return next(rows.itertuples())


def cells_of_the_grid(study: Study, endpoints: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all depths and freeze ratios, data sets together, under the primary recipe.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    endpoints : pandas.DataFrame
        The table endpoints.

    Returns
    -------
    pandas.DataFrame
        Of both endpoints, times by operations.
    """
    return endpoints[
        (endpoints["dataset"] == "all")
        & (endpoints["recipe"] == PRIMARY_RECIPE)
        & ((endpoints["endpoint"] == "end") | (endpoints["clock"] == PRIMARY_CLOCK))
    ]


def by_chance_here(study: Study, endpoints: pd.DataFrame) -> list[str]:
    """Return the primary data sets on which standard training is not above chance at the primary depth."""
    here = endpoints[(endpoints["family"] == "primary") & (endpoints["endpoint"] == "end")]
    beaten = set(here.loc[here["verdict"] == NOT_ABOVE_CHANCE, "dataset"])
    return [name for name in study.primary_datasets if name in beaten]


def names_of(names: list[str]) -> str:
    """Return names as a list in words; of many, how many and the first."""
    return listed(names) if len(names) <= _MOST_NAMED else f"{len(names)} ({', '.join(names[:_MOST_NAMED])} and others)"


def sides(metric: Metric) -> tuple[str, str, str]:
    """Return what a difference is that is positive where the strategy is better: of 0, above and below it."""
    return ("", "better", "worse") if metric.lower_is_better else ("", "higher", "lower")


def _conflict(verdicts: pd.Series) -> bool:
    return bool(verdicts.isin(FAVOURABLE).any() and verdicts.isin(UNFAVOURABLE).any())


def _scope(study: Study, by_chance: list[str], end: Any) -> str:
    judged = len(study.primary_datasets) - len(by_chance)
    without = ""
    if judged and by_chance:
        without = f" (without {names_of(by_chance)}, where standard training is not above chance)"
    sets = count(judged or len(by_chance), "data set")
    pairs = (judged or len(by_chance)) * study.seeds
    left_out = f" ({end.pairs:,} of {count(pairs, 'pair')}, the others left out)" if end.pairs < pairs else ""
    return f"{study.primary_depth}-layer {study.networks}, {sets}{without}, {count(study.seeds, 'seed')} each{left_out}"


def _time_in_words(study: Study, endpoints: pd.DataFrame, row: Any) -> str:
    way = f"come {100 * study.primary_level:g} % of the way to its {study.metric.words}"
    if math.isnan(row.effect):
        return f"cannot be told to be faster than standard training or not: no run of either has {way}"
    seconds = primary_row(study, endpoints, "time", clock="seconds")
    beside = "" if math.isnan(seconds.effect) else f"; {more_or_fewer(seconds.effect)} {CLOCKS['seconds'].words}"
    within = "no interval" if math.isnan(row.low) else f"95 % interval {range_of_more(row.low, row.high)}"
    tail = {
        "equivalent": f", no difference of {100 * study.cost_margin:g} %",
        SATURATED: ", where a training twice as slow would not be noticed",
        "undecided": ", which is undecided",
    }.get(row.verdict, "")
    return f"took {more_or_fewer(row.effect)} operations than standard training to {way} ({within}{beside}){tail}"


def _end_in_words(study: Study, row: Any) -> str:
    reference = study.strategies[row.reference]["name"]
    against = reference_in_words(reference, study.primary_budget if reference == "standard" else "own")
    if math.isnan(row.effect):
        return f"whether it ends better than {against} cannot be told: a data set has no pair of runs that both ended"
    shown, of_side = signed_points(row.effect, 1), sides(study.metric)
    away = f"{of_side[side(row.effect)]} than" if shown.strip("+−0.") else "from"
    ends = " to ".join(signed_points(end, 1) for end in (row.low, row.high))
    within = "no interval" if math.isnan(row.low) else f"95 % interval {ends}"
    margin, sure = margin_in_words(study.equivalence_margin, study.metric), side(row.low, row.high)
    tail = {
        "equivalent": f", {of_side[sure]} by less than {margin}" if sure else f", no difference of {margin}",
        SATURATED: ", where the end does not notice that standard training lost half of its budget",
        "undecided": ", which is undecided",
    }.get(row.verdict, "")
    return f"it ended {shown.lstrip('+−')} {study.metric.units} {away} {against} ({within}){tail}"


def _frozen(depth: int, freeze_ratio: float) -> str:
    bottom = split_index(freeze_ratio, depth)
    if 2 * bottom == depth:
        return "Freezing the lower and the upper half of the layers in turn"
    return f"Freezing the lower {bottom} and the upper {depth - bottom} layers in turn"
