"""Parts of the one-line messages that name what stands in a user's files."""

from collections.abc import Sequence

MOST_NAMES_LISTED = 10
LONGEST_QUOTE = 100
LONGEST_REASON = 300


def quoted(text: object) -> str:
    """Return a text in quotation marks, shortened where it is long."""
    quote = repr(str(text))
    return quote if len(quote) <= LONGEST_QUOTE else f"{quote[:LONGEST_QUOTE]}…"


def reason(error: object) -> str:
    """Return what an error says as one printable line, shortened where it is long."""
    text = "".join(character if character.isprintable() else " " for character in str(error))
    line = " ".join(text.split()) or type(error).__name__
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}…"


def plural(count: int, noun: str) -> str:
    """Return a noun with an s unless there is one of it."""
    return noun if count == 1 else f"{noun}s"


def listing(names: Sequence[object]) -> str:
    """Return quoted names with commas between them; of many the first, and how many more there are."""
    shown = ", ".join(quoted(name) for name in names[:MOST_NAMES_LISTED])
    more = len(names) - MOST_NAMES_LISTED
    return f"{shown} and {more} more" if more > 0 else shown
