"""Templates of the report and its pages, and the style that they share."""

import base64
import hashlib
from pathlib import Path

TEMPLATES = Path(__file__).parent
# parts of scripts, in this order: of the page of a notebook, of all of the report, and of its explorer
NOTEBOOK = ("save", "take", "sort", "pictures")
PAGE = (*NOTEBOOK, "copy", "glossary")
EXPLORER = ("save", "elements", "tables", "words", "view", "matrix", "charts", "first", "cell", "show")


def style_sheet() -> str:
    """Return the style of the report and of every page, as CSS."""
    return (TEMPLATES / "style.css").read_text(encoding="utf-8").strip()


def script(*names: str) -> str:
    """Return parts of the script of a page, each a file of one job, as one that shares its names with no other."""
    parts = [(TEMPLATES / "script" / f"{name}.js").read_text(encoding="utf-8") for name in names]
    return "\n".join(['"use strict";', "(async () => {", *parts, "})();"])


def content_hash(script: str) -> str:
    """Return the source expression that lets a page's policy run an inline script: its SHA-256 in base64."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
