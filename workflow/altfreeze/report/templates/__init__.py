"""Templates of the report and its pages, and the style that they share."""

from pathlib import Path

TEMPLATES = Path(__file__).parent
# parts of the scripts of the report, in this order: of all of its page, and of its explorer
PAGE = ("copy", "sort", "glossary")
EXPLORER = ("elements", "tables", "words", "view", "matrix", "charts", "first", "cell", "show")


def style_sheet() -> str:
    """Return the style of the report and of every page, as CSS."""
    return (TEMPLATES / "style.css").read_text(encoding="utf-8").strip()


def script(*names: str) -> str:
    """Return parts of the script of a page, each a file of one job, as one that shares its names with no other."""
    parts = [(TEMPLATES / "script" / f"{name}.js").read_text(encoding="utf-8") for name in names]
    return "\n".join(['"use strict";', "(async () => {", *parts, "})();"])
