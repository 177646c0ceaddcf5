"""The sentences below the answer, each empty where the tables do not hold it."""

import math

import pandas as pd

from altfreeze.report.answer.first import (
    FAVOURABLE,
    UNFAVOURABLE,
    by_chance_here,
    cells_of_the_grid,
    names_of,
    primary_row,
    sides,
)
from altfreeze.report.selection import overall
from altfreeze.report.words import (
    count,
    interval,
    listed,
    more_or_fewer,
    points,
    range_of_more,
    reference_in_words,
)
from altfreeze.study.grid import Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.vocabulary import NOT_ABOVE_CHANCE, PANELS, Metric

_AT_THE_END = {"worse": "lower", "better": "higher", "equivalent": "within the margin"}
_ON_THE_WAY = {"higher": "later", "lower": "sooner", "equivalent": "within the margin"}
_TIME = {"higher": "longer", "lower": "shorter", "equivalent": "within the margin"}


def sensitive(study: Study, sensitivity: pd.DataFrame, endpoints: pd.DataFrame) -> str:
    """Return a sentence on the data sets of which the end could have shown a loss.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    sensitivity, endpoints : pandas.DataFrame
        The tables of these names.
    """
    here = sensitivity[
        (sensitivity["depth"] == study.primary_depth)
        & (sensitivity["recipe"] == PRIMARY_RECIPE)
        & (sensitivity["endpoint"] == "end")
        & (sensitivity["lost"] == sensitivity["lost"].min())
        & sensitivity["dataset"].isin(set(study.primary_datasets) - set(by_chance_here(study, endpoints)))
    ]
    if here.empty:
        return ""
    noticed = int((here["sensitive"] == "yes").sum())
    sentence = f"On {noticed} of {count(len(here), 'data set')} the end is sensitive: it shows that standard training "
    sentence += "lost half of its budget"
    return sentence + ("." if noticed == len(here) else "; elsewhere, that no difference is seen says nothing.")


def why(study: Study, comparisons: pd.DataFrame) -> str:
    """Return a sentence on what alternation is beside fewer updates, and what it costs; empty without that control.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    comparisons : pandas.DataFrame
        The table comparisons.
    """
    control, strategy, depth = "standard_half_updates", study.primary_strategy, study.primary_depth
    if not ((comparisons["reference"] == control) & (comparisons["strategy"] == strategy)).any():
        return ""
    row = overall(comparisons, study.metric.final, depth, strategy, "own", control)
    if math.isnan(row.low) or row.verdict == NOT_ABOVE_CHANCE:
        return ""
    ratios = {
        unit: overall(comparisons, measure, depth, strategy, "own", control).strategy_mean
        for measure, unit in (("flops_ratio", "operations"), ("seconds_ratio", "seconds"))
    }
    costs = [f"{more_or_fewer(ratio)} {unit}" for unit, ratio in ratios.items() if not math.isnan(ratio)]
    return (
        f"Against {reference_in_words(control, 'own')}, which updates each layer as often, it ended "
        f"{points(row.difference)} {study.metric.points} {interval(row.low, row.high)}: {row.verdict}, for "
        f"{' and '.join(costs)}."
    )


def other_recipes(study: Study, variations: pd.DataFrame) -> str:
    """Return a sentence on how both halves fare under the variations, empty without any.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    variations : pandas.DataFrame
        The table variations.
    """
    others = variations[variations["recipe"] != PRIMARY_RECIPE]
    if others.empty:
        return ""
    lower, higher = sides(study.metric)[2], sides(study.metric)[1]
    parts = []
    for endpoint, lost, won in (("end", lower, higher), ("time", "later", "sooner")):
        verdicts = others[f"{endpoint}_verdict"]
        worse, better = (int(verdicts.isin(kind).sum()) for kind in (UNFAVOURABLE, FAVOURABLE))
        parts.append(f"{lost} under {worse or 'none'} and {won} under {better or 'none'}")
    sentence = f"Of {count(len(others), 'other recipe')}, it ends {parts[0]}; it reaches the target {parts[1]}."
    known = variations.dropna(subset="end_effect")
    if len(known):
        worst = known.loc[known["end_effect"].idxmin()]
        sentence += f" Its end is worst with {worst['recipe']} ({points(worst['end_effect'])} {study.metric.points})."
    if crippled := list(others.loc[others["cripples"] == "yes", "recipe"]):
        sentence += f" Standard training itself ends worse, by more than the margin, with {names_of(crippled)}."
    return sentence


def grid(study: Study, endpoints: pd.DataFrame) -> str:
    """Return a sentence on how the verdicts differ over depths and freeze ratios; empty for a single cell.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    endpoints : pandas.DataFrame
        The table endpoints.
    """
    cells = cells_of_the_grid(study, endpoints)
    number = cells.groupby(["depth", "strategy"]).ngroups
    if number < 2:
        return ""

    def tally(endpoint: str, words: dict[str, str]) -> str:
        verdicts = cells.loc[cells["endpoint"] == endpoint, "verdict"].replace(words).value_counts(sort=False)
        return listed([f"{verdict} in {found}" for verdict, found in verdicts.items()])

    return (
        f"Over the {number} cells of depth and freeze ratio the end is {tally('end', _AT_THE_END)}; the time to the "
        f"target is {tally('time', _TIME)}."
    )


def carriers(study: Study, endpoints: pd.DataFrame) -> str:
    """Return a sentence on the data sets that show an effect by their own pairs; empty where none does.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    endpoints : pandas.DataFrame
        The table endpoints.
    """
    rows = endpoints[(endpoints["family"] == "primary") & endpoints["dataset"].isin(study.primary_datasets)]
    parts = []
    for opening, words in (("the end is", _AT_THE_END), ("the target is reached", _ON_THE_WAY)):
        on = {
            said: list(rows.loc[rows["verdict"] == verdict, "dataset"])
            for verdict, said in words.items()
            if verdict in (*FAVOURABLE, *UNFAVOURABLE)
        }
        found = [f"{said} on {names_of(names)}" for said, names in on.items() if names]
        parts += [f"{opening} {' and '.join(found)}"] if found else []
    return f"By the pairs of a single data set, {'; '.join(parts)}." if parts else ""


def other_panel(study: Study, endpoints: pd.DataFrame) -> str:
    """Return a sentence on the data sets that are none of the primary ones, empty without any.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    endpoints : pandas.DataFrame
        The table endpoints.
    """
    names = study.panels.get("others", [])
    if not names:
        return ""
    end, time = (primary_row(study, endpoints, endpoint, "others") for endpoint in ("end", "time"))
    parts = []
    if not math.isnan(time.effect):
        parts.append(f"it took {more_or_fewer(time.effect)} operations to the target ({time.verdict})")
    if not math.isnan(end.effect):
        parts.append(
            f"it ended {points(end.effect)} {study.metric.points} {interval(end.low, end.high)} ({end.verdict})"
        )
    return f"On the {count(len(names), 'other data set')} ({names_of(names)}) {' and '.join(parts)}." if parts else ""


def generalisation(study: Study, endpoints: pd.DataFrame) -> str:
    """Return a sentence on what both endpoints say of data sets like these, the data set as the unit.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    endpoints : pandas.DataFrame
        The table endpoints.

    Returns
    -------
    str
        Empty where fewer than two data sets have a pair.
    """
    parts = []
    for endpoint in ("time", "end"):
        row = primary_row(study, endpoints, endpoint)
        if row.datasets < 2:
            continue
        if endpoint == "end":
            said = f"at the end {points(row.across_low)} to {points(row.across_high)} {study.metric.points}, "
            said += f"{sides(study.metric)[2]} on {row.below} of {row.datasets}"
        else:
            said = f"on the way to the target {range_of_more(row.across_low, row.across_high)} operations, "
            said += f"later on {row.above} of {row.datasets}"
        tests = f"sign test p = {row.sign_p:.2g}, Wilcoxon's {row.wilcoxon_p:.2g}, {row.adjusted_p:.2g} by Holm"
        parts.append(f"{said} ({tests}): {row.across_verdict}")
    return f"For data sets like these (95 % t intervals of the mean): {'; '.join(parts)}." if parts else ""


def left_out(runs: pd.DataFrame, comparisons: pd.DataFrame, metric: Metric) -> str:
    """Return a sentence on the pairs that no comparison could use, empty where there are none.

    Parameters
    ----------
    runs, comparisons : pandas.DataFrame
        The tables of these names.
    metric : altfreeze.vocabulary.Metric
        That of the study.

    Returns
    -------
    str
        On the primary comparison and on those of every other strategy with standard training, at the ends.
    """
    cells = comparisons[
        (comparisons["metric"] == metric.final) & ~comparisons["dataset"].isin(PANELS) & (comparisons["dropped"] > 0)
    ]
    here = cells["family"] == "primary"
    others = ~here & (cells["budget"] == "own") & (cells["reference"] == "standard")
    parts = [
        f"{count(int(rows['dropped'].sum()), 'pair')} in {count(len(rows), 'cell')} of {where}"
        for rows, where in ((cells[here], "this comparison"), (cells[others], "the others"))
        if len(rows)
    ]
    if not parts:
        return ""
    whose = []
    for status in ("diverged", "missing"):
        standard = runs.loc[runs["status"] == status, "strategy"] == "standard"
        if status == "diverged" or len(standard):
            whose.append(
                f"{status} runs: {standard.sum()} of standard training, {(~standard).sum()} of the other strategies"
            )
    return f"Left out ({'; '.join(whose)}): {', and '.join(parts)}."


def worst_case(study: Study, runs: pd.DataFrame, targets: pd.DataFrame) -> str:
    """Return a sentence on the end with each diverged run of the strategy at chance; empty where none diverged.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    runs, targets : pandas.DataFrame
        The tables of these names.
    """
    strategy, reference, _ = study.primary
    runs, targets = (
        rows[(rows["depth"] == study.primary_depth) & (rows["recipe"] == PRIMARY_RECIPE)] for rows in (runs, targets)
    )
    known = targets[(targets["above_chance"] == "yes") & targets["dataset"].isin(study.primary_datasets)]
    runs = runs[runs["dataset"].isin(known["dataset"])].set_index(["dataset", "seed"])
    ends = {label: runs[runs["strategy"] == label] for label in (strategy, reference)}
    diverged = ends[strategy]["status"] == "diverged"
    if not diverged.any():
        return ""
    chance = known.groupby("dataset")["chance"].first()[diverged.index.get_level_values("dataset")]
    end = ends[strategy][study.metric.final].mask(diverged, chance.to_numpy())
    differences = (study.metric.sign * (end - ends[reference][study.metric.final])).dropna()
    mean = points(differences.groupby("dataset").mean().mean())
    return (
        f"With its {count(int(diverged.sum()), 'diverged run')} at chance, it would end {mean} {study.metric.points}."
    )
