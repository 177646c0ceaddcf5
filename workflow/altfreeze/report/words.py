"""Numbers, points, intervals and plurals in words: how the report and its pages say them."""

import math
from collections.abc import Callable, Sequence

from altfreeze.vocabulary import BUDGETS, Metric

# the logs hold nine digits of an accuracy; below this a difference is rounding
DIGITS = 6
# controls that end earlier: names of strategies, and what they are in a sentence
CONTROLS = {
    "standard_half_updates": "standard training for half of the steps",
    "standard_matched_flops": "standard training that stops at the same number of operations",
}
# pages by the kind of their name before a hyphen, in the order in which they are read, and what each answers
ANSWERS = {
    "walkthrough": "one training of each kind in plain PyTorch: what freezing does to a layer and its gradient",
    "budgets": "why it wins or loses: each strategy at each equal budget, time to target, speed",
    "statistics": "how far to trust it: sensitivity, power, data sets like these, standard training against itself",
    "claims": "what was published about freezing, and whether it holds here",
    "schedules": "which layers learn when under each strategy, and what that costs",
    "dynamics": "how the networks learn, epoch by epoch, on each data set",
}
# what each term means, for who has not read a page on it
GLOSSARY = {
    "operations": "multiplications and additions of forward and backward passes (FLOPs), counted exactly.",
    "freeze ratio": "the share of the layers that is in the lower group; with 0.5, half of them.",
    "control": "a strategy that exists to make the comparison fair, as standard training for half of the steps.",
    "target": "a validation accuracy, as 90 % of the way from chance to where standard training ends.",
    "margin": "half the width of the band in which a difference counts as none; named before the results were seen.",
    "95 % interval": "the range that would hold the true mean in 95 of 100 repetitions with other seeds.",
    "paired": "compared run by run: for one seed, the same split, first weights and order of batches.",
    "seed": "the number that a run's split, first weights and order of batches are drawn from.",
    "recipe": "all that is the same for every strategy: network, optimizer, learning rate, schedule, width, batches.",
    "equivalent": "the interval lies within the margin, on a data set that is sensitive.",
    "sensitive": "able to tell: the end of training shows that standard training lost half of its budget.",
    "saturated": "within the margin, but so is half of a standard training: that no difference is seen says nothing.",
    "undecided": "the interval holds zero and reaches beyond the margin: there may be a difference, or none.",
    "not above chance": "standard training does not beat a constant prediction: there is nothing to compare.",
    "Holm": "a correction of p-values for their number: at most one in twenty such families has a false finding.",
    "sign test": "how likely so many data sets on one side would be if each side were as likely as the other.",
}


def count(number: float, word: str, plural: str | None = None) -> str:
    """Return a number with its word, in the plural where it is not one."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def listed(parts: Sequence[str], word: str = "and") -> str:
    """Return parts as a list in words: ``a, b and c``."""
    *first, last = parts
    return f"{', '.join(first)} {word} {last}" if first else last


def side(low: float, high: float | None = None) -> int:
    """Return the side of zero on which a number or an interval lies: -1, 1, or 0 where it holds zero.

    What is below the digits of the logs is zero.
    """
    high = low if high is None else high
    return int(round(low, DIGITS) > 0) - int(round(high, DIGITS) < 0)


def signed_points(share: float, places: int = 2) -> str:
    """Return a share as percentage points with its sign; what rounds to zero has none.

    Parameters
    ----------
    share : float
    places : int
        Decimals.

    Returns
    -------
    str
        With a real minus, for example ``−1.25`` for -0.0125.
    """
    text = f"{100 * round(share, DIGITS):+.{places}f}".replace("-", "−")
    return text if text.strip("+−0.") else text[1:]


def points(share: float) -> str:
    """Return a share as signed points, with more decimals where two would show a number as zero; empty without one."""
    if math.isnan(share):
        return ""
    texts = [signed_points(share, places) for places in (2, 3, 4)]
    return next((text for text in texts if text.strip("+−0.")), texts[0])


def interval(low: float, high: float, form: Callable[[float], str] = points) -> str:
    """Return an interval, by default of shares in signed points, ``[−0.63, +0.15]``, or that there is none."""
    return "no interval" if math.isnan(low) else f"[{form(low)}, {form(high)}]"


def number(value: float, form: str = ".2g") -> str:
    """Return a number with a real minus, empty where there is none; what rounds to zero has no sign."""
    if math.isnan(value):
        return ""
    text = f"{value:{form}}".replace("-", "−")
    return text if text.strip("+−0.") else text.lstrip("+−")


def p_value(value: float, level: float = 0.05) -> str:
    """Return a p-value with two digits, with more where two would show it on the other side of a level."""
    texts = (f"{value:.{digits}g}" for digits in range(2, 17))
    return next(text for text in texts if (float(text) <= level) == (value <= level))


def distance(share: float, unit: str = "", places: int | None = None) -> str:
    """Return how far a share lies from zero, in points, and on which side: ``0.32 points below``.

    Parameters
    ----------
    share : float
    unit : str
        Word after the number.
    places : int, optional
        Decimals; without it as many as show a number that is not zero as not zero, and at least two.

    Returns
    -------
    str
    """
    number = f"{abs(100 * round(share, DIGITS)):.{_places(share) if places is None else places}f}"
    return " ".join(filter(None, (number, unit, ("from", "above", "below")[side(share)])))


def interval_of_distances(low: float, high: float) -> str:
    """Return an interval of shares as distances from zero: ``0.69 below to 0.07 above``, ``1.00 to 3.00 below``."""
    near, far = (high, low) if side(low, high) < 0 else (low, high)
    texts = [distance(end, places=_places(low, high)).removesuffix(" from") for end in (near, far)]
    # on one side of zero the side is said once
    return " to ".join([texts[0].split()[0], texts[1]] if side(low, high) else texts)


def more_or_fewer(ratio: float) -> str:
    """Return a ratio of counts in words: ``19 % more``, ``12 % fewer``, ``0 % more``; empty where there is none."""
    share = round(100 * (ratio - 1)) if not math.isnan(ratio) else None
    return "" if share is None else f"{abs(share)} % {'fewer' if share < 0 else 'more'}"


def range_of_more(low: float, high: float) -> str:
    """Return an interval of ratios in words: ``12 to 25 % more``, ``3 % fewer to 20 % more``."""
    ends = [more_or_fewer(end) for end in (low, high)]
    if not all(ends):
        return "no interval"
    words = [end.split()[-1] for end in ends]
    if words == ["fewer", "fewer"]:
        ends.reverse()
    return f"{ends[0].split()[0]} to {ends[1]}" if words[0] == words[1] else " to ".join(ends)


def percent(share: float) -> str:
    """Return a share as a percentage, which is 0 or 100 only where the share is; empty where there is none."""
    if math.isnan(share):
        return ""
    return "< 1 %" if 0 < share < 0.005 else "> 99 %" if 0.995 <= share < 1 else f"{100 * share:.0f} %"


def margin_in_words(margin: float, metric: Metric, short: bool = False, digits: int = 6) -> str:
    """Return a margin in the units of a metric: ``1 accuracy point``.

    Parameters
    ----------
    margin : float
    metric : altfreeze.vocabulary.Metric
    short : bool
        Whether the metric is said beside it: ``1 point``.
    digits : int
        Significant ones.

    Returns
    -------
    str
    """
    number = f"{100 * margin:.{digits}g}"
    unit = metric.unit if number == "1" else metric.units
    return f"{number} {unit.removeprefix(f'{metric.words} ') if short else unit}"


def reference_in_words(name: str, budget: str) -> str:
    """Return what a strategy is compared with: standard training at a budget, or a control that ends earlier.

    Parameters
    ----------
    name : str
        The strategy's, ``standard`` or one of `CONTROLS`.
    budget : str
        A key of `altfreeze.vocabulary.BUDGETS`.

    Returns
    -------
    str
    """
    return f"standard training at {BUDGETS[budget].words}" if name == "standard" else CONTROLS[name]


def _places(*shares: float) -> int:
    """Return how many decimals show each number of points that is not zero as not zero."""
    smallest = min((abs(100 * round(share, DIGITS)) for share in shares if round(share, DIGITS)), default=1)
    return max(2, math.ceil(-math.log10(smallest)))
