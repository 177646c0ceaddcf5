"""Numbers, points, intervals and plurals in words: how the report and its pages say them."""

import math
from collections.abc import Sequence

# the logs hold nine digits of an accuracy; below this a difference is rounding
DIGITS = 6


def count(number: float, word: str, plural: str | None = None) -> str:
    """Return a number with its word, in the plural where it is not one."""
    return f"{number:,} {word if number == 1 else plural or word + 's'}"


def listed(parts: Sequence[str], word: str = "and") -> str:
    """Return parts as a list in words: ``a, b and c``."""
    *first, last = parts
    return f"{', '.join(first)} {word} {last}" if first else last


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
    """Return a share as signed points, with more decimals where two would show a number as zero."""
    texts = [signed_points(share, places) for places in (2, 3, 4)]
    return next((text for text in texts if text.strip("+−0.")), texts[0])


def interval(low: float, high: float) -> str:
    """Return an interval of shares in signed points, ``[−0.63, +0.15]``, or that there is none."""
    return "no interval" if math.isnan(low) else f"[{points(low)}, {points(high)}]"


def percent(share: float) -> str:
    """Return a share as a percentage, empty where there is none."""
    return "" if math.isnan(share) else f"{100 * share:.0f} %"


def margin_in_words(margin: float, unit: str = "accuracy point") -> str:
    """Return a margin, a share, in points: ``1 accuracy point``."""
    number = f"{100 * margin:g}"
    return f"{number} {unit}{'' if number == '1' else 's'}"
