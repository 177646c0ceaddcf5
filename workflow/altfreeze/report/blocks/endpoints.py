"""What the pages say of the two endpoints: what each could have shown, and what it shows."""

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd

from altfreeze.comparison.seconds import LIMIT, timing_errors
from altfreeze.report.blocks.cells import at, described, heading, tally, verdict_or_none
from altfreeze.report.blocks.statistics import named
from altfreeze.report.selection import overall
from altfreeze.report.words import count, interval, listed, percent, points
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE, name_of
from altfreeze.vocabulary import EQUAL_BUDGETS, PANELS


def _at_primary(study: Study, table: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """Return the rows of an endpoint under the primary recipe at the primary depth."""
    here = (table["depth"] == study.primary_depth) & (table["recipe"] == PRIMARY_RECIPE)
    return table[here & (table["endpoint"] == endpoint)]


def _primary_effects(study: Study, endpoints: pd.DataFrame, endpoint: str) -> pd.DataFrame:
    """Return the effects of the primary strategy at an endpoint, counted in operations, by data set."""
    rows = _at_primary(study, endpoints, endpoint)
    rows = rows[(rows["strategy"] == study.primary_strategy) & (rows["clock"] == "flops")]
    return rows.set_index("dataset")


def _lost(study: Study, sensitivity: pd.DataFrame, endpoint: str, share: float) -> pd.DataFrame:
    """Return what the loss of a share of the budget changes at an endpoint, by data set."""
    rows = _at_primary(study, sensitivity, endpoint)
    return rows[rows["lost"] == share].set_index("dataset")


def _effect(endpoint: str, row: pd.Series, between: str = "\n") -> str:
    """Return an effect, a difference in points or a ratio of times, and its interval; empty where it is not known."""
    effect, low, high = row[["effect", "low", "high"]].astype(float)
    if math.isnan(effect):
        return ""
    if endpoint == "end":
        return f"{points(effect)}{between}{interval(low, high)}"
    return f"×{effect:.2f}{between}{interval(low, high, '{:.2f}'.format)}"


def effects_and_gains(study: Study, endpoints: pd.DataFrame, sensitivity: pd.DataFrame) -> pd.DataFrame:
    """Return what alternation changes at the end, and what standard training gains in the last half of its budget.

    Returns
    -------
    pandas.DataFrame
        One row per data set on which both are known: ``dataset``, ``effect`` with ``low`` and ``high``, ``gain`` with
        ``gain_low`` and ``gain_high``, ``sensitive``. All are shares, better above 0.
    """
    effects = _primary_effects(study, endpoints, "end")
    half = _lost(study, sensitivity, "end", 0.5)
    gains = pd.DataFrame({"gain": -half["effect"], "gain_low": -half["high"], "gain_high": -half["low"]})
    table = (
        effects[["effect", "low", "high"]].join(gains).join(half["sensitive"]).drop(index=list(PANELS), errors="ignore")
    )
    return table.dropna(subset=["effect", "gain"]).reset_index()


def what_could_be_noticed(study: Study, sensitivity: pd.DataFrame) -> str:
    """Return on how many data sets each endpoint notices that standard training lost a part of its budget."""
    sentences = []
    for share, words in ((0.5, "half"), (0.75, "three quarters")):
        noticed = []
        for endpoint, place in (("end", "at the end"), ("time", "on the way to the target")):
            rows = _lost(study, sensitivity, endpoint, share).drop(index=list(PANELS), errors="ignore")
            noticed.append(f"{(rows['sensitive'] == 'yes').sum()} of {count(len(rows), 'data set')} {place}")
        sentences.append(f"That {words} of standard training was lost is noticed on {' and on '.join(noticed)}.")
    return " ".join(sentences)


def sensitivity_table(study: Study, endpoints: pd.DataFrame, sensitivity: pd.DataFrame) -> pd.DataFrame:
    """Return, data set by data set, what lost budget and what alternation change at both endpoints."""
    half, quarters = (_lost(study, sensitivity, "end", share) for share in (0.5, 0.75))
    slower = _lost(study, sensitivity, "time", 0.5)
    end, time = (_primary_effects(study, endpoints, endpoint) for endpoint in ("end", "time"))

    rows = [
        [
            named(name),
            _effect("end", half.loc[name]),
            _effect("end", quarters.loc[name]),
            half.loc[name, "sensitive"],
            *((_effect("end", end.loc[name]), end.loc[name, "verdict"]) if name in end.index else ("", "")),
            slower.loc[name, "sensitive"],
            *((_effect("time", time.loc[name]), time.loc[name, "verdict"]) if name in time.index else ("", "")),
        ]
        for name in half.index
    ]
    units = study.metric.points
    columns = ["Data set", f"Half is lost ({units})", "Three quarters", "End sensitive", f"Alternation, end ({units})"]
    columns += ["Verdict, end", "Time sensitive", "Alternation, time", "Verdict, time"]
    return pd.DataFrame(rows, columns=columns)


def own_budgets(study: Study, variations: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Return the primary comparison at budgets that each training ends at, its learning rate decayed.

    Returns
    -------
    pandas.DataFrame
        The rows of the primary recipe and of the variations that change the epochs alone, by ``operations``: those of
        standard training, the geometric mean over the data sets. No row where there is no such variation.
    """
    recipes = [PRIMARY_RECIPE, *(name_of(variation) for variation in study.variations if list(variation) == ["epochs"])]
    if len(recipes) == 1:
        return variations.iloc[:0].assign(operations=pd.Series(dtype=float), epochs=pd.Series(dtype=int))
    here = (runs["depth"] == study.primary_depth) & (runs["strategy"] == "standard") & (runs["status"] != "missing")
    spent = runs[here & runs["dataset"].isin(study.primary_datasets)].groupby(["recipe", "dataset"])["flops"].max()
    operations = np.exp(np.log(spent).groupby("recipe").mean())
    rows = variations[variations["recipe"].isin(recipes)]
    epochs = rows["recipe"].map({recipe: study.recipes[recipe].epochs_standard for recipe in recipes})
    return rows.assign(operations=rows["recipe"].map(operations), epochs=epochs).sort_values("operations")


def over_budgets(study: Study, variations: pd.DataFrame, runs: pd.DataFrame) -> str:
    """Return how the primary comparison changes from the smallest budget to the largest."""
    rows = own_budgets(study, variations, runs)
    if rows.empty:
        return "No variation changes the epochs alone: the study answers at one budget."
    parts = []
    for endpoint, words in (("end", "the effect at the end"), ("time", "the time to the target")):
        said = []
        for _, row in rows.iloc[[0, -1]].iterrows():
            of_endpoint = row.filter(like=f"{endpoint}_").rename(lambda name: name.partition("_")[2])
            said.append(f"{_effect(endpoint, of_endpoint, ' ') or 'unknown'} ({of_endpoint['verdict']})")
        parts.append(f"{words} goes from {said[0]} to {said[1]}")
    first, *_, last = rows["epochs"]
    budgets = f"From {count(first, 'epoch')} to {count(last, 'epoch')}"
    return f"{budgets}, each training run to an end of its own, {listed(parts)}."


def how_well_seconds_are_known(study: Study, speedups: pd.DataFrame) -> str:
    """Return how well the rounds of timing tell the seconds of the primary strategy from those of standard training."""
    here = (speedups["depth"] == study.primary_depth) & (speedups["strategy"] == study.primary_strategy)
    errors = {name: math.expm1(error) for (name, *_), error in timing_errors(speedups[here]).items()}
    known = {name: error for name, error in errors.items() if error <= LIMIT}
    sentences = []
    if known:
        worst = max(known, key=known.__getitem__)
        sentences.append(
            f"Over the rounds of timing, the ratio of `{study.primary_strategy}`'s seconds to standard training's is "
            f"known to within {percent(float(np.median([*known.values()])))} on the median data set and "
            f"{percent(known[worst])} on {worst}; intervals of ratios of seconds, and "
            f"those {at('seconds')}, carry that error."
        )
    if len(known) < len(errors):
        lost = listed([name for name in errors if name not in known])
        sentences.append(f"On {lost} it is known no better than to {percent(LIMIT)}: there seconds cannot be told.")
    return " ".join(sentences)


def _headlines(study: Study, comparisons: pd.DataFrame) -> dict[tuple[int, str, str], Any]:
    """Return the comparison that would be the primary one, by depth, strategy and budget of the grid."""
    keys = itertools.product(study.depths, study.alternating, EQUAL_BUDGETS)
    final = study.metric.final
    return {
        (depth, label, budget): overall(comparisons, final, depth, label, read, reference)
        for depth, label, budget in keys
        for _, reference, read in [study.at_equal_budget(label, budget)]
    }


def headlines(study: Study, comparisons: pd.DataFrame) -> str:
    """Return what the verdict at the end would be under each primary depth, freeze ratio and budget of the grid."""
    found = [verdict_or_none(row) for row in _headlines(study, comparisons).values()]
    return (
        f"The grid has {count(len(found), 'choice')} of a primary depth, freeze ratio and budget, of which the "
        f"configuration named one. The verdict at the end would be: {tally(found)}."
    )


def headlines_table(study: Study, comparisons: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison at the end under each primary depth, freeze ratio and budget of the grid."""
    found = _headlines(study, comparisons)
    named_one = (study.primary_depth, study.primary_strategy, study.primary_budget)
    rows = [
        [
            f"Depth {depth}, {label}",
            *(
                described(found[depth, label, budget], " *" if (depth, label, budget) == named_one else "")
                for budget in EQUAL_BUDGETS
            ),
        ]
        for depth, label in itertools.product(study.depths, study.alternating)
    ]
    return pd.DataFrame(rows, columns=["If primary were", *(heading(at(budget)) for budget in EQUAL_BUDGETS)])
