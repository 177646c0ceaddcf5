"""The part of the report that a reader explores: tables and words packed into it, and the library that draws it."""

import base64
import functools
import gzip
import hashlib
import itertools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from altfreeze.report.charts import POINTS, charts
from altfreeze.study.grid import FIRST_CALIBRATION_SEED, Study
from altfreeze.tables.schema import KEY, table_csv
from altfreeze.vocabulary import BUDGETS, CLOCKS, MEASURES, QUANTITIES, VERDICTS, Metric

# table to text, by data set, depth and strategy
Packed = dict[str, dict[str, dict[str, dict[str, str]]]]

# most characters of packed cells: with them, the report of a large study stays below 5 MiB
SPACE = 5 * 2**19
# columns of the table epochs that are shown, beside those of its key
CURVES = ("epoch", "status", *(clock.column for clock in CLOCKS.values() if clock.column != "epoch"))
# id and label of each filter; the script fills them, in this order
FILTERS = {
    "dataset": "Data set",
    "depth": "Depth",
    "strategy": "Strategy",
    "reference": "Compared with",
    "budget": "Budget",
    "metric": "Metric",
    "recipe": "Recipe",
}
# letter and meaning of what stands in the matrix; the star stands beside a letter
LETTERS = {name: (verdict.letter, verdict.words) for name, verdict in VERDICTS.items()}
LETTERS |= {
    "no pair": ("–", "no pair"),
    "left out": ("*", "pairs left out, of diverged runs or a budget below one epoch"),
}
# letters of d3-format: what an operation count is shortened to, and a number with all its digits
_FORMATS = {"flops": "~s"}
_ANY_NUMBER = ",.12~g"


def quantities(metric: Metric) -> dict[str, str]:
    """Return what can be drawn over a clock, and the title of its axis: the study's metric and the training loss."""
    return {name: QUANTITIES[name] for name in (metric.test, metric.validation, "train_loss")}


def curves(metric: Metric) -> list[str]:
    """Return the columns of the table epochs that are shown, beside those of its key."""
    return [*CURVES[:2], *quantities(metric), *CURVES[2:]]


def thinned(epochs: pd.DataFrame, points: int = POINTS) -> pd.DataFrame:
    """Return the rows of a few epochs of each run, evenly spread, the first and the last among them.

    Parameters
    ----------
    epochs : pandas.DataFrame
        The table epochs.
    points : int
        Most rows of one run.

    Returns
    -------
    pandas.DataFrame
        Rows of `epochs` as they are, in their order.
    """
    runs = epochs.groupby(KEY, sort=False)["epoch"]
    place, length = runs.cumcount().to_numpy(), runs.transform("size").to_numpy()
    keep = np.zeros(len(epochs), bool)
    for size in np.unique(length):
        kept = np.unique(np.linspace(0, size - 1, min(size, points)).round())
        keep |= (length == size) & np.isin(place, kept)
    return epochs[keep]


def explorer_data(study: Study, tables: Mapping[str, pd.DataFrame], space: int = SPACE) -> dict[str, Any]:
    """Return all that the report's script shows.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    tables : dict of str to pandas.DataFrame
        The tables comparisons, pairs, runs, epochs, times_to_target and packs.
    space : int
        Most characters of packed cells.

    Returns
    -------
    dict
        Only of what JSON has. ``comparisons`` and, by data set, depth and strategy, the tables of
        ``cells`` are their rows as the text of their CSV files (`packed`), so that what a
        reader takes away is what the tables say; of epochs some columns and rows
        (`thinned`). ``cells`` are those of the primary comparison and then of its depth
        first, as many as `space` holds; ``counts`` says of how many.
    """
    cells, counts = _packed_cells(study, tables, space)
    return {
        "datasets": study.datasets,
        "panels": study.panels,
        "depths": [str(depth) for depth in study.depths],
        "strategies": [label for label in study.strategies if label != "standard"],
        "start": {"reference": "standard", "budget": study.primary_budget, "metric": study.metric.final},
        "margins": {"metric": study.equivalence_margin, "ratio": study.cost_margin},
        "calibration": FIRST_CALIBRATION_SEED,
        "filters": list(FILTERS),
        "letters": {name: letter for name, (letter, _) in LETTERS.items()},
        "budgets": {name: budget.words for name, budget in BUDGETS.items()},
        "metrics": {name: metric.words for name, metric in MEASURES.items()},
        "ratios": [name for name, metric in MEASURES.items() if metric.is_ratio],
        "clocks": {
            name: {"column": clock.column, "label": clock.label, "format": _FORMATS.get(name, _ANY_NUMBER)}
            for name, clock in CLOCKS.items()
        },
        "losses": [name for name, measure in MEASURES.items() if measure.metric and measure.metric.scale == 1],
        "quantities": quantities(study.metric),
        "charts": charts(study.seeds),
        "comparisons": packed(tables["comparisons"]),
        "cells": cells,
        "counts": counts,
    }


def _packed_cells(study: Study, tables: Mapping[str, pd.DataFrame], space: int) -> tuple[Packed, dict[str, int]]:
    """Return the tables of as many cells as there is space for, by data set, depth and strategy, and how many."""
    order = _cells(study)
    cells: Packed = {}
    parts = {
        name: (tables[name], tables[name].groupby(["dataset", "depth", "strategy"], sort=False).indices)
        for name in ("epochs", "pairs", "runs", "times_to_target", "packs")
    }
    held = 0
    for held, (dataset, depth, strategy) in enumerate(order, 1):
        cell = {
            name: table.iloc[rows[dataset, depth, strategy]]
            for name, (table, rows) in parts.items()
            if (dataset, depth, strategy) in rows
        }
        if "epochs" in cell:
            rows = thinned(cell["epochs"])[[*KEY, *curves(study.metric)]]
            cell["epochs"] = rows.astype(dict.fromkeys(rows.select_dtypes("category"), "str"))
        texts = {name: packed(rows) for name, rows in cell.items()}
        space -= sum(map(len, texts.values()))
        if space < 0:
            held -= 1
            break
        cells.setdefault(dataset, {}).setdefault(str(depth), {})[strategy] = texts
    return cells, {"held": held, "all": len(order)}


def _cells(study: Study) -> list[tuple[str, int, str]]:
    """Return data set, depth and strategy of every cell: those of the primary comparison first, then its depth's."""
    strategy, reference, _ = study.primary
    grid = itertools.product(study.depths, study.datasets, study.strategies)
    return sorted(
        ((dataset, depth, label) for depth, dataset, label in grid),
        key=lambda cell: (cell[1] != study.primary_depth, cell[2] not in ("standard", strategy, reference)),
    )


def packed(table: pd.DataFrame) -> str:
    """Return the text of a table's CSV, compressed with gzip, in base64: the same text for the same table."""
    return base64.b64encode(gzip.compress(table_csv(table), mtime=0)).decode()


@functools.cache
def library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script that loads nothing.

    Raises
    ------
    RuntimeError
        If its text would end the element that it stands in.
    """
    import vl_convert

    # its stub does not know that the arguments have defaults
    script = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    if "</script" in script.lower() or "<!--" in script:
        raise RuntimeError("the charting library cannot stand in a page")
    return script


def content_hash(script: str) -> str:
    """Return the source expression that lets a page's policy run an inline script: its SHA-256 in base64."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def json_in_html(value: Any) -> str:
    """Return JSON that can stand in a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
