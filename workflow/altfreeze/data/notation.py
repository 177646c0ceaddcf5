"""How the numbers of a column of text are written, and what stands among them that is none."""

import itertools
import json
import re
from typing import TYPE_CHECKING, NamedTuple

from altfreeze.support.messages import quoted

if TYPE_CHECKING:
    import pandas as pd

_MOST_MARKS_LISTED = 10
_AROUND_NUMBERS = re.compile(r"[\s$€£¥₹%]")
_LIKE_A_NUMBER = re.compile(r"[-+−]?([0-9]+([.,'’][0-9]+)*[.,]?|[.,][0-9]+)([eE][-+]?[0-9]+)?")
_WORDS_FOR_MISSING = re.compile(r"[\W_]*|n/?an?|none|null|nil|missing|unknown", re.IGNORECASE)
_DATE = re.compile(
    r"([0-9]{4}[-/][0-9]{1,2}([-/][0-9]{1,2})?|[0-9]{4}\.[0-9]{2}\.[0-9]{2}"
    r"|[0-9]{1,2}[-/.][0-9]{1,2}[-/.]([0-9]{4}|[0-9]{2}))([T ].*)?|[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?"
)


class Notation(NamedTuple):
    """How numbers are written in a file of text.

    Attributes
    ----------
    decimal : str
        What the fraction begins with.
    thousands : str
        What stands between groups of three digits, nothing if it is empty.
    """

    decimal: str = "."
    thousands: str = ""

    @property
    def pattern(self) -> str:
        """Regular expression of one number; groups must be of three, where pandas takes "0,14" for 14 in silence."""
        decimal, thousands = re.escape(self.decimal), re.escape(self.thousands)
        grouped = f"[1-9][0-9]{{0,2}}({thousands}[0-9]{{3}})+|" if thousands else ""
        finite = rf"({grouped}[0-9]+)({decimal}[0-9]*)?([eE][-+]?[0-9]+)?|{decimal}[0-9]+([eE][-+]?[0-9]+)?"
        return rf" *[-+]?({finite}|[iI][nN][fF]([iI][nN][iI][tT][yY])?) *"

    def plain(self, text: "pd.Series") -> "pd.Series":
        """Return numbers written without groups and with a decimal point."""
        text = text.str.replace(self.thousands, "", regex=False) if self.thousands else text
        return text.str.replace(self.decimal, ".", regex=False)

    @property
    def way(self) -> str:
        """What a source says to be read like this."""
        keys = {name: value for name, value in self._asdict().items() if value != self._field_defaults[name]}
        return " with ".join(f"`{name}: {json.dumps(value)}`" for name, value in keys.items())


_NOTATIONS = [
    Notation(decimal, thousands)
    for decimal, thousands in itertools.product(".,", ("", *",. '’\u00a0\u202f"))
    if decimal != thousands
]


def fault_of_text(text: "pd.Series", notation: Notation | None) -> str | None:
    """Return what is wrong with a column of text that is numbers or dates but for some of its values.

    Values that stand for a missing one count for neither: a column of 90 question marks and 10 numbers is numbers.

    Parameters
    ----------
    text : pandas.Series
        Column of text.
    notation : Notation, optional
        How the file's numbers are written; none if it is no file of text, which stores numbers as numbers.

    Returns
    -------
    str or None
        What the column holds and what the way out is, to follow its name; none where the column is words.
    """
    counts = text.value_counts(sort=False)
    words = [value for value in counts.index if not _WORDS_FOR_MISSING.fullmatch(value.strip())]
    half = counts[words].sum() / 2
    dates = [value for value in words if _DATE.fullmatch(value.strip())]
    if dates and counts[dates].sum() >= half:
        odd = _first(text, [value for value in counts.index if value not in set(dates)])
        return f"holds dates such as {_first(text, dates)}{f', and {odd}' if odd else ''}; make them numbers"
    numbers = [value for value in words if _LIKE_A_NUMBER.fullmatch(_AROUND_NUMBERS.sub("", value))]
    written = notation or Notation()
    unread = [value for value in counts.index if not re.fullmatch(written.pattern, value)]
    if not unread or not numbers or counts[numbers].sum() < half:
        # a mark alone among words; where all are marks, as + and -, they are words themselves
        marks = [value for value in counts.index if value.strip() == "?"] if words else []
        way = "make it missing" if notation is None else f"give {_missing(marks)}"
        return f"holds {_first(text, marks)} among words; {way}" if marks else None
    marks = [value for value in unread if value not in set(numbers)]
    ways = ["convert it to numbers"]
    if notation is not None:
        ways = [f"give {_missing(marks)}"] if marks else []
        ways += [_way_to_read(numbers)] if set(unread) & set(numbers) else []
    return f"holds {_first(text, unread)} among numbers; {' and '.join(ways)}"


def _first(text: "pd.Series", values: list[str]) -> str:
    """Return the first of some values in a column with its row, nothing if none is there."""
    found = text.isin(values).to_numpy()
    row = found.argmax()
    return f"{quoted(text.iloc[row])} in data row {row + 1}" if found.any() else ""


def _missing(marks: list[str]) -> str:
    more = f" and {len(marks) - _MOST_MARKS_LISTED} more" if len(marks) > _MOST_MARKS_LISTED else ""
    return f"`missing: {json.dumps(marks[:_MOST_MARKS_LISTED])}`{more}"


def _way_to_read(numbers: list[str]) -> str:
    """Return how a source says that numbers are written so, with the fewest keys; by some, both readings are right."""
    fitting = [other for other in _NOTATIONS if all(re.fullmatch(other.pattern, number) for number in numbers)]
    fewest = min((other.way.count(": ") for other in fitting), default=0)
    ways = " or ".join(other.way or "no `decimal`" for other in fitting if other.way.count(": ") == fewest)
    return f"say {ways}" if ways else "write plain numbers, without signs of units and blanks"
