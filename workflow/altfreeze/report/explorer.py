"""The part of the report that a reader explores: tables and words packed into it, and the library that draws it."""

import base64
import functools
import gzip
import itertools
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from altfreeze.report.blocks.cells import shorter_trainings
from altfreeze.report.charts import LEGEND, POINTS, charts
from altfreeze.report.selection import compared_rows
from altfreeze.statistics.paired import CONFIDENCE
from altfreeze.study.grid import FIRST_CALIBRATION_SEED, Study
from altfreeze.study.recipes import PRIMARY_RECIPE
from altfreeze.tables.schema import CELL, KEY, table_csv
from altfreeze.vocabulary import (
    BUDGETS,
    CLOCKS,
    EQUAL_BUDGETS,
    MEASURES,
    NOT_ABOVE_CHANCE,
    QUANTITIES,
    VERDICTS,
    Metric,
)

# table to text, by data set, depth and strategy
Packed = dict[str, dict[str, dict[str, dict[str, str]]]]

# most characters of what is packed: with it, the report of a large study stays below 5 MB
SPACE = 3_600_000
# columns of the table comparisons that are shown
COMPARED = (
    *("dataset", "depth", "recipe", "strategy", "reference", "budget", "metric", "pairs", "dropped"),
    *("diverged_reference", "diverged_strategy", "reference_mean", "strategy_mean"),
    *("difference", "low", "high", "verdict"),
)
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
# what the looks of a number in the matrix mean
LOOKS = {name: verdict.words for name, verdict in VERDICTS.items()}
LOOKS |= {
    "no pair": "no pair",
    "survives": "framed: better or worse after Benjamini and Hochberg, over all comparisons on one data set",
    "left out": "*: pairs left out, of diverged runs or a budget below one epoch",
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
        Most characters of what is packed.

    Returns
    -------
    dict
        Only of what JSON has. ``comparisons`` and, by data set, depth and strategy, the tables of
        ``cells`` are their rows as the text of their CSV files (`packed`), so that what a
        reader takes away is what the tables say; of comparisons and epochs some columns, and of
        epochs some rows (`thinned`). ``cells`` are those of the primary comparison and then of its depth
        first, as many as `space` holds; ``counts`` says of how many.
    """
    comparisons = packed(tables["comparisons"][[*COMPARED]])
    cells, counts = _packed_cells(study, tables, space - len(comparisons))
    strategy, reference, budget = study.primary
    clock = EQUAL_BUDGETS[study.primary_budget].clock
    return {
        "datasets": study.datasets,
        "panels": study.panels,
        "depths": [str(depth) for depth in study.depths],
        "strategies": sorted(
            (label for label in study.strategies if label != "standard"),
            key=lambda label: label not in study.alternating,
        ),
        "alternating": list(study.alternating),
        "shorter": shorter_trainings(study),
        "short": {label: _short(label) for label in study.strategies},
        "start": {
            "recipe": PRIMARY_RECIPE,
            "reference": reference,
            "budget": budget,
            "metric": study.metric.final,
            "cell": ["all", str(study.primary_depth), strategy],
        },
        "first": {
            "dataset": most_different(study, tables["comparisons"]),
            "depth": str(study.primary_depth),
            "strategies": _first_strategies(study),
            "clock": clock.name if clock else next(iter(CLOCKS)),
        },
        "margins": {"metric": study.equivalence_margin, "ratio": study.cost_margin},
        "calibration": FIRST_CALIBRATION_SEED,
        "filters": list(FILTERS),
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
        "grammar": grammar(),
        "legend": LEGEND,
        "comparisons": comparisons,
        "survivors": survivors(tables["comparisons"], tables["pairs"]),
        "cells": cells,
        "counts": counts,
    }


def most_different(study: Study, comparisons: pd.DataFrame) -> str:
    """Return the primary data set on which the primary comparison differs most, the first one where none has a pair."""
    strategy, reference, budget = study.primary
    rows = compared_rows(comparisons, study.metric.final, budget, reference)
    rows = rows[(rows["depth"] == study.primary_depth) & (rows["strategy"] == strategy)]
    told = rows["dataset"].isin(study.panels["all"]) & (rows["verdict"] != NOT_ABOVE_CHANCE)
    sizes = rows[told].set_index("dataset")["difference"].abs().dropna()
    return study.panels["all"][0] if sizes.empty else str(sizes.idxmax())


def _first_strategies(study: Study) -> list[str]:
    """Return standard training, the control of half its updates and the primary strategy, those that are trained."""
    return [
        label for label in ("standard", "standard_half_updates", study.primary_strategy) if label in study.strategies
    ]


def _short(label: str) -> str:
    """Return the label of a strategy as the head of a narrow column."""
    return label.removeprefix("standard_").replace("alternating", "alt").replace("_", " ").replace("-", " ")


def survivors(comparisons: pd.DataFrame, pairs: pd.DataFrame) -> list[int]:
    """Return which rows are still better or worse where all comparisons on single data sets are tested together.

    The p-values are those of the paired t test; of all that are not of costs, a share of at most 5 % of those that are
    returned is expected to be false (Y. Benjamini and Y. Hochberg, Controlling the false discovery rate, 1995,
    https://doi.org/10.1111/j.2517-6161.1995.tb02031.x).

    Parameters
    ----------
    comparisons, pairs : pandas.DataFrame
        The tables of these names.

    Returns
    -------
    list of int
        Positions in `comparisons`.
    """
    key = [*CELL, "reference", "budget", "metric"]
    found = pairs.groupby(key)["difference"].agg(["mean", "std", "count"])
    scores = found["mean"].abs() / (found["std"] / np.sqrt(found["count"])).where(found["std"] > 0)
    p_values = pd.Series(2 * stats.t.sf(scores, found["count"] - 1), found.index, name="p")
    joined = comparisons[[*key, "verdict"]].join(p_values, on=key).reset_index(drop=True)
    costs = [name for name, measure in MEASURES.items() if measure.is_ratio]
    tested = joined[joined["p"].notna() & ~joined["metric"].isin(costs)]
    if tested.empty:
        return []
    kept = stats.false_discovery_control(tested["p"]) <= 1 - CONFIDENCE
    return [int(place) for place in tested.index[kept & tested["verdict"].isin(["better", "worse"])]]


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
    """Return data set, depth and strategy of every cell: those of the first screen and the primary comparison first.

    Then those of its depth.
    """
    first = {*_first_strategies(study), study.primary.reference}
    grid = itertools.product(study.depths, study.datasets, study.strategies)
    return sorted(
        ((dataset, depth, label) for depth, dataset, label in grid),
        key=lambda cell: (cell[1] != study.primary_depth, cell[2] not in first),
    )


def packed(table: pd.DataFrame) -> str:
    """Return the text of a table's CSV, compressed with gzip, in base64: the same text for the same table."""
    return base64.b64encode(gzip.compress(table_csv(table), mtime=0)).decode()


def grammar() -> str:
    """Return the address that names the version of Vega-Lite's grammar; nothing is loaded from it."""
    import vl_convert

    newest = vl_convert.get_vegalite_versions()[-1]
    return f"https://vega.github.io/schema/vega-lite/v{newest.partition('.')[0]}.json"


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


def json_in_html(value: Any) -> str:
    """Return JSON that can stand in a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
