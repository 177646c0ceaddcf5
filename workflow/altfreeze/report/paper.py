"""What a paper on a study needs: its main table, its sources, and answers to checklists of reproducibility."""

import math
from typing import Any

import pandas as pd
import yaml

from altfreeze.report.answer.first import primary_row
from altfreeze.report.failures import OK
from altfreeze.report.methods import CITATION, Facts, bibtex, data_sets, escaped
from altfreeze.report.templates import TEMPLATES
from altfreeze.report.words import count, listed, signed_points
from altfreeze.statistics.across import smallest_signed_rank_p_value
from altfreeze.statistics.paired import CONFIDENCE, FEWEST_PAIRS, RESAMPLES
from altfreeze.study.grid import Study
from altfreeze.study.sources import paths_of


def main_table(study: Study, endpoints: pd.DataFrame) -> str:
    """Return both endpoints of the primary comparison, data set by data set and for all, as a LaTeX table.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    endpoints : pandas.DataFrame
        The table endpoints.

    Returns
    -------
    str
        For the package booktabs: the end in points and the operations to the target in per cent, each against its
        reference, with its interval and its verdict. What is compared stands in a comment above.
    """
    lines, references = [], {}
    for dataset in [*study.datasets, *study.panels]:
        rows = {endpoint: primary_row(study, endpoints, endpoint, dataset) for endpoint in ("end", "time")}
        references = {endpoint: row.reference for endpoint, row in rows.items()}
        end, time = rows.values()
        if dataset in study.panels:
            lines.append(r"\midrule")
        more = _in_percent(time.effect - 1, time.low - 1, time.high - 1)
        name = f"mean of {dataset}" if dataset in study.panels else dataset
        cells = [escaped(name), _in_percent(end.effect, end.low, end.high), end.verdict, more, time.verdict]
        lines.append(" & ".join(cells) + r" \\")
    said = [
        rf"% \usepackage{{booktabs}}; study {study.name}: {study.primary_strategy} at depth {study.primary_depth}",
        f"% against {references['end']} at the end, against {references['time']} on the way; {100 * CONFIDENCE:.0f} %",
        "% intervals; a data set on which standard training is not above chance is in no mean",
    ]
    head = f"Data set & End ({study.metric.points}) & & Operations to {100 * study.primary_level:g}\\,\\% (\\%) & "
    top = [r"\begin{tabular}{lrlrl}", r"\toprule", head + r"\\", r"\midrule"]
    return "\n".join([*said, *top, *lines, r"\bottomrule", r"\end{tabular}", ""])


def _in_percent(effect: float, low: float, high: float) -> str:
    """Return a share in per cent with its interval, in LaTeX."""
    if math.isnan(effect):
        return "--"
    texts = [signed_points(share, 1).replace("−", "-") for share in (effect, low, high) if not math.isnan(share)]
    ends = f"~[{texts[1]}, {texts[2]}]" if len(texts) > 1 else ""
    return f"${texts[0]}{ends}$"


def bibliography(provenance: dict[str, Any]) -> str:
    """Return the sources of methods, schedules, data and software in BibTeX, this program first."""
    sources = (TEMPLATES / "references.bib").read_text(encoding="utf-8")
    return "\n\n".join(filter(None, [bibtex(provenance), sources]))


def checklist(study: Study, provenance: dict[str, Any], runs: pd.DataFrame) -> Facts:
    """Return what the checklists of NeurIPS and of ACM's artefact review ask, and this study's answers.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    provenance : dict
        That of ``study.json``.
    runs : pandas.DataFrame
        The table runs.

    Returns
    -------
    list of (str, str)
    """
    failed = int((runs["status"] != OK).sum())
    clean = len(provenance["git"]) == 1 and all(git["commit"] and not git["dirty"] for git in provenance["git"])
    again = "the commands under Environment make it again, from the commit and the configuration"
    tried = ", ".join(f"{rate:g}" for rate in study.learning_rates_to_try)
    return [
        ("Are the claims those of the results?", "yes: each sentence with a number is computed from the tables"),
        (
            "Are the limits stated?",
            "yes: the answer names networks and data sets, what could not be noticed stands below it",
        ),
        ("Is the code of the results available?", _code(clean)),
        (
            "Was all run by the same code?",
            "yes" if len(provenance["code"]) == 1 else f"no: {len(provenance['code'])} fingerprints",
        ),
        ("Is the data available?", _data(study)),
        ("Are the licences of the data stated?", _licences(study)),
        ("Are all settings given?", "yes: under Methods, and as a file under Environment"),
        (
            "How were they chosen?",
            f"learning rates among {tried} where they are tuned, on validation rows; all else by the configuration"
            if tried
            else "by the configuration",
        ),
        ("Are there error bars, and of what?", _error_bars(study.seeds)),
        ("Is there a test of the claims beyond these data sets?", _beyond(len(study.panels["all"]))),
        ("Are the computing resources given?", _resources(provenance)),
        (
            "Are failed runs reported?",
            f"yes: {count(failed, 'run')} of {len(runs):,}; none is imputed",
        ),
        ("Can it be exercised (artefact: functional)?", "make try, in about a minute; make test"),
        (
            "Does it come out again (artefact: reproduced)?",
            f"that is for others to say; {again}"
            if clean
            else "not from one commit: some was run at another, or with changes that are in none",
        ),
        ("Ethics, impact, people, use of language models?", "not in the record: for the authors to answer"),
    ]


def _code(clean: bool) -> str:
    """Return whether the code can be had, and where, as far as the repository's citation says it."""
    citation = yaml.safe_load(CITATION.read_text(encoding="utf-8")) if CITATION.exists() else {}
    address, archive = citation.get("repository-code"), citation.get("doi")
    if not clean:
        return "not wholly: some was run at several commits, or with changes that are in none"
    if not address:
        return "not yet: all was run at one commit without changes, but CITATION.cff names no repository-code"
    return f"yes: {address}, all at one commit without changes; archived: {archive or 'no, CITATION.cff names no doi'}"


def _data(study: Study) -> str:
    """Return whether the data sets can be had, and how they are known again."""
    files = [name for name in study.datasets if paths_of(study.sources.get(name, {}))]
    kinds = sorted({source["kind"] for name, source in study.sources.items() if name in study.datasets})
    said = f"not wholly: {listed(files)} from files of the configuration" if files else "yes"
    return (
        f"{said}: {count(len(study.datasets), 'data set')} (kinds of source: {', '.join(kinds)}); the SHA-256 of each "
        "is in tables/packs.csv"
    )


def _licences(study: Study) -> str:
    """Return of how many data sets the licence is known."""
    known = sum(not licence.startswith("not known") for *_, licence in data_sets(study))
    total = len(study.datasets)
    stated = "yes" if known == total else f"of {known} of {count(total, 'data set')}; those of the others are not known"
    return f"{stated}: see origin and licence of each under Methods"


def _error_bars(seeds: int) -> str:
    """Return what the intervals are of, or that there is none."""
    if seeds < FEWEST_PAIRS:
        return f"no: an interval takes {FEWEST_PAIRS} seeds, and there are {seeds}"
    return (
        f"{100 * CONFIDENCE:.0f} % intervals of {RESAMPLES:,} resamples of seeds within data sets: split, initial "
        f"weights and order of batches, {count(seeds, 'seed')} each"
    )


def _beyond(datasets: int) -> str:
    """Return whether data sets like these are spoken of, and whether so many can be significant."""
    if datasets == 1:
        return "no: it is one data set"
    smallest = smallest_signed_rank_p_value(datasets)
    limit = f"; of so few, the smallest p-value there can be is {smallest:.2g}" if smallest > 1 - CONFIDENCE else ""
    return f"yes: the data set as the unit, page statistics{limit}"


def _resources(provenance: dict[str, Any]) -> str:
    """Return what training took, and on what."""
    hours = {name: provenance[f"{name}_seconds"] / 3600 for name in ("wall", "cpu")}
    return (
        f"of training: {hours['wall']:.2f} hours of jobs ({hours['cpu']:.2f} CPU hours), "
        f"{provenance['peak_memory_mib']:.0f} MiB at most in one, {', '.join(provenance['device_name'])}; tuning, "
        "timing and tables are in the folder benchmarks"
    )
