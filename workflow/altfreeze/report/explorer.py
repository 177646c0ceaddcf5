"""The part of the report that a reader explores: tables packed into it, and what its charts look like."""

import base64
import functools
import gzip
import hashlib
import itertools
import json

import numpy as np
from scipy import stats

from altfreeze.report.figures.style import LABELS
from altfreeze.statistics.paired import CONFIDENCE
from altfreeze.study.grid import FIRST_CALIBRATION_SEED
from altfreeze.tables.schema import KEY, table_csv

# most points that a curve of the report has; the table epochs has all
POINTS = 25
# most characters of packed cells: with them, the report of a large study stays below 5 MiB
SPACE = 5 * 2**19
BUDGETS = {
    "own": "each at its own end",
    "epochs": "equal epochs",
    "updates": "equal updates per parameter",
    "flops": "equal operations",
    "seconds": "equal reference seconds",
}
METRICS = {
    "final_test_accuracy": "final test accuracy",
    "best_test_accuracy": "test accuracy at the epoch chosen on validation",
    "flops_ratio": "operations of the whole training",
    "seconds_ratio": "reference seconds of the whole training",
}
# the clocks of the tables times_to_target and epochs
CLOCKS = {"epoch": "epoch", "updates": "updates_mean", "flops": "flops", "seconds": "reference_seconds"}
QUANTITIES = ("test_accuracy", "validation_accuracy", "train_loss")
_TITLE = {"text": "@title", "subtitle": "@subtitle", "anchor": "start", "limit": "@width", "offset": 10}
# columns of the table epochs that are shown, beside those of its key
CURVES = ("epoch", "status", *QUANTITIES, "updates_mean", "flops", "reference_seconds")


def thinned(epochs, points=POINTS):
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
        chosen = np.unique(np.linspace(0, size - 1, min(size, points)).round())
        keep |= (length == size) & np.isin(place, chosen)
    return epochs[keep]


def explorer_data(study, tables, space=SPACE):
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
        (`thinned`). ``cells`` are in the order of `_cells`, as many as `space` holds;
        ``counts`` says of how many.
    """
    every, cells = _cells(study), {}
    parts = {
        name: (tables[name], tables[name].groupby(["dataset", "depth", "strategy"], sort=False).indices)
        for name in ("epochs", "pairs", "runs", "times_to_target", "packs")
    }
    held = 0
    for held, (dataset, depth, strategy) in enumerate(every, 1):
        cell = {
            name: table.iloc[rows[dataset, depth, strategy]]
            for name, (table, rows) in parts.items()
            if (dataset, depth, strategy) in rows
        }
        if "epochs" in cell:
            rows = thinned(cell["epochs"])[[*KEY, *CURVES]]
            cell["epochs"] = rows.astype(dict.fromkeys(rows.select_dtypes("category"), "str"))
        texts = {name: packed(rows) for name, rows in cell.items()}
        space -= sum(map(len, texts.values()))
        if space < 0:
            held -= 1
            break
        cells.setdefault(dataset, {}).setdefault(str(depth), {})[strategy] = texts
    clocks = {
        clock: {"column": column, "label": LABELS[column].split(":")[0], "format": ",.12~g"}
        for clock, column in CLOCKS.items()
    }
    clocks["flops"] |= {"label": "Operations (FLOPs)", "format": "~s"}
    return {
        "datasets": study.datasets,
        "depths": [str(depth) for depth in study.depths],
        "strategies": [label for label in study.strategies if label != "standard"],
        "start": {"reference": "standard", "budget": study.primary_budget, "metric": "final_test_accuracy"},
        "margins": {"accuracy": study.equivalence_margin, "ratio": study.cost_margin},
        "calibration": FIRST_CALIBRATION_SEED,
        "budgets": BUDGETS,
        "metrics": METRICS,
        "clocks": clocks,
        "quantities": {name: LABELS[name] for name in QUANTITIES},
        "charts": charts(study.seeds),
        "comparisons": packed(tables["comparisons"]),
        "cells": cells,
        "counts": {"held": held, "all": len(every)},
    }


def _cells(study):
    """Return data set, depth and strategy of every cell: those of the primary comparison first, then its depth's."""
    strategy, reference, _ = study.primary
    every = itertools.product(study.depths, study.datasets, study.strategies)
    return sorted(
        ((dataset, depth, label) for depth, dataset, label in every),
        key=lambda cell: (cell[1] != study.primary_depth, cell[2] not in ("standard", strategy, reference)),
    )


def packed(table):
    """Return the text of a table's CSV, compressed with gzip, in base64: the same text for the same table."""
    return base64.b64encode(gzip.compress(table_csv(table), mtime=0)).decode()


def charts(seeds):
    """Return the charts of an opened cell in Vega-Lite's grammar.

    Parameters
    ----------
    seeds : int
        Most runs that a mean is taken of.

    Returns
    -------
    dict of str to dict
        A text that begins with ``@`` stands for a value that the script knows: colours,
        widths, labels and titles. The rows of all are named ``rows``.
    """
    legend = {"orient": "top", "title": None, "labelLimit": 0, "direction": "@legend"}
    legend |= {"symbolType": "stroke", "symbolOpacity": 1, "symbolStrokeWidth": 2.5, "symbolSize": 300}
    strategies_apart = {
        "color": {
            "field": "strategy",
            "type": "nominal",
            "scale": {"domain": ["@reference", "@strategy"], "range": ["@grey", "@accent"]},
            "legend": legend,
        },
        # colour is not the only sign
        "strokeDash": {
            "field": "strategy",
            "type": "nominal",
            "scale": {"domain": ["@reference", "@strategy"], "range": [[5, 3], [1, 0]]},
            "legend": legend,
        },
    }
    clock = {"field": "at", "type": "quantitative", "title": "@clock", "axis": {"format": "@format"}}
    return {
        "curves": _curves(clock, strategies_apart, seeds),
        "pairs": _pairs(),
        "times": _times(clock, strategies_apart),
    }


def _curves(clock, strategies_apart, seeds):
    value = {"field": "value", "type": "quantitative", "title": "@quantity", "scale": {"zero": False}}
    # of n runs, half of the width of the mean's interval in standard errors
    quantiles = [0, 0, *(round(float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)), 4) for n in range(2, seeds + 1))]
    means = [
        {
            "aggregate": [
                {"op": "mean", "field": "value", "as": "mean"},
                {"op": "stderr", "field": "value", "as": "error"},
                {"op": "count", "as": "runs"},
            ],
            "groupby": ["strategy", "at"],
        },
        {"calculate": f"{json.dumps(quantiles)}[datum.runs] * datum.error", "as": "half"},
        {"calculate": "datum.mean - datum.half", "as": "low"},
        {"calculate": "datum.mean + datum.half", "as": "high"},
    ]
    mean = value | {"field": "mean"}
    shown = [
        {"field": "strategy", "type": "nominal", "title": "strategy"},
        {"field": "at", "type": "quantitative", "title": "@clock", "format": "@format"},
        *(
            {"field": name, "type": "quantitative", "title": title, "format": ".2f"}
            for name, title in (("mean", "mean"), ("low", "interval from"), ("high", "to"))
        ),
    ]
    band = {"color": strategies_apart["color"], "y": value | {"field": "low"}, "y2": {"field": "high"}}
    seed = {"color": strategies_apart["color"], "detail": {"field": "seed", "type": "nominal"}, "y": value}
    return _single(320) | {
        "transform": [{"filter": "isValid(datum.value)"}],
        "encoding": {"x": clock},
        "layer": [
            {
                "transform": [*means, {"filter": "datum.runs > 1"}],
                "mark": {"type": "area", "opacity": 0.22},
                "encoding": band,
            },
            {"mark": {"type": "line", "strokeWidth": 0.8, "opacity": 0.4}, "encoding": seed},
            {
                "transform": means,
                "mark": {"type": "line", "strokeWidth": 2.6},
                "encoding": {**strategies_apart, "y": mean},
            },
            {
                "transform": means,
                "mark": {"type": "circle", "size": 60, "opacity": 0.01},
                "encoding": {"y": mean, "tooltip": shown},
            },
        ],
    }


def _pairs():
    row = {"field": "row", "type": "nominal", "sort": None, "title": None, "axis": {"grid": False}}
    difference = {"field": "difference", "type": "quantitative", "title": "@difference"}
    points = {"type": "quantitative", "format": "+.2f"}
    seeds, mean = {"filter": "!datum.mean"}, {"filter": "datum.mean"}
    tooltip = [{"field": "row", "type": "nominal", "title": "pair"}, difference | points | {"title": "difference"}]
    ends = [{"field": name, **points, "title": title} for name, title in (("low", "interval from"), ("high", "to"))]
    return _single("@height") | {
        "layer": [
            {
                "transform": [mean],
                "mark": {"type": "rect", "color": "@grey", "opacity": 0.2},
                "encoding": {"x": {"datum": "@below"}, "x2": {"datum": "@above"}},
            },
            {
                "transform": [mean],
                "mark": {"type": "rule", "color": "@grey", "strokeWidth": 1.5},
                "encoding": {"x": {"datum": 0, "type": "quantitative"}},
            },
            {
                "transform": [seeds],
                "mark": {"type": "circle", "size": 55, "color": "@grey", "opacity": 1},
                "encoding": {"x": difference, "y": row, "tooltip": tooltip},
            },
            {
                # pairs have no interval, data sets have
                "mark": "rule",
                "encoding": {"x": difference | {"field": "low"}, "x2": {"field": "high"}, "y": row}
                | {
                    channel: {"condition": {"test": "datum.mean", "value": of_mean}, "value": of_others}
                    for channel, of_mean, of_others in (("color", "@accent", "@grey"), ("strokeWidth", 3, 1.5))
                },
            },
            {
                "transform": [mean],
                "mark": {
                    "type": "point",
                    "shape": "diamond",
                    "filled": True,
                    "size": 130,
                    "color": "@accent",
                    "opacity": 1,
                },
                "encoding": {"x": difference, "y": row, "tooltip": [*tooltip, *ends]},
            },
        ],
    }


def _times(clock, strategies_apart):
    shown = [
        {"field": "strategy", "type": "nominal", "title": "strategy"},
        {"field": "at", "type": "quantitative", "title": "@clock", "format": "@format"},
        {"field": "share", "type": "quantitative", "title": "runs at the target", "format": ".0%"},
    ]
    share = {"field": "share", "type": "quantitative", "title": "Runs at the target", "scale": {"domain": [0, 1]}}
    return {
        "data": {"name": "rows"},
        "title": _TITLE,
        # each run counts once; a run that never reaches the target ends at its last epoch and counts for nothing,
        # and the rows at 0 are no runs
        "transform": [
            {
                "joinaggregate": [{"op": "sum", "field": "run", "as": "runs"}],
                "groupby": ["strategy", "level"],
            },
            {
                "window": [{"op": "sum", "field": "reached", "as": "done"}],
                "frame": [None, 0],
                "ignorePeers": False,
                "sort": [{"field": "at"}],
                "groupby": ["strategy", "level"],
            },
            {"calculate": "datum.done / datum.runs", "as": "share"},
        ],
        "facet": {
            "field": "level",
            "type": "ordinal",
            "title": "Target, as a share of what standard training gains over chance",
            "header": {"format": ".0%"},
        },
        "columns": "@columns",
        "spec": {
            "width": "@panel",
            "height": 150,
            "layer": [
                {
                    "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2.2},
                    "encoding": strategies_apart,
                },
                {"mark": {"type": "circle", "size": 60, "opacity": 0.01}, "encoding": {"tooltip": shown}},
            ],
            "encoding": {"x": clock, "y": share | {"axis": {"format": ".0%", "tickCount": 3}}},
        },
    }


def _single(height):
    return {
        "data": {"name": "rows"},
        "title": _TITLE,
        "width": "@width",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
    }


@functools.cache
def library():
    """Return Vega, Vega-Lite and Vega-Embed as one script that loads nothing."""
    import vl_convert

    script = vl_convert.javascript_bundle()
    if "</script" in script.lower() or "<!--" in script:
        raise RuntimeError("the charting library cannot stand in a page")
    return script


def content_hash(script):
    """Return the source expression that lets a page's policy run an inline script: its SHA-256 in base64."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def json_in_html(value):
    """Return JSON that can stand in a script element: no text in it can end the element."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
