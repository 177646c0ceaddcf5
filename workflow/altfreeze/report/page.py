"""The report of a study: a single file that loads nothing from outside."""

import base64
import json
import math
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from altfreeze.freezing.schedules import split_index
from altfreeze.freezing.strategy import STRATEGIES
from altfreeze.report.discussion import count, discuss, margin_in_words
from altfreeze.report.explorer import CURVES, content_hash, explorer_data, json_in_html, library
from altfreeze.report.failures import OK, by_strategy, failures, retried
from altfreeze.report.figures.differences import main_figure
from altfreeze.report.figures.style import figure_svg
from altfreeze.report.selection import comparison_rows
from altfreeze.report.templates import TEMPLATES, style_sheet
from altfreeze.report.words import signed_points
from altfreeze.support.errors import InputError
from altfreeze.support.files import atomic_output
from altfreeze.tables.schema import KEY, read_categories, read_table
from altfreeze.vocabulary import EQUAL_BUDGETS

BUDGETS = {name: budget.words for name, budget in EQUAL_BUDGETS.items()}
# the logs hold nine digits of an accuracy; below this a difference is rounding
_DIGITS = 6
# most cells with failed runs that the report lists; the table runs has all
_LISTED = 200
# most job logs that it links of one of them
_LOGS = 5


# id and label of each filter of the report; its script fills them
_FILTERS = (
    ("dataset", "Data set"),
    ("depth", "Depth"),
    ("strategy", "Strategy"),
    ("reference", "Compared with"),
    ("budget", "Budget"),
    ("metric", "Metric"),
    ("recipe", "Recipe"),
)
# class, letter and meaning of each verdict in the matrix
_LETTERS = (
    ("better", "B", "better"),
    ("worse", "W", "worse"),
    ("equivalent", "E", "equivalent: within the margin"),
    ("undecided", "U", "undecided"),
    ("lower", "L", "lower cost"),
    ("higher", "H", "higher cost"),
    ("no-pair", "–", "no pair"),
    ("", "*", "pairs left out, of diverged runs or a budget below one epoch"),
)
# id, title and caption of each chart of an opened cell
_CHARTS = (
    (
        "curves",
        "Learning curves",
        "Thick: mean over the seeds that did not diverge, with its 95 % t interval. Thin: seeds. Dashed: the "
        "reference. At most 25 epochs of each run are drawn and saved here; the table epochs has all.",
    ),
    (
        "pairs",
        "Paired differences",
        "Diamond and bar: the mean of all and its 95 % bootstrap interval, strategy minus reference. "
        "Band: the margin of equivalence,",
    ),
    (
        "times",
        "Time to target",
        "Share of runs whose validation accuracy had reached the target by then. A run that never reaches it "
        "counts until its end. Dashed: the reference.",
    ),
)
# standard training as the reference of a comparison, by its label without a ratio and the budget
_REFERENCES = {
    ("standard", "epochs"): "standard training at equal epochs",
    ("standard", "updates"): "standard training at equal updates per parameter",
    ("standard", "flops"): "standard training at equal operations",
    ("standard", "seconds"): "standard training at equal reference seconds",
    ("standard_half_updates", "own"): "standard training for half of the steps",
    ("standard_matched_flops", "own"): "standard training that stops at the same number of operations",
}


def _reference(study, reference, budget):
    return _REFERENCES[study.strategies[reference]["name"], budget]


def answer(study, comparisons):
    """Return the answer of the study in one sentence.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    comparisons : pandas.DataFrame
        The table comparisons.

    Returns
    -------
    str
        On the row 'all' of the primary comparison; see `altfreeze.study.grid.primary_comparison`.

    Raises
    ------
    InputError
        If `comparisons` lacks that row.
    """
    depth, ratio = study.primary_depth, study.primary_freeze_ratio
    strategy, reference, budget = study.primary
    row = _overall(comparisons, "final_test_accuracy", depth, strategy, budget=budget, reference=reference)
    subject = f"{_frozen(depth, ratio)}, depth-{depth} networks"
    against, pairs = _reference(study, reference, budget), _pairs(study, row)
    if math.isnan(row.difference):
        return (
            f"Undecided: {subject} cannot be compared with {against}, "
            f"because a data set has no pair of runs that both ended ({pairs})."
        )
    return (
        f"{_opening(study, row)}: {subject} ended {_side(row.difference, ' accuracy points')} {against} "
        f"({_in_brackets(row)}; {pairs})."
    )


def reason(study, comparisons):
    """Return a sentence on what is left of the difference on other budgets, and on what was spent.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    comparisons : pandas.DataFrame
        The table comparisons.

    Returns
    -------
    str
        On the primary strategy against standard training at equal epochs and against the controls
        `standard_half_updates` and `standard_matched_flops`, each at its own end, as far as
        it was compared with them and they are not the primary comparison itself.
    """
    depth, strategy = study.primary_depth, study.primary_strategy
    matched = f"standard_matched_flops-{study.primary_freeze_ratio:g}"
    parts = []
    for reference, budget in (("standard", "epochs"), ("standard_half_updates", "own"), (matched, "own")):
        compared = (comparisons["reference"] == reference) & (comparisons["strategy"] == strategy)
        if not compared.any() or (strategy, reference, budget) == study.primary:
            continue
        row = _overall(comparisons, "final_test_accuracy", depth, strategy, budget=budget, reference=reference)
        if not math.isnan(row.difference):
            against = _reference(study, reference, budget)
            parts.append(f"{_side(row.difference, ' points')} {against} ({_in_brackets(row)}: {row.verdict})")
    operations = _overall(comparisons, "flops_ratio", depth, strategy, budget="own").strategy_mean
    sentences = [f"It ended {', and '.join(parts)}."] if parts else []
    if not math.isnan(operations):
        epochs = f"{study.epochs_alternating} and {count(study.epochs_standard, 'epoch')}"
        share = f"{100 * operations:.0f} % of the operations of standard training"
        sentences.append(f"Its whole training took {share} ({epochs}).")
    return " ".join(sentences)


def generalisation(study, across):
    """Return a sentence on what the primary comparison says of data sets like these.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    across : pandas.DataFrame
        The table across_datasets.

    Returns
    -------
    str
        With the data set as the unit; empty where no data set has a pair.
    """
    row = next(across[across["family"] == "primary"].itertuples(), None)
    if row is None or row.datasets < 2:
        return ""
    opening = f"On data sets like these, of which {row.datasets} are a small sample, "
    if not row.can_be_significant:
        opening += (
            f"no result could be significant (the smallest p-value that they permit is {row.smallest_wilcoxon_p:.2g}); "
        )
    adjusted = "" if not study.family else f", {row.adjusted_p:.2g} after Holm's adjustment"
    low, high = signed_points(row.low), signed_points(row.high)
    return (
        f"{opening}the mean difference is {signed_points(row.mean)} points (95 % t interval {low} to {high}; "
        f"exact Wilcoxon p = {row.wilcoxon_p:.2g}{adjusted}): {row.verdict}."
    )


def _opening(study, row):
    if row.verdict == "undecided":
        return "Undecided"
    margin = margin_in_words(study)
    small = f", by less than {margin}" if row.verdict == "equivalent" else ""
    if round(row.high, _DIGITS) < 0:
        return f"Alternating freezing lost{small}"
    if round(row.low, _DIGITS) > 0:
        return f"Alternating freezing won{small}"
    return f"Alternating freezing made no difference of {margin} or more"


def _in_brackets(row):
    if math.isnan(row.low):
        return "no interval: a data set has fewer than five pairs"
    return f"95 % interval {_interval(row.low, row.high)}"


def _overall(comparisons, metric, depth, strategy, **selection):
    rows = comparison_rows(comparisons, metric, depth, strategy, **selection)
    rows = rows[rows["dataset"] == "all"]
    if len(rows) != 1:
        raise InputError(
            f"comparisons: {len(rows)} rows 'all' of {metric} at depth {depth} of {strategy}; allowed: one"
        )
    return next(rows.itertuples())


def _frozen(depth, freeze_ratio):
    bottom = split_index(freeze_ratio, depth)
    if bottom in (0, depth):
        return f"with no layer ever frozen (freeze ratio {freeze_ratio:g} is standard training)"
    if 2 * bottom == depth:
        return "with the lower and the upper half of the layers frozen in turn"
    return f"with the lower {bottom} and the upper {depth - bottom} layers frozen in turn"


def _points(share, places):
    return f"{abs(100 * round(share, _DIGITS)):.{places}f}"


def _places(*shares):
    """Return how many decimals show each number of points that is not zero as not zero."""
    smallest = min((abs(100 * round(share, _DIGITS)) for share in shares if round(share, _DIGITS)), default=1)
    return max(2, math.ceil(-math.log10(smallest)))


def _side(share, unit="", places=None):
    text = _points(share, _places(share) if places is None else places) + unit
    rounded = round(share, _DIGITS)
    return f"{text} {'below' if rounded < 0 else 'above' if rounded > 0 else 'from'}"


def _interval(low, high):
    places = _places(low, high)
    if round(high, _DIGITS) < 0:
        return f"{_points(high, places)} to {_side(low, places=places)}"
    if round(low, _DIGITS) > 0:
        return f"{_points(low, places)} to {_side(high, places=places)}"
    return " to ".join(_side(end, places=places).removesuffix(" from") for end in (low, high))


def _pairs(study, row):
    grid = f"{count(len(study.datasets), 'data set')} × {count(study.seeds, 'seed')}"
    if row.dropped:
        missing = row.missing_reference + row.missing_strategy
        whose = f", {count(missing, 'run')} missing" if missing else ""
        return f"{row.pairs} of {count(row.pairs + row.dropped, 'pair')}: {grid}, {row.dropped} left out{whose}"
    return f"{count(row.pairs, 'pair')}: {grid}"


def left_out(study, runs, comparisons):
    """Return a sentence on the pairs that no comparison could use, empty where there are none.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    runs, comparisons : pandas.DataFrame
        The tables of these names.

    Returns
    -------
    str
        On the primary comparison and on those of every other strategy with standard training, at the ends.
    """
    cells = comparisons[
        (comparisons["metric"] == "final_test_accuracy")
        & (comparisons["dataset"] != "all")
        & (comparisons["dropped"] > 0)
    ]
    here = cells["family"] == "primary"
    others = ~here & (cells["budget"] == "own") & (cells["reference"] == "standard")
    parts = [
        f"{count(int(rows['dropped'].sum()), 'pair')} in {count(len(rows), 'cell')} of {where}"
        for rows, where in ((cells[here], "this comparison"), (cells[others], "the others"))
        if len(rows)
    ]
    if not parts:
        return ""
    whose = []
    for status in ("diverged", "missing"):
        standard = runs.loc[runs["status"] == status, "strategy"] == "standard"
        if status == "diverged" or len(standard):
            whose.append(
                f"{status} runs: {standard.sum()} of standard training, {(~standard).sum()} of the other strategies"
            )
    return f"Left out ({'; '.join(whose)}): {', and '.join(parts)}."


class _TitleParser(HTMLParser):
    """Collects the text of the title element."""

    inside, text = False, ""

    def handle_starttag(self, tag, attributes):
        self.inside = tag == "title" and not self.text

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        self.text += data if self.inside else ""


def _page_link(page, folder):
    parser = _TitleParser()
    try:
        parser.feed(Path(page).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{page}: cannot be read as a page: {error}") from None
    href = Path(os.path.relpath(page, folder)).as_posix()
    return {"href": quote(href), "title": parser.text.strip() or Path(page).stem}


def write_report(study, tables, pages, output):
    """Write the report, and beside it its answer to ``answer.txt`` and its main figure to ``figures/main.svg``.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    tables : path
        Folder with ``runs.csv``, ``comparisons.csv``, ``pairs.csv``, ``across_datasets.csv``, ``epochs.parquet``,
        ``times_to_target.csv``, ``packs.csv``, ``calibration.csv``, ``trends.csv``, ``speedups.csv`` and
        ``study.json``.
    pages : sequence of path
        Pages to link, in this order.
    output : path
        HTML to write.

    Raises
    ------
    InputError
        If a table or page is missing, is not what it should be, or lacks the primary comparison.
    """
    tables, output = Path(tables), Path(output)
    explored = {
        name: read_table(tables / f"{name}.csv", name)
        for name in ("runs", "comparisons", "pairs", "times_to_target", "packs")
    }
    explored["epochs"] = read_categories(tables / "epochs.parquet", "epochs", [*KEY, *CURVES])
    runs, comparisons = explored["runs"], explored["comparisons"]
    across, calibration, trends, speedups = (
        read_table(tables / f"{name}.csv", name) for name in ("across_datasets", "calibration", "trends", "speedups")
    )
    provenance = _provenance(tables / "study.json")
    sentence = answer(study, comparisons)
    svg = figure_svg(
        main_figure(runs, comparisons, study.primary_depth, *study.primary),
        f"Paired differences in final test accuracy, by data set. {sentence}",
    )
    explorer = explorer_data(study, explored)
    scripts = [library(), (TEMPLATES / "report.js").read_text(encoding="utf-8")]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined
    )
    html = environment.get_template("report.html.j2").render(
        study=study.name,
        style=Markup(style_sheet()),
        answer=sentence,
        reason=reason(study, comparisons),
        generalisation=generalisation(study, across),
        left_out=left_out(study, runs, comparisons),
        depth=study.primary_depth,
        margin=margin_in_words(study),
        figure=Markup(svg),
        budgets=BUDGETS.values(),
        budget_rows=_budget_rows(study, comparisons),
        rows=_ratio_rows(study, comparisons),
        pages=[_page_link(page, output.parent) for page in pages],
        headline=_headline(study, provenance, runs),
        discussed=_discussed(discuss(study, explored | {"trends": trends, "speedups": speedups})),
        failed=_failed(study, output.parent, failures(runs, calibration, explored["epochs"], explored["packs"])),
        retried=_retried(study, output.parent, explored["packs"]),
        strategies=_ended(runs),
        facts=_facts(study, len(runs)),
        environment=_environment(provenance),
        repeat=_repeat(study, provenance),
        filters=_FILTERS,
        letters=_LETTERS,
        charts=_CHARTS,
        cells=explorer["counts"],
        explorer_data=Markup(json_in_html(explorer)),
        scripts=[Markup(script) for script in scripts],
        script_hashes=Markup(" ".join(map(content_hash, scripts))),
    )
    with atomic_output(output.parent / "figures" / "main.svg") as file:
        file.write(svg)
    with atomic_output(output.with_name("answer.txt")) as file:
        file.write(sentence + "\n")
    with atomic_output(output) as file:
        file.write(html + "\n")


def _provenance(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))["provenance"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the study's record: {type(error).__name__}: {error}") from None


def _difference(row, word=""):
    """Return a difference in points, signed, a word on it and its interval."""
    if math.isnan(row.difference):
        return "no pair"
    difference, low, high = map(signed_points, (row.difference, row.low, row.high))
    return f"{difference}{word} (no interval)" if math.isnan(row.low) else f"{difference}{word} [{low}, {high}]"


def _ratio_rows(study, comparisons):
    """Return the cells of the table of alternating training at all depths and freeze ratios, as text."""
    rows = []
    for depth in study.depths:
        for label, parameters in study.strategies.items():
            if parameters["name"] != "alternating":
                continue
            final = _overall(comparisons, "final_test_accuracy", depth, label)
            best, operations = (
                _overall(comparisons, metric, depth, label, budget="own")
                for metric in ("best_test_accuracy", "flops_ratio")
            )
            rows.append(
                {
                    "primary": depth == study.primary_depth and label == study.primary_strategy,
                    "depth": depth,
                    "strategy": label,
                    "standard": "" if math.isnan(final.reference_mean) else f"{100 * final.reference_mean:.2f}",
                    "final": _difference(final),
                    "best": _difference(best),
                    "operations": ""
                    if math.isnan(operations.strategy_mean)
                    else f"{100 * operations.strategy_mean:.0f} %",
                    "pairs": final.pairs,
                    "dropped": final.dropped,
                }
            )
    return rows


def _budget_rows(study, comparisons):
    """Return the cells of the table of strategies at equal budgets, as text: the primary depth, all data sets."""
    depth = study.primary_depth
    rows = []
    for label, parameters in study.strategies.items():
        ends_earlier = STRATEGIES[parameters["name"]].budget != "epochs"
        # at any common budget such a control is the same training
        if label == "standard" or (ends_earlier and study.learning_rate_schedule == "constant"):
            continue
        found = [_overall(comparisons, "final_test_accuracy", depth, label, budget=budget) for budget in BUDGETS]
        cells = [_difference(row, f" {row.verdict}").split(" [") for row in found]
        rows.append({"primary": label == study.primary_strategy, "strategy": label, "cells": cells})
    return rows


def _headline(study, provenance, runs):
    """Return grid, budget, machine and commit in few words, as pairs of a name and a text."""
    recipes = f" × {len(study.recipes)} recipes" if study.tune else ""
    ended = (runs["status"] == OK).sum()
    return [
        (
            "Grid",
            f"{count(len(study.datasets), 'data set')} × {count(len(study.depths), 'depth')} × "
            f"{len(study.strategies)} strategies × {count(study.seeds, 'seed')}{recipes}: {count(len(runs), 'run')}, "
            f"{'all' if ended == len(runs) else ended} of which ended well",
        ),
        ("Budget", f"{_epochs(study)}; compared at {BUDGETS[study.primary_budget]}"),
        ("Machine", f"{_machine(provenance)}, {provenance['training_seconds']:.0f} s of training"),
        ("Commit", "; ".join(_commits(provenance, 12))),
    ]


def _epochs(study):
    standard, others = study.epochs_standard, study.epochs_alternating
    return (
        count(standard, "epoch") if standard == others else f"standard {standard}, the others {count(others, 'epoch')}"
    )


def _machine(provenance):
    threads = " or ".join(map(str, provenance["threads"]))
    devices = f"{', '.join(provenance['device'])} ({', '.join(provenance['device_name'])})"
    return f"{count(provenance['hosts'], 'host')}, {devices}, {threads} thread{'' if threads == '1' else 's'} a job"


def _commits(provenance, digits=None):
    return [
        "no git checkout"
        if git["commit"] is None
        else git["commit"][:digits] + (" with changes that are not in it" if git["dirty"] else "")
        for git in provenance["git"]
    ]


def _cells(table):
    """Return a table's cells as text, numbers with five digits."""
    return [
        [f"{value:.5g}" if isinstance(value, float) else str(value) for value in row]
        for row in table.astype(object).itertuples(index=False)
    ]


def _discussed(found):
    """Return what the template shows of the discussion: findings, and the questions without one."""
    return {
        "findings": [
            {
                "question": rule.question,
                "table": rule.table,
                "sentence": finding.sentence,
                "because": finding.because,
                "columns": list(finding.rows),
                "rows": _cells(finding.rows),
            }
            for rule, finding in found
            if finding
        ],
        "open": [rule.question for rule, finding in found if not finding],
    }


def _log_link(study, folder, log):
    """Return a link to a log from a report in the study's results, or in a folder below them, or from a copy."""
    here, results = folder.resolve(), Path(study.results).resolve()
    base = results if here.is_relative_to(results) else here
    return {"href": quote(Path(os.path.relpath(base / log, here)).as_posix()), "text": log}


def _retried(study, folder, packs):
    """Return the rows of the table of jobs that were done again, as far as it is listed, and how many are not."""
    table = retried(packs)
    rows = table.head(_LISTED).to_dict("records")
    for row in rows:
        row["log"] = _log_link(study, folder, row["log"])
    return {"rows": rows, "more": len(table) - len(rows)}


def _failed(study, folder, table):
    """Return the rows of the table of failed runs, as far as it is listed, and what is not."""
    rows = table.head(_LISTED).to_dict("records")
    for row in rows:
        row["more_logs"] = len(row["logs"][_LOGS:])
        row["logs"] = [_log_link(study, folder, log) for log in row["logs"][:_LOGS]]
    rest = table["count"].iloc[_LISTED:]
    more = f"{count(len(rest), 'more cell')} with {count(rest.sum(), 'run')}" if len(rest) else ""
    return {"rows": rows, "more": more}


def _ended(runs):
    """Return a table of how the runs of each strategy ended, as text, and none where all ended well."""
    table = by_strategy(runs)
    if table.shape[1] == 1:
        return None
    return {
        "statuses": list(table)[1:],
        "rows": [(row[0], [str(value) for value in row[1:]]) for row in table.itertuples()],
    }


def _repeat(study, provenance):
    """Return the configuration as text and as a link to itself, and the commands that make the study again."""
    text = json.dumps(study.config, indent=2, ensure_ascii=False) + "\n"
    commits = list(dict.fromkeys(git["commit"] for git in provenance["git"] if git["commit"]))
    name = re.sub(r"[^\w.-]+", "_", study.name) + ".json"
    commands = [f"git checkout {commits[0]}"] if len(commits) == 1 else []
    return {
        "configuration": text,
        "href": f"data:application/json;base64,{base64.b64encode(text.encode()).decode()}",
        "name": name,
        "commands": "\n".join([*commands, f"snakemake --cores all --configfile {name}"]),
    }


def _facts(study, runs):
    """Return what was run, as pairs of a name and a text."""
    shorter = [label for label, named in study.strategies.items() if STRATEGIES[named["name"]].budget != "epochs"]
    earlier = f"; {' and '.join(shorter)} stop{'s' if len(shorter) == 1 else ''} earlier" if shorter else ""
    momentum = f", momentum {study.momentum:g}" if study.optimizer == "sgd" else ""
    return [
        ("Study", f"{study.name}, seed {study.seed}"),
        ("Data sets", ", ".join(study.datasets)),
        ("Depths", ", ".join(map(str, study.depths))),
        ("Freeze ratios", ", ".join(f"{ratio:g}" for ratio in study.freeze_ratios)),
        (
            "Seeds",
            f"{study.seeds} in each cell, {runs} runs; {study.calibration_seeds} more of standard training for "
            "calibration at each data set and depth",
        ),
        ("Strategies", ", ".join(study.strategies)),
        ("Epochs", f"{_epochs(study)}{earlier}"),
        ("Network", f"width {study.width}, dropout {study.dropout:g}"),
        (
            "Optimizer",
            f"{study.optimizer}, learning rate {study.learning_rate:g} ({study.learning_rate_schedule}), "
            f"weight decay {study.weight_decay:g}{momentum}, batches of {study.batch_size}",
        ),
        (
            "Freezing",
            f"phases of {count(study.freeze_period, study.freeze_unit)}, the {study.first_to_learn} learns "
            f"first; optimizer state on thaw: {study.state_on_thaw}; activation cache: {study.cache_activations}",
        ),
    ]


def _environment(provenance):
    """Return where and with what it was run, as pairs of a name and a text."""
    versions = [", ".join(f"{name} {version}" for name, version in found.items()) for found in provenance["versions"]]
    return [
        ("Machine", _machine(provenance)),
        ("Versions", "; ".join(versions)),
        ("Commit", "; ".join(_commits(provenance))),
        ("Code", f"fingerprint of what decides the numbers: {', '.join(provenance['code'])}"),
        ("Jobs", f"{count(provenance['packs'], 'pack')} of seeds trained together"),
        (
            "Spent",
            f"{provenance['training_seconds']:.0f} s of training, {provenance['wall_seconds']:.0f} s with start and "
            f"evaluation, {provenance['cpu_seconds']:.0f} CPU seconds; sums over jobs, some of which ran side by side",
        ),
        ("Memory", f"{provenance['peak_memory_mib']:.0f} MiB at most in one job"),
    ]
