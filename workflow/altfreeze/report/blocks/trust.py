"""What the page on statistics says of the study itself: how far it can be trusted, and what more seeds would tell."""

import html

import pandas as pd

from altfreeze.report.blocks.cells import tally
from altfreeze.report.blocks.statistics import SIGNIFICANCE, primary_in_words
from altfreeze.report.words import count, margin_in_words, percent
from altfreeze.study.grid import Study

# of a power that is enough
ENOUGH = 0.8
# of the variance of a run, what is not called as in the table variance
_COMPONENTS = {"dataset": "data set", "interaction": "data set × strategy"}


def against_itself(self_comparison: pd.DataFrame) -> str:
    """Return how many false alarms standard training raises against itself."""
    known = self_comparison.dropna(subset="low")
    if known.empty:
        return "Not possible: it takes two runs that ended on each side."
    single, means = known[known["dataset"] != "all"], known[known["dataset"] == "all"]
    alarms = single[single["verdict"].isin(["better", "worse"])]
    where = "; ".join(f"{html.escape(row.dataset)} at depth {row.depth}" for row in alarms.itertuples())
    sentence = (
        f"{count(len(alarms), 'false alarm')} in {count(len(single), 'comparison')} (data set × depth), "
        f"{SIGNIFICANCE * len(single):.1f} expected{': ' if where else ''}{where}."
    )
    return sentence + (f" Over all data sets, by depth: {tally(means['verdict'])}." if len(means) else "")


def enough_seeds(study: Study, seeds_needed: pd.DataFrame) -> str:
    """Return what the study's number of seeds can detect, and how many would be enough."""
    curves = seeds_needed.dropna(subset="power")
    if curves.empty:
        return "Unknown: it takes two pairs on every data set."
    depth, margin = study.primary_depth, study.equivalence_margin
    rows = curves[curves["depth"] == depth]
    if rows.empty:
        return ""
    sentences = [f"{primary_in_words(study)}, depth {depth}:"]
    sentences += [
        f"{count(row.seeds, 'seed')} on each data set give ±{100 * row.half_width:.2f} {study.metric.points} "
        f"and a power of {percent(row.power)} to detect {margin_in_words(margin, study.metric, short=True)}."
        for row in rows[rows["seeds"] <= study.seeds].tail(1).itertuples()
    ]
    strong, narrow = rows.loc[rows["power"] >= ENOUGH, "seeds"], rows.loc[rows["half_width"] <= margin, "seeds"]
    if len(strong):
        sentences.append(f"Of the numbers tried, {strong.min()} is the smallest with a power of {percent(ENOUGH)}.")
    if len(narrow):
        sentences.append(f"An interval as narrow as the margin takes {narrow.min()}.")
    if strong.empty:
        sentences.append(f"No number tried has a power of {percent(ENOUGH)}.")
    return " ".join(sentences)


def where_variance_is_from(study: Study, variance: pd.DataFrame) -> str:
    """Return the shares of the variance of a run, and which of them are the noise of a paired comparison."""
    if variance["share"].isna().all():
        return "Unknown: it takes two data sets and two seeds of which no run diverged, and runs that differ."
    shares = variance[variance["depth"] == study.primary_depth].set_index("component")["share"].dropna()
    if shares.empty:
        return ""
    # one decimal, so that the parts are seen to sum to the whole
    parts = ", ".join(f"{_COMPONENTS.get(name, name)} {100 * share:.1f} %" for name, share in shares.items())
    return (
        f"At depth {study.primary_depth}, `standard` and `{study.primary_strategy}`: {parts}. The noise of a paired "
        "comparison is the residual on these data sets, and on data sets like these the interaction too: "
        f"{100 * (shares['interaction'] + shares['residual']):.1f} % together."
    )
