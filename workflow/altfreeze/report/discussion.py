"""What the tables say beyond the answer: sentences, each chosen by a rule that the reader can check.

A rule is a pure function of the study and its tables. It returns what it found, or None where
the tables do not answer its question; to add one, decorate it with `rule`. No rule claims
anything of a row without an interval.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from altfreeze.comparison.readings import resampling_seed
from altfreeze.freezing.schedules import split_index
from altfreeze.report.words import CONTROLS, count, interval, listed, margin_in_words, p_value, points, side
from altfreeze.statistics import mean_difference
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.vocabulary import EQUAL_BUDGETS, NOT_ABOVE_CHANCE, SATURATED

Tables = Mapping[str, pd.DataFrame]
SIGNIFICANT = 0.05
_TRENDS = {"increasing": "rises", "decreasing": "falls"}
# columns of comparisons that the rules decide on
_COMPARED = ["dataset", "depth", "strategy", "reference", "recipe", "budget", "pairs", "difference", "low", "high"]
_COMPARED.append("verdict")


class Finding(NamedTuple):
    """What a rule found: a sentence, the condition that chose it, and the rows that it was read from."""

    sentence: str
    because: str
    rows: pd.DataFrame


class Rule(NamedTuple):
    """A question, the table that answers it, and ``find(study, tables)`` to a `Finding` or None."""

    question: str
    table: str
    find: "Find"


Find = Callable[[Study, Tables], Finding | None]
RULES: dict[str, Rule] = {}


def rule(question: str, table: str = "comparisons") -> Callable[[Find], Find]:
    """Register a function as the rule that answers `question` from `table`."""

    def register(find: Find) -> Find:
        RULES[find.__name__] = Rule(question, table, find)
        return find

    return register


def discuss(study: Study, tables: Tables) -> list[tuple[Rule, Finding | None]]:
    """Return what each rule found.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    tables : dict of str to pandas.DataFrame
        The tables comparisons, pairs, trends and speedups.

    Returns
    -------
    list of (Rule, Finding or None)
        In the order of `RULES`. Where the primary strategy never freezes a layer it is standard
        training, and nothing is found.
    """
    freezes = 0 < split_index(study.primary_freeze_ratio, study.primary_depth) < study.primary_depth
    return [(rule, rule.find(study, tables) if freezes else None) for rule in RULES.values()]


@rule("Does the winner depend on what is held equal?")
def budgets(study: Study, tables: Tables) -> Finding | None:
    """Compare the sides of zero on which the intervals against standard training lie, budget by budget."""
    rows = _rows(study, tables, reference="standard").set_index("budget").reindex(list(EQUAL_BUDGETS))
    known = rows.dropna(subset="low").reset_index()
    if len(known) < 2:
        return None
    below, above = (known[side] for side in _sides(known))
    neither = known.drop([*below.index, *above.index])
    strategy = study.primary_strategy

    def shown(part: pd.DataFrame) -> str:
        return listed([f"at {EQUAL_BUDGETS[row.budget].words} ({_shown(study, row)})" for row in part.itertuples()])

    if len(below) and len(above):
        sentence = (
            f"The winner depends on what is held equal: {strategy} ended above standard training {shown(above)}, and "
            f"below it {shown(below)}"
        )
    elif len(below) or len(above):
        ended = f"{strategy} ended {'below' if len(below) else 'above'} standard training"
        where = shown(below if len(below) else above)
        sentence = f"{ended} {where}, and at no budget {'above' if len(below) else 'below'} it"
        if neither.empty:
            sentence = f"The winner does not depend on what is held equal: {ended} {where}"
    else:
        sentence = (
            f"No budget shows a winner: the interval of {strategy} minus standard training holds 0 {shown(neither)}"
        )
    if len(neither) and len(neither) < len(known):
        sentence += f"; the interval holds 0 {shown(neither)}"
    without = [budget.words for name, budget in EQUAL_BUDGETS.items() if name not in set(known["budget"])]
    sentence += f". There is no interval at {listed(without)}." if without else "."
    because = (
        f"of {count(len(known), 'interval')}, {len(below)} with high < 0, {len(above)} with low > 0, {len(neither)} "
        "with low ≤ 0 ≤ high"
    )
    return Finding(sentence, because, known[_COMPARED])


@rule("Does freezing do more than make fewer updates?")
def fewer_updates(study: Study, tables: Tables) -> Finding | None:
    """Compare with standard training for half of the steps."""
    strategy, words = study.primary_strategy, CONTROLS["standard_half_updates"]
    return _by_verdict(
        study,
        _rows(study, tables, references=_controls(study, "standard_half_updates"), budget="own"),
        better=f"Freezing does more than make fewer updates, and it helps: {strategy} ended above {words}",
        worse=f"Freezing does more than make fewer updates, and it harms: {strategy} ended below {words}",
        equivalent=f"Freezing is not seen to do more than make fewer updates: {strategy} ended within "
        f"{margin_in_words(study.equivalence_margin, study.metric)} of {words}",
        undecided=f"Whether freezing does more than make fewer updates is undecided: {strategy} against {words}",
    )


@rule("Does it matter that both groups learn, in turn?")
def turns(study: Study, tables: Tables) -> Finding | None:
    """Compare with the controls of which one group keeps its initial weights."""
    controls = _controls(study, "frozen_bottom", "frozen_top")
    known = _rows(study, tables, references=controls, budget="own").dropna(subset="low")
    if known.empty:
        return None
    margin = margin_in_words(study.equivalence_margin, study.metric)
    told = known["verdict"].replace(SATURATED, "undecided")
    parts = {verdict: known[told == verdict] for verdict in ("better", "worse", "equivalent", "undecided")}
    helped = len(parts["better"])
    if helped == len(known):
        opening = "Taking turns matters"
    elif helped:
        opening = f"Taking turns is seen to help against {helped} of {count(len(known), 'control')}"
    elif len(parts["equivalent"]) == len(known):
        opening = f"Taking turns makes no difference of {margin} or more"
    else:
        opening = "Taking turns is not seen to help"
    words = {"better": "above", "worse": "below", "equivalent": f"within {margin} of"}
    against = {
        verdict: listed([f"{row.reference} ({_shown(study, row)})" for row in part.itertuples()])
        for verdict, part in parts.items()
        if len(part)
    }
    ended = [f"{word} {against[verdict]}" for verdict, word in words.items() if verdict in against]
    said = [f"{study.primary_strategy} ended {listed(ended)}"] if ended else []
    said += [f"undecided against {against['undecided']}"] if "undecided" in against else []
    because = f"of {count(len(known), 'verdict')}, {_tally(known['verdict'])}"
    return Finding(f"{opening}: {'; '.join(said)}.", because, known[_COMPARED])


@rule("Do whole groups do better than random halves of the layers?")
def groups(study: Study, tables: Tables) -> Finding | None:
    """Compare with the control that draws its active half anew in each phase."""
    strategy, words = study.primary_strategy, "the control that draws its active half of the layers at random"
    margin = margin_in_words(study.equivalence_margin, study.metric)
    return _by_verdict(
        study,
        _rows(study, tables, references=_controls(study, "random_half"), budget="own"),
        better=f"Whole groups help: {strategy} ended above {words}",
        worse=f"Whole groups harm: {strategy} ended below {words}",
        equivalent=f"Whole groups make no difference of {margin} or more: {strategy} against {words}",
        undecided=f"Whether whole groups matter is undecided: {strategy} against {words}",
    )


@rule("Does it depend on the depth?", "trends")
def over_depths(study: Study, tables: Tables) -> Finding | None:
    """Read Page's test over the depths."""
    return _trend(study, tables, "depth", study.primary_strategy, "depths", f"of {study.primary_strategy}")


@rule("Does it depend on the freeze ratio?", "trends")
def over_freeze_ratios(study: Study, tables: Tables) -> Finding | None:
    """Read Page's test over the freeze ratios."""
    at = f"depth {study.primary_depth}"
    return _trend(study, tables, "freeze_ratio", at, "freeze ratios", f"of alternating training at {at}")


@rule("Does the measured speed-up reach that of the operations?", "speedups")
def speed(study: Study, tables: Tables) -> Finding | None:
    """Compare each data set's interval of the measured speed-up with the closed form."""
    table = tables["speedups"]
    here = table[(table["depth"] == study.primary_depth) & (table["strategy"] == study.primary_strategy)]
    known = here.dropna(subset=["low", "high"])
    if known.empty:
        return None
    reached, faster, slower = known["high"] >= known["closed_form"], known["low"] > 1, known["high"] < 1
    ends = known.sort_values("measured").iloc[[0, -1]].drop_duplicates("dataset")
    measured = " to ".join(
        f"{row.measured:.2f} times [{row.low:.2f}, {row.high:.2f}] on {row.dataset}" for row in ends.itertuples()
    )
    forms = dict.fromkeys(f"{form:.2f}" for form in (known["closed_form"].min(), known["closed_form"].max()))
    sentence = (
        f"The measured speed-up of {study.primary_strategy} per step reaches that of its operations on "
        f"{_of(reached, known)}: {measured}, where the operations allow {' to '.join(forms)}. It is faster than "
        f"standard training on {_of(faster, known)}{f' and slower on {_of(slower, known)}' if slower.any() else ''}."
    )
    if len(known) < len(here):
        sentence += f" There is no interval on {count(len(here) - len(known), 'data set')}."
    because = (
        f"high ≥ closed_form on {reached.sum()}, low > 1 on {faster.sum()}, high < 1 on {slower.sum()} of "
        f"{count(len(known), 'data set')}"
    )
    return Finding(sentence, because, known)


@rule("Which data sets drive the answer?")
def drivers(study: Study, tables: Tables) -> Finding | None:
    """Take the mean of the primary comparison again without the data set that differs most."""
    _, reference, budget = study.primary
    rows = _rows(study, tables, reference=reference, budget=budget, dataset=None)
    single, overall = rows[rows["dataset"].isin(study.primary_datasets)], rows[rows["dataset"] == "all"]
    if len(single) < 2 or overall["low"].isna().any() or single["low"].isna().any():
        return None
    overall = next(overall.itertuples())
    furthest = single.loc[single["difference"].abs().idxmax()]
    pairs = _select(study, tables["pairs"], reference=reference, budget=budget)
    others = [name for name in single["dataset"] if name != furthest["dataset"]]
    differences = [pairs.loc[pairs["dataset"] == name, "difference"].to_numpy() for name in others]
    # the resamples of the comparisons themselves
    without = mean_difference(differences, [resampling_seed(study.seed, name) for name in others])
    if math.isnan(without.low):
        return None
    remaining = (overall.difference * len(single) - single["difference"]) / (len(single) - 1)
    turning = list(single.loc[remaining * overall.difference < 0, "dataset"])
    sentence = (
        f"{furthest['dataset']} differs most, by {points(furthest['difference'])} {study.metric.points} "
        f"{interval(furthest['low'], furthest['high'])}. Without it the mean is {points(without.estimate)} "
        f"{study.metric.points} {interval(without.low, without.high)}, "
        f"{_left_out(side(overall.low, overall.high), side(without.low, without.high))}. "
    )
    sentence += (
        f"The sign of the mean turns without {listed(turning, 'or')}."
        if turning
        else "No data set, left out alone, turns the sign of the mean."
    )
    because = (
        f"|difference| is largest on {furthest['dataset']}; with it low = {points(overall.low)} and high = "
        f"{points(overall.high)}, without it low = {points(without.low)} and high = {points(without.high)} (the "
        "other pairs resampled, as for comparisons)"
    )
    return Finding(sentence, because, rows[_COMPARED])


@rule("How small a difference could it have missed?")
def detectable(study: Study, tables: Tables) -> Finding | None:
    """Compare the minimum detectable difference of the primary comparison with the margin."""
    _, reference, budget = study.primary
    row = next(_rows(study, tables, reference=reference, budget=budget).dropna(subset="low").itertuples(), None)
    if row is None or math.isnan(row.minimum_detectable_difference):
        return None
    smallest, margin = row.minimum_detectable_difference, study.equivalence_margin
    within, seen = margin_in_words(margin, study.metric), margin_in_words(smallest, study.metric, short=True, digits=2)
    power = f"with {count(row.pairs, 'pair')} it finds a true difference of {seen} four times in five"
    if smallest <= margin:
        sentence = f"Hardly one as large as the margin of {within}: {power}; smaller ones may be there unseen."
    else:
        sentence = f"One larger than the margin of {within}: {power}, and smaller ones less often."
    sentence += " This is about these data sets."
    because = f"minimum_detectable_difference = {seen} {'≤' if smallest <= margin else '>'} {within}"
    rows = pd.DataFrame([row])[[*_COMPARED, "minimum_detectable_difference"]]
    return Finding(sentence, because, rows)


@rule("Would another recipe change the answer?")
def recipes(study: Study, tables: Tables) -> Finding | None:
    """Compare the verdict of the primary comparison under the primary recipe with those under variations."""
    _, reference, budget = study.primary
    rows = _rows(study, tables, reference=reference, budget=budget, recipe=None).dropna(subset="low")
    primary, others = (rows[(rows["recipe"] == PRIMARY_RECIPE) == is_it] for is_it in (True, False))
    if primary.empty:
        return None
    if not study.variations:
        sentence = "The study cannot show that: every strategy trained under one recipe, which may suit one better "
        sentence += "than another."
        return Finding(sentence, "variations is empty in the configuration", primary[_COMPARED])
    if others.empty:
        return None
    verdict = primary["verdict"].iloc[0]
    changed = others[others["verdict"] != verdict]
    sentence = f"The verdict under the primary recipe, {verdict}, is another one under "
    sentence += f"{len(changed)} of {count(len(others), 'variation')}."
    because = f"verdict ≠ {verdict}: {listed(list(changed['recipe'])) if len(changed) else 'none'}"
    return Finding(sentence, because, rows[_COMPARED])


def _left_out(whole: int, without: int) -> str:
    """Return what the side of an interval without one data set says beside that of the whole."""
    words = {-1: "below 0", 1: "above 0"}
    if whole == without:
        return (
            f"still {words[whole]}: the answer does not hang on it" if whole else "and its interval holds 0, as with it"
        )
    if whole == 0:
        return f"and its interval lies {words[without]}: only this data set leaves the sign open"
    said = "on the other side of 0" if without else "and its interval holds 0"
    return f"{said}: the sign of the answer hangs on it"


def _select(study: Study, table: pd.DataFrame, **values: Any) -> pd.DataFrame:
    """Return the rows of a table of comparisons that are about the primary strategy at its depth."""
    wanted = {"metric": study.metric.final, "depth": study.primary_depth, "strategy": study.primary_strategy}
    wanted |= {"recipe": PRIMARY_RECIPE} | values
    for name, value in wanted.items():
        if value is not None:
            table = table[table[name] == value]
    return table


def _rows(
    study: Study, tables: Tables, references: list[str] | None = None, dataset: str | None = "all", **values: Any
) -> pd.DataFrame:
    """Return rows of the table comparisons that say something; a value None asks for all."""
    known = tables["comparisons"][tables["comparisons"]["verdict"] != NOT_ABOVE_CHANCE]
    rows = _select(study, known, dataset=dataset, **values)
    return rows if references is None else rows[rows["reference"].isin(references)]


def _controls(study: Study, *names: str) -> list[str]:
    return [label for label, parameters in study.strategies.items() if parameters["name"] in names]


def _sides(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return which rows lie below and which above zero."""
    sides = np.array([side(row.low, row.high) for row in rows.itertuples()])
    return sides < 0, sides > 0


def _by_verdict(study: Study, rows: pd.DataFrame, **sentences: str) -> Finding | None:
    """Return the finding of a single comparison, its sentence chosen by the verdict."""
    row = next(rows.dropna(subset="low").itertuples(), None)
    if row is None:
        return None
    margin = 100 * study.equivalence_margin
    low, high = (f"{name} = {points(end)}" for name, end in (("low", row.low), ("high", row.high)))
    because = {
        "better": f"{low} > 0 and {high} > {margin:g}",
        "worse": f"{high} < 0 and {low} < −{margin:g}",
        "equivalent": f"−{margin:g} ≤ {low} and {high} ≤ {margin:g}",
        "undecided": f"{low} ≤ 0 ≤ {high}, and one of them is further than {margin:g} from 0"
        if row.low < row.high
        else f"{low} and {high}: an interval without width",
    }
    because[SATURATED] = f"{because['equivalent']}, where half of a standard training is so, too"
    left_out = f", {row.dropped} left out" if row.dropped else ""
    said = sentences["undecided" if row.verdict == SATURATED else row.verdict]
    sentence = f"{said} ({_shown(study, row)}; {count(row.pairs, 'pair')}{left_out})."
    return Finding(sentence, f"{because[row.verdict]}, in {study.metric.points}", pd.DataFrame([row])[_COMPARED])


def _trend(study: Study, tables: Tables, over: str, at: str, levels: str, of: str) -> Finding | None:
    table = tables["trends"]
    wanted = {"budget": study.primary_budget, "recipe": PRIMARY_RECIPE, "over": over, "at": at}
    rows = table[(table[list(wanted)] == list(wanted.values())).all(axis=1)].dropna(subset="p_value")
    if rows.empty:
        return None
    row = next(rows.itertuples())
    along = f"over the {levels} {listed(row.levels.split())}"
    difference = f"the difference {of} from standard training at {EQUAL_BUDGETS[row.budget].words}"
    test = f"Page's test on {count(row.datasets, 'data set')}, p = {p_value(row.p_value)}"
    seen = row.p_value <= SIGNIFICANT and row.direction in _TRENDS
    if seen:
        sentence = f"Yes: {along}, {difference} {_TRENDS[row.direction]} ({test})."
    else:
        sentence = f"No trend is seen {along} in {difference} ({test}), which is no evidence that there is none."
    sign = "≤" if row.p_value <= SIGNIFICANT else ">"
    because = f"p_value = {p_value(row.p_value)} {sign} {SIGNIFICANT:g}, direction = {row.direction}"
    return Finding(sentence, because, rows)


def _shown(study: Study, row: Any) -> str:
    return f"{points(row.difference)} {study.metric.points} {interval(row.low, row.high)}: {row.verdict}"


def _of(holds: pd.Series, rows: pd.DataFrame) -> str:
    """Return on how many of the data sets something holds, as text."""
    every, number = len(rows), int(holds.sum())
    if number < every:
        return f"{number} of {every} data sets" if number else "no data set"
    return {1: rows["dataset"].iloc[0], 2: "both data sets"}.get(every, f"all {every} data sets")


def _tally(verdicts: pd.Series) -> str:
    return ", ".join(f"{number} {verdict}" for verdict, number in verdicts.value_counts(sort=False).items())
