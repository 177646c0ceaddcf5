"""What was run, how, where and with what, in a scientist's words, and how to cite it; all from the study's record."""

import base64
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from altfreeze.data.split import TEST_SHARE, VALIDATION_SHARE
from altfreeze.freezing.strategy import STRATEGIES, in_words
from altfreeze.report.blocks.cells import shorter_trainings
from altfreeze.report.failures import OK
from altfreeze.report.words import count, listed, margin_in_words, reference_in_words
from altfreeze.statistics.paired import CONFIDENCE, FEWEST_PAIRS, RESAMPLES
from altfreeze.study.consistency import NORMALISATIONS
from altfreeze.study.grid import Study
from altfreeze.study.keel import PACKAGE, VERSION
from altfreeze.study.recipes import unread
from altfreeze.study.sources import MADE, SHIPPED, fixes_test_part, origin_of
from altfreeze.support.errors import InputError
from altfreeze.support.provenance import commit_in_words
from altfreeze.vocabulary import EQUAL_BUDGETS

# name and text of an entry of a list
Facts = list[tuple[str, str]]

# of the repository that the package stands in
CITATION = Path(__file__).parents[3] / "CITATION.cff"
_OPTIMIZERS = {"sgd": "stochastic gradient descent", "adam": "Adam", "adamw": "AdamW", "muon": "Muon with AdamW"}
_SCHEDULES = {"constant": "constant", "cosine": "decaying to zero by a cosine over each strategy's own budget"}
# a timing of one thread is alone with at least this share of a core, and beside at most so many busy ones
_ALONE_SHARE, _OTHERS_AT_MOST = 0.9, 0.5
_ON_THAW = {
    "keep": "was what it had been when the group froze",
    "reset": "was empty, as at the beginning",
    "decay": "was what gradients of zero would have made of it",
}


def headline(study: Study, provenance: dict[str, Any], runs: pd.DataFrame) -> Facts:
    """Return grid, budget, machine and commit in few words.

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
    variations = f", and {count(len(study.variations), 'variation')}" if study.variations else ""
    ended = (runs["status"] == OK).sum()
    return [
        (
            "Grid",
            f"{count(len(study.datasets), 'data set')} × {count(len(study.depths), 'depth')} × "
            f"{count(len(study.strategies), 'strategy', 'strategies')} × {count(study.seeds, 'seed')}{variations}: "
            f"{count(len(runs), 'run')}, {'all' if ended == len(runs) else f'{ended:,}'} of which ended well",
        ),
        ("Budget", f"{_epochs(study)}; compared at {EQUAL_BUDGETS[study.primary_budget].words}"),
        (
            "Machine",
            f"{_machine(provenance)}, {provenance['training_seconds']:.0f} s of training"
            f"{', ' + _dates(provenance) if _dates(provenance) else ''}",
        ),
        ("Commit", "; ".join(_commits(provenance, 12))),
    ]


# how the text begins
_NETWORKS = {"mlp": "Multilayer perceptrons", "cnn": "Convolutional networks", "resnet": "Residual networks"}
_NETWORKS |= {"transformer": "Transformers"}
_NORMALISATIONS = {"none": "no normalisation", "batch": "batch normalisation", "layer": "layer normalisation"}


def _network_in_words(study: Study) -> str:
    """Return what the configuration says of the network beside its name and depth."""
    normalises = f"normalisation {study.normalisation}, " if study.network in NORMALISATIONS else ""
    moves = "frozen_normalisation" not in unread(study.config)
    frozen = f"frozen layers as in {study.frozen_normalisation}, " if moves else ""
    return f"width {study.width}, {normalises}{frozen}dropout {study.dropout:g}"


def facts(study: Study, runs: int) -> Facts:
    """Return what was run: one entry for each part of the configuration, and the number of runs."""
    momentum = f", momentum {study.momentum:g}" if study.optimizer == "sgd" else ""
    earlier = shorter_trainings(study)
    stop = f"; {listed(earlier)} stop{'s' if len(earlier) == 1 else ''} earlier" if earlier else ""
    return [
        ("Study", f"{study.name}, seed {study.seed}"),
        ("Data sets", ", ".join(study.datasets)),
        ("Depths", ", ".join(map(str, study.depths))),
        ("Freeze ratios", ", ".join(f"{ratio:g}" for ratio in study.freeze_ratios)),
        (
            "Seeds",
            f"{study.seeds:,} in each cell, {count(runs, 'run')}; {study.calibration_seeds:,} more of standard "
            "training for calibration at each data set and depth",
        ),
        ("Strategies", ", ".join(study.strategies)),
        ("Epochs", f"{_epochs(study)}{stop}"),
        ("Network", f"{study.network}, {_network_in_words(study)}"),
        (
            "Optimizer",
            f"{study.optimizer}, learning rate {study.learning_rate} ({study.learning_rate_schedule}), "
            f"weight decay {study.weight_decay:g}{momentum}, batches of {study.batch_size}",
        ),
        (
            "Freezing",
            f"phases of {count(study.freeze_period, study.freeze_unit)}, the {study.first_to_learn} learns "
            f"first; optimizer state on thaw: {study.state_on_thaw}; activation cache: {study.cache_activations}",
        ),
    ]


def read_provenance(tables: Path | str) -> dict[str, Any]:
    """Return where and with what a study was run.

    Parameters
    ----------
    tables : path
        Folder of a finished study's tables, with ``study.json``.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    path = Path(tables) / "study.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))["provenance"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the study's record: {type(error).__name__}: {error}") from None


def not_alone(provenance: dict[str, Any]) -> str:
    """Return a sentence that the seconds were not measured alone, by how much, and how to do it again; else nothing.

    Parameters
    ----------
    provenance : dict
        That of ``study.json``.

    Returns
    -------
    str
        Empty where nothing was measured, and on a GPU, for which the process waits.
    """
    timing = provenance.get("timing") or {}
    if timing.get("device") != "cpu":
        return ""
    share, others = timing["cpu_share"], timing["others"]
    if share >= _ALONE_SHARE and (others or 0) <= _OTHERS_AT_MOST:
        return ""
    beside = "" if others is None else f", while others kept {others:.1f} cores busy"
    return (
        f"The seconds were not measured alone: timing computed in {100 * share:.0f} % of the time that passed{beside}. "
        "Measure them again on a quiet machine: give the command of the study again with --forcerun timing."
    )


def environment(provenance: dict[str, Any]) -> Facts:
    """Return where and with what it was run, from the provenance of ``study.json``."""
    return [
        ("Machine", _machine(provenance)),
        *([("Date", _dates(provenance))] if _dates(provenance) else []),
        ("Versions", _versions(provenance)),
        ("Commit", "; ".join(_commits(provenance))),
        ("Code", f"fingerprint of what decides the numbers: {', '.join(provenance['code'])}"),
        ("Jobs", f"{count(provenance['packs'], 'pack')} of seeds trained together"),
        (
            "Spent",
            f"{provenance['training_seconds']:.0f} s of training, {provenance['wall_seconds']:.0f} s with start and "
            f"evaluation, {provenance['cpu_seconds']:.0f} CPU seconds; sums over jobs, some of which ran side by side",
        ),
        ("Memory", f"{provenance['peak_memory_mib']:.0f} MiB at most in one job"),
        *([("Timing", not_alone(provenance))] if not_alone(provenance) else []),
    ]


def repeat(study: Study, provenance: dict[str, Any]) -> dict[str, str]:
    """Return the configuration as text and as a link to itself, and the commands that make the study again."""
    text = json.dumps(study.config, indent=2, ensure_ascii=False) + "\n"
    name = re.sub(r"[^\w.-]+", "_", study.name) + ".json"
    commit = _commit(provenance)
    commands = [f"git checkout {commit}"] if commit else []
    return {
        "configuration": text,
        "href": f"data:application/json;base64,{base64.b64encode(text.encode()).decode()}",
        "name": name,
        "commands": "\n".join([*commands, f"snakemake --cores all --configfile {name}"]),
    }


def data_sets(study: Study) -> list[list[str]]:
    """Return each data set with its origin and its licence, as far as they are known."""
    rows = []
    for name in study.datasets:
        source = study.sources.get(name, {"kind": ""})
        known = origin_of(source)
        if source["kind"] in MADE:
            known = {"origin": f"made by a seeded generator: {source['kind']}", "licence": "none is needed"}
        rows.append([name, known.get("origin", "source of the configuration"), known.get("licence", "not known")])
    return rows


def _origins(study: Study) -> str:
    """Return where the data sets are from."""
    kinds = {name: study.sources.get(name, {}).get("kind") for name in study.datasets}
    keel = [name for name, kind in kinds.items() if kind == "keel"]
    made = [name for name, kind in kinds.items() if kind in MADE]
    shipped = [name for name, kind in kinds.items() if kind in SHIPPED]
    others = [name for name in kinds if name not in (*made, *shipped) and kinds[name] != "keel"]
    parts = [
        shipped and f"{listed(shipped)} from scikit-learn",
        keel and f"{listed(keel)} from the KEEL repository, as {PACKAGE} {VERSION} has them",
        others and f"{listed(others)} from sources of the configuration",
        made and f"{listed(made)} made by a seeded generator",
    ]
    return "; ".join(part for part in parts if part)


def methods(study: Study, provenance: dict[str, Any], runs: int) -> dict[str, Any]:
    """Return the values of the template ``methods.html.j2``.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    provenance : dict
        That of ``study.json``.
    runs : int
        Rows of the table runs.

    Returns
    -------
    dict of str to object
        Texts, and numbers that are no key of the configuration; the template reads the others off the study.
    """
    strategy, reference, budget = study.primary
    primary = study.strategies[strategy]
    plain = [
        label
        for label, named in study.strategies.items()
        if named | {"freeze_ratio": None} == primary | {"freeze_ratio": None}
    ]
    fixed = [name for name in study.datasets if fixes_test_part(study.sources.get(name, {}))]
    return {
        "shares": [f"{100 * share:.0f}" for share in (1 - VALIDATION_SHARE - TEST_SHARE, VALIDATION_SHARE, TEST_SHARE)],
        "networks": _NETWORKS.get(study.network, f"Networks made by {study.network}"),
        # a factory's network normalises as it likes
        "normalisation": _NORMALISATIONS[study.normalisation] if study.network in _NETWORKS else "",
        "fixed": fixed and listed(fixed),
        "origins": _origins(study),
        "depths": listed([str(depth) for depth in study.depths], "or"),
        "optimizer": _OPTIMIZERS[study.optimizer],
        "schedule": _SCHEDULES[study.learning_rate_schedule],
        "rates": listed([f"{rate:g}" for rate in study.learning_rates_to_try], "or")
        if study.learning_rates_to_try
        else "",
        "variations": listed(list(study.recipes)[1:]) if study.variations else "",
        "variation_seeds": len(study.seeds_of(list(study.recipes)[-1])),
        "epochs": _epochs(study),
        "shorter": listed(shorter_trainings(study)) if shorter_trainings(study) else "",
        "ratios": listed([f"{study.strategies[label]['freeze_ratio']:g}" for label in plain], "or"),
        "phase": count(primary["period"], primary["unit"]),
        "first": primary["first"],
        "on_thaw": _ON_THAW[study.state_on_thaw],
        "others": [
            (label, _rule(named, primary))
            for label, named in study.strategies.items()
            if label not in ("standard", *plain)
        ],
        "runs": runs,
        "budgets": listed([budget.words for budget in EQUAL_BUDGETS.values()], "or"),
        "strategy": strategy,
        "against": reference_in_words(study.strategies[reference]["name"], budget),
        "confidence": f"{100 * CONFIDENCE:.0f}",
        "resamples": RESAMPLES,
        "fewest_pairs": FEWEST_PAIRS,
        "margin": margin_in_words(study.equivalence_margin, study.metric),
        "cost_margin": f"{100 * study.cost_margin:g} %",
        "timing_width": f"{100 * study.timing_width:g} %",
        "levels": listed([f"{100 * level:g}" for level in study.target_levels], "or"),
        "not_alone": not_alone(provenance),
        "machine": _machine(provenance),
        "versions": _versions(provenance),
        "commits": "; ".join(_commits(provenance)),
    }


def bibtex(provenance: dict[str, Any], path: Path = CITATION) -> str:
    """Return an entry of BibTeX that cites this program, as its repository says to.

    Parameters
    ----------
    provenance : dict
        That of ``study.json``: its commit is noted if there is one.
    path : pathlib.Path
        The repository's ``CITATION.cff``.

    Returns
    -------
    str
        Empty where the package stands outside of its repository.

    Raises
    ------
    InputError
        If the file cannot be read as a citation.
    """
    if not path.exists():
        return ""
    try:
        citation = yaml.safe_load(path.read_text(encoding="utf-8"))
        authors = [_author(author) for author in citation["authors"]]
        title, version = citation["title"], citation["version"]
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a citation: {type(error).__name__}: {error}") from None
    commit = _commit(provenance)
    fields = {
        "author": " and ".join(authors),
        "title": f"{{{escaped(title)}}}",
        "version": escaped(version),
        "year": str(citation.get("date-released", ""))[:4],
        "url": citation.get("repository-code", ""),
        "note": f"Commit {commit}" if commit else "",
    }
    key = re.split(r"\W", title)[0].lower()
    lines = [f"  {name} = {{{value}}}" for name, value in fields.items() if value]
    return ",\n".join([f"@misc{{{key}", *lines]) + "\n}"


def _author(author: dict[str, str]) -> str:
    """Return a person as family and given names, and an entity in braces, so that it is not taken apart."""
    if "family-names" in author:
        return ", ".join(escaped(author[name]) for name in ("family-names", "given-names") if name in author)
    return f"{{{escaped(author['name'])}}}"


def escaped(text: Any) -> str:
    """Return text without what TeX takes for a command."""
    commands = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return re.sub(r"[\\~^&%$#_{}]", lambda found: commands.get(found[0], f"\\{found[0]}"), str(text))


def _rule(named: dict[str, Any], primary: dict[str, Any]) -> str:
    """Return what a strategy does, the first line of its documentation, and what it has not from the primary one."""
    line = (inspect.getdoc(STRATEGIES[named["name"]].schedule) or "").partition("\n")[0]
    line = line.removeprefix("Control: ").removesuffix(".").replace("`", "")
    own = {name: value for name, value in named.items() if name != "name" and primary.get(name) != value}
    return "; ".join([line[:1].lower() + line[1:], *filter(None, [in_words(own)])])


def _epochs(study: Study) -> str:
    standard, others = study.epochs_standard, study.epochs_alternating
    return (
        count(standard, "epoch") if standard == others else f"standard {standard}, the others {count(others, 'epoch')}"
    )


def _machine(provenance: dict[str, Any]) -> str:
    threads = " or ".join(map(str, provenance["threads"]))
    devices = f"{', '.join(provenance['device'])} ({', '.join(provenance['device_name'])})"
    return f"{count(provenance['hosts'], 'host')}, {devices}, {threads} thread{'' if threads == '1' else 's'} a job"


def _dates(provenance: dict[str, Any]) -> str:
    """Return the days of the trainings, the first and the last; empty where they were not recorded."""
    dates = provenance.get("dates", [])
    return " to ".join(dict.fromkeys([dates[0], dates[-1]])) if dates else ""


def _versions(provenance: dict[str, Any]) -> str:
    return "; ".join(
        ", ".join(f"{name} {version}" for name, version in versions.items()) for versions in provenance["versions"]
    )


def _commits(provenance: dict[str, Any], digits: int | None = None) -> list[str]:
    return [
        commit_in_words(git)
        if git["commit"] is None
        else git["commit"][:digits] + (" with changes that are not in it" if git["dirty"] else "")
        for git in provenance["git"]
    ]


def _commit(provenance: dict[str, Any]) -> str | None:
    """Return the only commit that all was run at."""
    commits = {git["commit"] for git in provenance["git"] if git["commit"]}
    return commits.pop() if len(commits) == 1 else None
