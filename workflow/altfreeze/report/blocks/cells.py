"""What several pages say of comparisons in the same words."""

import math
from collections.abc import Iterable
from typing import Any

from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.report.words import interval, points, side
from altfreeze.study.grid import Study
from altfreeze.vocabulary import BUDGETS, VERDICTS

NO_PAIR = "no pair"
# verdicts, and that there is none, in the order in which they are counted
_COUNTED = (*VERDICTS, NO_PAIR)


def at(budget: str) -> str:
    """Return where two strategies are read: ``at equal epochs``, or for the budget 'own' each at its own end."""
    words = BUDGETS[budget].words
    return words if BUDGETS[budget].clock is None else f"at {words}"


def heading(text: str) -> str:
    """Return words with a capital letter at their start."""
    return text[:1].upper() + text[1:]


def whole_trainings(study: Study) -> list[str]:
    """Return the labels of the strategies that train for the epochs of the configuration, but standard training."""
    return [
        label
        for label, strategy in study.strategies.items()
        if label != "standard" and STRATEGIES[strategy["name"]].budget == "epochs"
    ]


def shorter_trainings(study: Study) -> list[str]:
    """Return the labels of the strategies that end earlier than the configuration says."""
    return [label for label, strategy in study.strategies.items() if STRATEGIES[strategy["name"]].budget != "epochs"]


def verdict_or_none(row: Any) -> str:
    """Return the verdict of a comparison, or that it has no pair of runs."""
    return NO_PAIR if math.isnan(row.difference) else row.verdict


def verdict_in_words(row: Any) -> str:
    """Return the verdict of a comparison; one within the margin that lies on one side of zero says on which."""
    if row.verdict != "equivalent" or math.isnan(row.low) or not side(row.low, row.high):
        return row.verdict
    return f"{'better' if row.low > 0 else 'worse'}, within the margin"


def tally(verdicts: Iterable[str]) -> str:
    """Return how often verdicts say what: ``2 better, 1 undecided``."""
    verdicts = list(verdicts)
    return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in _COUNTED if verdict in verdicts) or "none"


def described(row: Any, marks: str = "") -> str:
    """Return a comparison in two lines: difference and verdict, with marks after it, and the interval."""
    if math.isnan(row.difference):
        return NO_PAIR
    return f"{points(row.difference)} {verdict_in_words(row)}{marks}\n{interval(row.low, row.high)}"
