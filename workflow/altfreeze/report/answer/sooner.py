"""The rule of the discussion on the way to the target, without which no speed of a step is said."""

import math

import pandas as pd

from altfreeze.report.answer.first import primary_row
from altfreeze.report.discussion import Finding, Tables, rule
from altfreeze.report.words import count, more_or_fewer, range_of_more
from altfreeze.study.grid import Study
from altfreeze.vocabulary import CLOCKS, NOT_ABOVE_CHANCE, SATURATED


@rule("Does it get there sooner?", "endpoints")
def gets_there_sooner(study: Study, tables: Tables) -> Finding | None:
    """Compare what both spent until they had come as far."""
    row = primary_row(study, tables["endpoints"], "time")
    if math.isnan(row.low) or row.verdict == NOT_ABOVE_CHANCE:
        return None
    opening = {
        "higher": "No, later",
        "lower": "Yes",
        "equivalent": f"No, as soon within {100 * study.cost_margin:g} %",
        SATURATED: "It cannot be told, as a training twice as slow would not be noticed",
    }.get(row.verdict, "It is undecided")
    seconds = primary_row(study, tables["endpoints"], "time", clock="seconds")
    beside = "" if math.isnan(seconds.effect) else f", and {more_or_fewer(seconds.effect)} {CLOCKS['seconds'].words}"
    sentence = (
        f"{opening}: to come {100 * study.primary_level:g} % of the way {study.primary_strategy} takes "
        f"{more_or_fewer(row.effect)} operations than standard training (95 % interval "
        f"{range_of_more(row.low, row.high)}; {count(row.pairs, 'pair')}){beside}. It is later on {row.above} and "
        f"sooner on {row.below} of {count(row.datasets, 'data set')}."
    )
    because = f"low = {row.low:.3g}, high = {row.high:.3g}, as ratios; cost_margin = {study.cost_margin:g}"
    columns = ["dataset", "depth", "strategy", "reference", "clock", "pairs", "effect", "low", "high", "verdict"]
    shown = [row] if math.isnan(seconds.effect) else [row, seconds]
    return Finding(sentence, because, pd.DataFrame(shown)[columns])
