"""What a paper on a study needs: its main table, its sources, and answers to checklists of reproducibility."""

import math
from typing import Any

import pandas as pd

from altfreeze.report.answer.first import primary_row
from altfreeze.report.failures import OK
from altfreeze.report.methods import Facts, bibtex, escaped
from altfreeze.report.templates import TEMPLATES
from altfreeze.report.words import count, signed_points
from altfreeze.statistics.paired import CONFIDENCE, RESAMPLES
from altfreeze.study.grid import Study


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
        For the packages booktabs and amsmath: the end in points and the operations to the target in per cent, strategy
        against reference, each with its interval and its verdict.
    """
    lines = []
    for dataset in [*study.datasets, *study.panels]:
        end, time = (primary_row(study, endpoints, endpoint, dataset) for endpoint in ("end", "time"))
        if dataset in study.panels:
            lines.append(r"\midrule")
        more = _in_percent(time.effect - 1, time.low - 1, time.high - 1, 0)
        name = f"mean of {dataset}" if dataset in study.panels else dataset
        cells = [escaped(name), _in_percent(end.effect, end.low, end.high, 1), end.verdict, more, time.verdict]
        lines.append(" & ".join(cells) + r" \\")
    head = f"Data set & End ({study.metric.points}) & & Operations to {100 * study.primary_level:g}\\,\\% (\\%) & "
    return "\n".join([r"\begin{tabular}{lrlrl}", r"\toprule", head + r"\\", r"\midrule", *lines]) + (
        "\n\\bottomrule\n\\end{tabular}\n"
    )


def _in_percent(effect: float, low: float, high: float, places: int) -> str:
    """Return a share in per cent with its interval, in LaTeX."""
    if math.isnan(effect):
        return "--"
    texts = [signed_points(share, places).replace("−", "-") for share in (effect, low, high) if not math.isnan(share)]
    ends = f" [{texts[1]}, {texts[2]}]" if len(texts) > 1 else ""
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
    clean = all(git["commit"] and not git["dirty"] for git in provenance["git"])
    one_code = len(provenance["code"]) == 1
    kinds = sorted({source["kind"] for source in study.sources.values()})
    hours, memory = provenance["cpu_seconds"] / 3600, provenance["peak_memory_mib"]
    resources = f"yes: {hours:.2f} CPU hours, {memory:.0f} MiB at most in a job, {', '.join(provenance['device_name'])}"
    tried = ", ".join(f"{rate:g}" for rate in study.learning_rates_to_try)
    return [
        ("Are the claims those of the results?", "yes: each sentence with a number is computed from the tables"),
        (
            "Is the code of the results available?",
            "yes: all was run at a commit without changes"
            if clean and len(provenance["git"]) == 1
            else "not wholly: some was run at several commits, or with changes that are in none",
        ),
        ("Was all run by the same code?", "yes" if one_code else f"no: {len(provenance['code'])} fingerprints"),
        (
            "Is the data available?",
            f"yes: {count(len(study.datasets), 'data set')} (kinds of source: {', '.join(kinds)}); the SHA-256 of each "
            "is in tables/packs.csv, origin and licence as far as known under Methods",
        ),
        ("Are all settings given?", "yes: under Methods, and as a file under Environment"),
        (
            "How were they chosen?",
            f"learning rates among {tried} where they are tuned, on validation rows; all else by the configuration"
            if tried
            else "by the configuration",
        ),
        (
            "Are there error bars, and of what?",
            f"{100 * CONFIDENCE:.0f} % intervals of {RESAMPLES:,} resamples of seeds within data sets: split, initial "
            f"weights and order of batches, {count(study.seeds, 'seed')} each",
        ),
        ("Is there a test of the claims beyond these data sets?", "yes: the data set as the unit, page statistics"),
        ("Are the computing resources given?", resources),
        ("Are failed runs reported?", f"yes: {count(failed, 'run')} of {len(runs):,}; none is imputed"),
        ("Can it be exercised (artefact: functional)?", "make try, in about a minute; make test"),
        (
            "Does it come out again (artefact: reproduced)?",
            "the commands under Environment make it again, from the commit and the configuration",
        ),
    ]
