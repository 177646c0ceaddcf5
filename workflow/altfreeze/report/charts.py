"""The charts of an opened cell of the report's explorer, in Vega-Lite's grammar, and what is said below them."""

import json
from typing import Any

from scipy import stats

from altfreeze.statistics.paired import CONFIDENCE

Chart = dict[str, Any]

# most points that a curve of the report has; the table epochs has all
POINTS = 25
# id, title and caption; the margin is written after the caption of the pairs
CAPTIONS = (
    (
        "curves",
        "Learning curves",
        "Thick: mean over the seeds that did not diverge, with its 95 % t interval. Thin: seeds. Dashed: the "
        f"reference. At most {POINTS} epochs of each run are drawn and saved here; the table epochs has all.",
    ),
    (
        "pairs",
        "Paired differences",
        "Diamond and bar: the mean of all and its 95 % bootstrap interval, positive where the strategy is better. "
        "Band: the margin of equivalence,",
    ),
    (
        "times",
        "Time to target",
        "Share of runs that had reached the target on validation data by then. A run that never reaches it "
        "counts until its end. Dashed: the reference.",
    ),
)
_TITLE = {"text": "@title", "subtitle": "@subtitle", "anchor": "start", "limit": "@width", "offset": 10}
# of strategies, above a chart that has no menu of them
LEGEND: Chart = {"orient": "top", "title": None, "labelLimit": 0, "symbolType": "stroke", "symbolOpacity": 1}
LEGEND |= {"symbolStrokeWidth": 2.5, "symbolSize": 300}


def charts(seeds: int) -> dict[str, Chart]:
    """Return the charts of an opened cell in Vega-Lite's grammar.

    Parameters
    ----------
    seeds : int
        Most runs that a mean is taken of.

    Returns
    -------
    dict of str to dict
        A text that begins with ``@`` stands for a value that the script knows: colours,
        widths, labels, legends and titles. The rows of all are named ``rows``.
    """
    # colour is not the only sign
    strategies_apart = {
        channel: {
            "field": "strategy",
            "type": "nominal",
            "scale": {"domain": "@strategies", "range": looks},
            "legend": "@legend",
        }
        for channel, looks in (("color", "@colours"), ("strokeDash", "@dashes"))
    }
    axis = {"format": "@format", "tickCount": 5, "labelOverlap": "greedy", "labelSeparation": 8}
    clock = {"field": "at", "type": "quantitative", "title": "@clock", "axis": axis}
    return {
        "curves": _curves(clock, strategies_apart, seeds),
        "pairs": _differences(),
        "times": _times(clock, strategies_apart),
    }


def _curves(clock: Chart, strategies_apart: Chart, seeds: int) -> Chart:
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
    named: list[Chart] = [
        {"field": "strategy", "type": "nominal", "title": "strategy"},
        {"field": "at", "type": "quantitative", "title": "@clock", "format": "@format"},
    ]
    shown = [
        *named,
        *(
            {"field": name, "type": "quantitative", "title": title, "format": ".2f"}
            for name, title in (("mean", "mean"), ("low", "interval from"), ("high", "to"))
        ),
    ]
    of_seed = [*named, {"field": "seed", "type": "nominal", "title": "seed"}]
    of_seed.append({"field": "value", "type": "quantitative", "title": "@quantity", "format": ".2f"})
    band = {"color": strategies_apart["color"], "y": value | {"field": "low"}, "y2": {"field": "high"}}
    seed = {"color": strategies_apart["color"], "detail": {"field": "seed", "type": "nominal"}, "y": value}
    return _single("@height") | {
        "transform": [{"filter": "isValid(datum.value)"}],
        "encoding": {"x": clock},
        "layer": [
            {
                "transform": [*means, {"filter": "datum.runs > 1"}],
                "mark": {"type": "area", "opacity": 0.22},
                "encoding": band,
            },
            {"mark": {"type": "line", "strokeWidth": 0.8, "opacity": 0.4}, "encoding": seed},
            {"mark": {"type": "circle", "size": 30, "opacity": 0.01}, "encoding": {"y": value, "tooltip": of_seed}},
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


def _differences() -> Chart:
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


def _times(clock: Chart, strategies_apart: Chart) -> Chart:
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


def _single(height: int | str) -> Chart:
    return {
        "data": {"name": "rows"},
        "title": _TITLE,
        "width": "@width",
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
    }
