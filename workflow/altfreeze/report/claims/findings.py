"""What the tables of a study say of each claim: holds, does not hold, cannot be told, or that nothing tests it."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlencode

import numpy as np
import pandas as pd

from altfreeze.comparison.endpoints import LOST
from altfreeze.report.blocks.display import read_tables
from altfreeze.report.claims.register import Claim, Expectation
from altfreeze.report.selection import compared_rows, paired_differences
from altfreeze.statistics import across_datasets, verdict
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.tables.schema import DIGITS
from altfreeze.vocabulary import NOT_ABOVE_CHANCE

# of the last two, this study has no test, or the program has none
SAYINGS = ("holds", "does not hold", "cannot be told", "not in this study", "not tested here")
HOLDS, FAILS, OPEN, ABSENT, UNTESTED = SAYINGS
_UNNOTICED = "the endpoint does not notice that half of a standard training was lost"


class Found(NamedTuple):
    """What a study says of one comparison.

    Attributes
    ----------
    test : Expectation
    label : str
        Of the strategy in the study; empty where it is not in it.
    effect, low, high : float
        The mean over data sets and its 95 % t interval: of the metric as a difference, of costs and times as a ratio.
    datasets : int
    saying : str
        One of `SAYINGS`.
    reason : str
        Why it cannot be told; empty where it can.
    link : str
        Where the report shows the cell; empty where it has none.
    """

    test: Expectation
    label: str
    effect: float = math.nan
    low: float = math.nan
    high: float = math.nan
    datasets: int = 0
    saying: str = ABSENT
    reason: str = ""
    link: str = ""


class Judged(NamedTuple):
    """A claim, what is said of it, what its comparisons found, and what the control that may explain a gain did."""

    claim: Claim
    saying: str
    found: list[Found]
    control: Found | None


class _Tables(NamedTuple):
    comparisons: pd.DataFrame
    runs: pd.DataFrame
    times: pd.DataFrame
    sensitivity: pd.DataFrame


def judge_all(study: Study, tables: Path | str, claims: Sequence[Claim]) -> list[Judged]:
    """Return what a finished study says of every claim, those that it tests first.

    Parameters
    ----------
    study : Study
    tables : path
        Folder of the tables comparisons, runs, times and sensitivity.
    claims : sequence of Claim
    """
    read = _Tables(*read_tables(tables, *_Tables._fields))
    judged = [_judge(study, read, claim) for claim in claims]
    return sorted(judged, key=lambda each: each.saying in (ABSENT, UNTESTED))


def _judge(study: Study, tables: _Tables, claim: Claim) -> Judged:
    found = [_find(study, tables, test) for test in claim.tests]
    sayings = {each.saying for each in found}
    if sayings <= {ABSENT}:
        saying = ABSENT if claim.tests else UNTESTED
    elif FAILS in sayings:
        saying = FAILS
    else:
        saying = HOLDS if sayings == {HOLDS} else OPEN
    control = None
    if claim.explained_by in study.strategies and claim.tests:
        given = {"control": claim.explained_by, "measure": "end", "budget": "own", "expects": "better", "by": None}
        control = _find(study, tables, claim.tests[0].model_copy(update=given))
    return Judged(claim, saying, found, control)


# ---- one comparison


def _label(study: Study, test: Expectation) -> str:
    """Return the label of the strategy that a test is about, the primary one if it fits; empty where none does."""
    fits = [label for label, has in study.strategies.items() if test.strategy.items() <= has.items()]
    return study.primary_strategy if study.primary_strategy in fits else next(iter(fits), "")


def _find(study: Study, tables: _Tables, test: Expectation) -> Found:
    label = _label(study, test)
    if not label or test.control not in study.strategies or test.panel not in study.panels:
        return Found(test, "")
    values = _effects(study, tables, test, label)
    link = _link(study, tables, test, label)
    if not values:
        return Found(test, label, saying=OPEN, reason="no data set has an effect that is known", link=link)
    across = across_datasets([round(value, DIGITS) for value in values])
    saying, reason = _says(study, test, across.low, across.high, _is_sensitive(study, tables, test))
    shown = (across.mean, across.low, across.high)
    effect, low, high = shown if test.measure == "end" else map(math.exp, shown)
    return Found(test, label, effect, low, high, across.datasets, saying, reason, link)


def _effects(study: Study, tables: _Tables, test: Expectation, label: str) -> list[float]:
    """Return the effect on each data set of the panel that has one: a difference, or the logarithm of a ratio."""
    panel = study.panels[test.panel]
    if test.measure == "time":
        rows = _of_strategy(study, tables.times, label, panel)
        rows = rows[(rows["level"] == study.primary_level) & (rows["clock"] == test.budget)]
        rows = rows[rows["reference_success_rate"] + rows["strategy_success_rate"] > 0]
        ratios = rows["strategy_restricted_mean"] / rows["reference_restricted_mean"]
        return [*np.log(ratios[np.isfinite(ratios)])]
    if test.measure == "cost":
        rows = compared_rows(tables.comparisons, f"{test.budget}_ratio", "own", "standard")
        # seconds that are known no better than to a fifth have no interval
        rows = _of_strategy(study, rows, label, panel).dropna(subset=["difference", "low"])
        return [*np.log1p(rows["difference"])]
    rows = _rows_at_ends(study, tables, test.budget, test.control, label)
    if rows.empty:
        # what the study does not compare, its runs can be
        rows = paired_differences(tables.runs, study.primary_depth, label, test.control, study.metric)
        rows = rows.groupby("dataset", as_index=False)["difference"].mean()
    judged = _rows_at_ends(study, tables, test.budget, "standard", label)
    judged = judged[(judged["verdict"] != NOT_ABOVE_CHANCE) & judged["dataset"].isin(panel)]
    return [*rows.loc[rows["dataset"].isin(judged["dataset"]), "difference"].dropna()]


def _rows_at_ends(study: Study, tables: _Tables, budget: str, reference: str, label: str) -> pd.DataFrame:
    """Return the rows of comparisons of a strategy with another by the study's metric, data set by data set."""
    rows = compared_rows(tables.comparisons, study.metric.final, budget, reference)
    return _of_strategy(study, rows, label, study.datasets)


def _of_strategy(study: Study, table: pd.DataFrame, label: str, panel: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a strategy on some data sets, at the primary depth and under the primary recipe."""
    here = (table["depth"] == study.primary_depth) & (table["recipe"] == PRIMARY_RECIPE)
    return table[here & (table["strategy"] == label) & table["dataset"].isin(panel)]


def _is_sensitive(study: Study, tables: _Tables, test: Expectation) -> bool:
    """Return whether the endpoint of a test notices that half of a training was lost; a cost needs no noticing."""
    if test.measure == "cost":
        return True
    rows = tables.sensitivity
    here = (rows["depth"] == study.primary_depth) & (rows["recipe"] == PRIMARY_RECIPE) & (rows["dataset"] == test.panel)
    rows = rows[here & (rows["endpoint"] == test.measure) & (rows["lost"] == LOST[0])]
    return bool((rows["sensitive"] == "yes").any())


def _says(study: Study, test: Expectation, low: float, high: float, sensitive: bool) -> tuple[str, str]:
    """Return what an interval says of an expectation, and why it cannot be told where it can't.

    That there is no difference, or none beyond what is allowed, says nothing where the endpoint does not notice that
    half of a training was lost.
    """
    if math.isnan(low):
        return OPEN, "a single data set has no interval over data sets"
    if low == high and test.measure != "cost":
        return OPEN, "an interval without width proves nothing"
    ratio = test.measure != "end"
    margin = math.log1p(study.cost_margin) if ratio else study.equivalence_margin
    by = test.by and abs(math.log(1 - test.by)) if ratio else test.by
    # positive on the side that is claimed or, of what shall not be, on the side that is feared
    sign = 1 if test.expects.endswith("better") else -1
    near, far = sorted((sign * low, sign * high))
    if test.expects.startswith("not "):
        allowed = margin if by is None else by
        said = "better" if far < allowed else "worse" if near > allowed else "undecided"
        # what lies wholly on the other side was noticed
        told = said != "better" or sensitive or far < 0
    else:
        said = verdict(near, far, margin, exact=test.measure == "cost")
        if by is not None:
            said = "better" if near > by else "worse" if far < by else "undecided"
        told = said == "better" or sensitive or far < 0
    if said == "undecided":
        return OPEN, "the interval holds what was claimed and what was not"
    if not told:
        return OPEN, _UNNOTICED
    return (HOLDS if said == "better" else FAILS), ""


def _link(study: Study, tables: _Tables, test: Expectation, label: str) -> str:
    """Return the address of the report's view of a comparison's cell, from a page beside the others; empty without."""
    if _rows_at_ends(study, tables, "own", test.control, label).empty:
        return ""
    cell = {"cell": json.dumps([test.panel, study.primary_depth, label], separators=(",", ":"))}
    view = {"recipe": PRIMARY_RECIPE, "reference": test.control, "budget": test.budget, "metric": study.metric.final}
    if test.measure == "cost":
        view |= {"budget": "own", "metric": f"{test.budget}_ratio"}
    if test.measure == "time":
        view |= {"budget": study.primary_budget, "clock": test.budget}
    return f"../report.html#{urlencode(cell | view)}"
