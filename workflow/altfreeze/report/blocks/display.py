"""Show sentences and tables of text in a notebook."""

import html
from pathlib import Path

import pandas as pd

from altfreeze.tables.schema import read_table


def read_tables(folder: Path | str, *names: str) -> list[pd.DataFrame]:
    """Return tables of a finished study, for example `comparisons`, in the order of their names.

    Raises
    ------
    InputError
        If one is missing or is not what its schema states.
    """
    return [read_table(Path(folder) / f"{name}.csv", name) for name in names]


def say(*sentences: str) -> None:
    """Show sentences in Markdown as one paragraph; without any, show nothing."""
    from IPython.display import Markdown, display

    text = " ".join(filter(None, sentences))
    if text:
        display(Markdown(text))


def table_html(table: pd.DataFrame) -> str:
    """Return a table as HTML whose text is text, in lines where it has some; the first column names the rows."""
    text = table.map(lambda value: html.escape(str(value)).replace("\n", "<br>"))
    first = text.columns[0]
    text = text.set_index(first).rename_axis(index=None, columns=first)
    with pd.option_context("display.max_colwidth", None):
        # the corner stands above the names, which are aligned to the left
        return text.to_html(border=0, escape=False).replace("<th>", '<th style="text-align: left">', 1)


def show_table(table: pd.DataFrame, folded: str = "") -> None:
    """Show a table, or a line that unfolds it; without rows, show nothing."""
    from IPython.display import HTML, display

    if len(table):
        text = table_html(table)
        if folded:
            text = f'<details class="folded"><summary>{html.escape(folded)}</summary>{text}</details>'
        display(HTML(text))
