"""The report of a study: one file that loads nothing from outside."""

import math
import os
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
import pandas as pd
from markupsafe import Markup

from altfreeze.report.answer import below, sooner  # noqa: F401, sooner registers a rule of the discussion
from altfreeze.report.answer.first import answer
from altfreeze.report.blocks.cells import verdict_in_words, whole_trainings
from altfreeze.report.blocks.endpoints import headlines
from altfreeze.report.charts import CAPTIONS
from altfreeze.report.discussion import Finding, Rule, discuss
from altfreeze.report.explorer import (
    FILTERS,
    LOOKS,
    curves,
    explorer_data,
    json_in_html,
    library,
)
from altfreeze.report.failures import ended_rows, failed_rows, failures, retried_rows
from altfreeze.report.figures.differences import main_figure
from altfreeze.report.figures.endpoints import recipes_figure
from altfreeze.report.figures.style import figure_svg
from altfreeze.report.methods import (
    bibtex,
    data_sets,
    environment,
    facts,
    headline,
    methods,
    read_provenance,
    repeat,
)
from altfreeze.report.paper import bibliography, checklist, main_table
from altfreeze.report.selection import overall
from altfreeze.report.templates import EXPLORER, PAGE, TEMPLATES, content_hash, script, style_sheet
from altfreeze.report.words import ANSWERS, GLOSSARY, interval, listed, margin_in_words, percent, points
from altfreeze.study.grid import Study
from altfreeze.support.errors import InputError
from altfreeze.support.files import atomic_output
from altfreeze.tables.schema import KEY, read_categories, read_table
from altfreeze.vocabulary import BUDGETS, CLOCKS, EQUAL_BUDGETS, MEASURES, VERDICTS

# what the report reads beside epochs.parquet and study.json
TABLES = (
    "runs",
    "comparisons",
    "pairs",
    "times_to_target",
    "packs",
    "across_datasets",
    "calibration",
    "trends",
    "speedups",
    "endpoints",
    "sensitivity",
    "targets",
    "variations",
)


def write_report(study: Study, tables: Path | str, pages: Iterable[Path | str], output: Path | str) -> None:
    """Write the report, and beside it its answer, its main figure and what a paper needs (``paper/``).

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    tables : path
        Folder of `TABLES`, each as CSV, ``epochs.parquet`` and ``study.json``.
    pages : sequence of path
        Pages to link, in this order.
    output : path
        HTML to write.

    Raises
    ------
    InputError
        If a table or page is missing, is not what it should be, or lacks the primary comparison.
    """
    folder, output = Path(tables), Path(output)
    read = {name: read_table(folder / f"{name}.csv", name) for name in TABLES}
    read["epochs"] = read_categories(folder / "epochs.parquet", "epochs", [*KEY, *curves(study.metric)])
    provenance = read_provenance(folder)
    sentence = answer(study, read["endpoints"])
    wide, narrow = _main_figure(study, read, sentence)
    explored = explorer_data(study, read)
    scripts = [library(), script(*PAGE), script(*EXPLORER)]
    template = templates().get_template("report.html.j2")
    html = template.render(
        style=Markup(style_sheet()),
        answer=sentence,
        figure=Markup(wide),
        narrow_figure=Markup(narrow),
        recipes=_recipes(study, read["variations"]),
        pages=_page_links(pages, output.parent),
        glossary=GLOSSARY,
        cells=explored["counts"],
        explorer_data=Markup(json_in_html(explored)),
        scripts=[Markup(script) for script in scripts],
        script_hashes=Markup(" ".join(map(content_hash, scripts))),
        **_sentences_and_tables(study, read, output.parent),
        **_record(study, provenance, read["runs"]),
    )
    texts = {output.parent / "figures" / "main.svg": wide, output.with_name("answer.txt"): f"{sentence}\n"}
    texts[output.parent / "paper" / "main.tex"] = main_table(study, read["endpoints"])
    texts[output.parent / "paper" / "references.bib"] = bibliography(provenance)
    for path, text in (texts | {output: f"{html}\n"}).items():
        with atomic_output(path) as file:
            file.write(text)


def templates() -> jinja2.Environment:
    """Return the templates of the report, which know the words of the vocabulary and how they are written."""
    known = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    known.globals |= {"budgets": BUDGETS, "equal_budgets": EQUAL_BUDGETS, "clocks": CLOCKS, "measures": MEASURES}
    known.globals |= {"verdicts": VERDICTS, "filters": FILTERS, "looks": LOOKS, "charts": CAPTIONS}
    known.filters |= {"listed": listed, "margin": margin_in_words}
    return known


def _sentences_and_tables(study: Study, read: dict[str, pd.DataFrame], folder: Path) -> dict[str, Any]:
    """Return what the template shows of the tables, by its names; `folder` is that of the report."""
    runs, comparisons, packs = read["runs"], read["comparisons"], read["packs"]
    failed = failures(runs, read["calibration"], read["epochs"], packs)
    return {
        "below": _below_the_answer(study, read),
        "budget_rows": _budget_rows(study, comparisons),
        "rows": _ratio_rows(study, comparisons),
        "discussed": _discussed(discuss(study, read)),
        "failed": failed_rows(study, folder, failed),
        "retried": retried_rows(study, folder, packs),
        "strategies": ended_rows(runs),
    }


def _below_the_answer(study: Study, read: dict[str, pd.DataFrame]) -> list[str]:
    """Return the sentences below the answer, those that the tables hold."""
    endpoints, comparisons = read["endpoints"], read["comparisons"]
    sentences = [
        below.sensitive(study, read["sensitivity"], endpoints),
        below.why(study, comparisons),
        below.other_recipes(study, read["variations"]),
        below.grid(study, endpoints),
        below.carriers(study, endpoints),
        below.other_panel(study, endpoints),
        below.generalisation(study, endpoints),
        headlines(study, comparisons),
        below.left_out(read["runs"], comparisons, study.metric),
        below.worst_case(study, read["runs"], read["targets"]),
    ]
    return [sentence for sentence in sentences if sentence]


def _main_figure(study: Study, read: dict[str, pd.DataFrame], sentence: str) -> list[str]:
    """Return the figure of the primary comparison, as wide as half a screen and as a phone."""
    compared = read["runs"], read["comparisons"], study.primary_depth, *study.primary
    title = f"Paired differences in final test {study.metric.words}, by data set"
    return [
        figure_svg(
            main_figure(*compared, study.metric, study.equivalence_margin, narrow),
            # a title of its own: what figures of one page refer to is named after it
            f"{title}{', in brief' if narrow else ''}. {sentence}",
        )
        for narrow in (False, True)
    ]


def _recipes(study: Study, variations: pd.DataFrame) -> Markup:
    """Return the figure of both endpoints under each recipe, nothing where nothing varies."""
    if not study.variations:
        return Markup()
    title = "Effect of alternating training at both endpoints under each recipe, sorted by that at the end"
    return Markup(figure_svg(recipes_figure(study, variations), title))


def _record(study: Study, provenance: dict[str, Any], runs: pd.DataFrame) -> dict[str, Any]:
    """Return what the template shows of the study and of where it was run, by its names."""
    return {
        "study": study,
        "headline": headline(study, provenance, runs),
        "facts": facts(study, len(runs)),
        "data_sets": data_sets(study),
        "methods": methods(study, provenance, len(runs)),
        "bibtex": bibtex(provenance),
        "environment": environment(provenance),
        "repeat": repeat(study, provenance),
        "checklist": checklist(study, provenance, runs),
    }


def _difference(row: Any, word: str = "") -> str:
    """Return a difference in points, signed, a word on it and its interval."""
    if math.isnan(row.difference):
        return "no pair"
    ends = interval(row.low, row.high)
    return f"{points(row.difference)}{word} {f'({ends})' if math.isnan(row.low) else ends}"


def _ratio_rows(study: Study, comparisons: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the cells of the table of alternating training at all depths and freeze ratios, as text."""
    rows = []
    for depth in study.depths:
        for label in study.alternating:
            final = overall(comparisons, study.metric.final, depth, label)
            best = overall(comparisons, study.metric.best, depth, label, "own")
            operations = overall(comparisons, "flops_ratio", depth, label, "own")
            rows.append(
                {
                    "primary": depth == study.primary_depth and label == study.primary_strategy,
                    "depth": depth,
                    "strategy": label,
                    "standard": "" if math.isnan(final.reference_mean) else study.metric.shown(final.reference_mean),
                    "final": _difference(final),
                    "best": _difference(best),
                    "operations": percent(operations.strategy_mean),
                    "pairs": final.pairs,
                    "dropped": final.dropped,
                }
            )
    return rows


def _budget_rows(study: Study, comparisons: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the cells of the table of strategies at equal budgets, as text: the primary depth, all data sets."""
    rows = []
    # at any common budget a control that only ends earlier is standard training
    for label in whole_trainings(study):
        means = [
            overall(comparisons, study.metric.final, study.primary_depth, label, budget) for budget in EQUAL_BUDGETS
        ]
        # the interval stands on a line of its own
        cells = [_difference(row, f" {verdict_in_words(row)}").split(" [") for row in means]
        rows.append({"primary": label == study.primary_strategy, "strategy": label, "cells": cells})
    return rows


def _discussed(answers: list[tuple[Rule, Finding | None]]) -> dict[str, Any]:
    """Return what the template shows of the discussion: findings, and the questions without one."""
    return {
        "findings": [
            {
                "question": rule.question,
                "table": rule.table,
                "sentence": finding.sentence,
                "because": finding.because,
                "columns": list(finding.rows),
                "rows": _as_text(finding.rows),
            }
            for rule, finding in answers
            if finding
        ],
        "open": [rule.question for rule, finding in answers if not finding],
    }


def _as_text(table: pd.DataFrame) -> list[list[str]]:
    """Return a table's cells as text, numbers with five digits."""
    return [
        [f"{value:.5g}" if isinstance(value, float) else str(value) for value in row]
        for row in table.astype(object).itertuples(index=False)
    ]


class _TitleParser(HTMLParser):
    """Collects the text of the title element."""

    inside, text = False, ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.inside = tag == "title" and not self.text

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        self.text += data if self.inside else ""


def _page_links(pages: Iterable[Path | str], folder: Path) -> list[dict[str, str]]:
    """Return the links to the pages, each with what it answers, in the order in which they are read."""
    order = list(ANSWERS)
    ordered = sorted(map(Path, pages), key=lambda page: order.index(page.stem) if page.stem in order else len(order))
    return [_page_link(page, folder) for page in ordered]


def _page_link(page: Path, folder: Path) -> dict[str, str]:
    """Return address and title of a page, as the report in a folder links it, and what it answers."""
    parser = _TitleParser()
    try:
        parser.feed(page.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{page}: cannot be read as a page: {error}") from None
    href = Path(os.path.relpath(page, folder)).as_posix()
    title = parser.text.strip() or page.stem
    return {"href": quote(href), "title": title, "answer": ANSWERS.get(page.stem, "")}
