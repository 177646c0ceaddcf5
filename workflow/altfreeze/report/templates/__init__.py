"""Templates of the report and its pages, and the style that they share."""

from pathlib import Path

TEMPLATES = Path(__file__).parent


def style_sheet() -> str:
    """Return the style of the report and of every page, as CSS."""
    return (TEMPLATES / "style.css").read_text(encoding="utf-8").strip()
