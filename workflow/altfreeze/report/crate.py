"""Describe a finished study as a Workflow Run RO-Crate: inputs, code, parameters, software, outputs, all hashed."""

import json
import mimetypes
import re
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from rocrate.model import ComputationalWorkflow, ContextEntity, File
from rocrate.rocrate import ROCrate

from altfreeze.study.grid import Study, tuning_file
from altfreeze.study.schema import keys
from altfreeze.study.sources import paths_of
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file, write_json
from altfreeze.support.provenance import commit_in_words
from altfreeze.version import VERSION

METADATA = "ro-crate-metadata.json"
# named as folders, without what lies in them
FOLDERS = {"logs": "What every job printed.", "benchmarks": "Seconds and memory of every job."}
# the part of a checkout that decides what a study makes, copied into the crate
CODE = (
    *("Snakefile", "workflow", "config", "profiles", "slurm", "environment.yml", "requirements.txt", "pyproject.toml"),
    *("README.md", "LICENSE", "CITATION.cff"),
)
LICENSE = "https://spdx.org/licenses/MIT"
# RO-Crate 1.1 has no term of its own for a hash
_SHA256 = "https://w3id.org/ro/terms/workflow-run#sha256"
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
_ENCODINGS = {
    ".parquet": "application/vnd.apache.parquet",
    ".ipynb": "application/x-ipynb+json",
    ".npz": "application/zip",
    ".md": "text/markdown",
}
# hidden files, half-written ones among them, and what Python and pip leave
_BYPRODUCT = re.compile(r"(^|/)\.|__pycache__|\.egg-info")
# schema.org's names of the types of the configuration
_TYPES = {"integer": "Integer", "number": "Float", "string": "Text", "boolean": "Boolean"}


def write_crate(study: Study, results: Path, files: Sequence[Path], checkout: Path) -> None:
    """Write ``ro-crate-metadata.json`` into the folder of results, and the code that made them beside it, to ``code``.

    Profile: Workflow Run Crate 0.5 (https://w3id.org/ro/wfrun/workflow/0.5) on RO-Crate 1.1.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    results : pathlib.Path
        Folder of the finished study, with its report.
    files : sequence of pathlib.Path
        What the study made there, beside its data sets, packs and tunings: the report, tables and pages.
    checkout : pathlib.Path
        Folder of the workflow, with the Snakefile.

    Raises
    ------
    InputError
        If a file of the study is missing or lies elsewhere, or the checkout has no Snakefile.
    """
    if not (checkout / "Snakefile").is_file():
        raise InputError(f"{checkout}: holds no Snakefile; allowed: the folder of the workflow")
    record = results / "tables" / "study.json"
    try:
        provenance = json.loads(record.read_text(encoding="utf-8"))["provenance"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{record}: not the study's record: {type(error).__name__}: {error}") from None
    outputs = _made(study, results, files)
    _copy_code(checkout, results / "code")
    times = sorted(path.stat().st_mtime for path in outputs)
    first, last = (datetime.fromtimestamp(time, UTC).isoformat(timespec="seconds") for time in (times[0], times[-1]))

    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms["sha256"] = _SHA256
    crate.root_dataset["conformsTo"] = [
        crate.add(ContextEntity(crate, url, {"@type": "CreativeWork", "name": name, "version": version}))
        for url, (name, version) in _PROFILES.items()
    ]
    crate.name = f"Alternating layer freezing: study {study.name}"
    crate.description = (results / "answer.txt").read_text(encoding="utf-8").strip()
    crate.datePublished = last
    licence = {"name": "MIT License", "description": "The licence of the workflow and its results."}
    crate.license = crate.add(ContextEntity(crate, LICENSE, {"@type": "CreativeWork", **licence}))
    workflow = _add_workflow(crate, results, provenance["git"])
    values = _parameters(crate, workflow, study)
    made = [_add_file(crate, results, path) for path in outputs]
    for name, description in FOLDERS.items():
        if (results / name).is_dir():
            crate.add_dataset(dest_path=f"{name}/", properties={"name": name, "description": description})
    action = crate.add_action(
        workflow,
        "#run",
        object=[*values, *_sources(crate, study)],
        result=made,
        properties={
            "name": f"Run of the study {study.name}",
            "description": "From the first to the last file that was written.",
            "startTime": first,
            "endTime": last,
            "actionStatus": "http://schema.org/CompletedActionStatus",
        },
    )
    crate.root_dataset["mentions"] = [action]
    write_json(results / METADATA, crate.metadata.generate())


def _made(study: Study, results: Path, files: Sequence[Path]) -> list[Path]:
    """Return all files that a study made, sorted; leftovers of another study in the same folder are none of them."""
    logs = [".csv", ".json", *([".flow.csv"] if study.gradient_flow else [])]
    expected = [
        *files,
        *(results / "data" / f"{dataset}{suffix}" for dataset in study.datasets for suffix in (".npz", ".json")),
        *(results / "runs" / f"{pack.stem}{suffix}" for pack in study.packs for suffix in logs),
        *(results / tuning_file(where) for where in study.tunings),
    ]
    for path in expected:
        if not path.is_relative_to(results) or not path.is_file():
            raise InputError(f"{path}: no file of {results}; allowed: a finished study")
    return sorted(expected)


def _add_workflow(crate: ROCrate, results: Path, commits: Sequence[dict[str, Any]]) -> ComputationalWorkflow:
    """Add the copied code as the workflow of the crate, with the commits at which its packs were trained."""
    snakefile = results / "code" / "Snakefile"
    workflow = crate.add_workflow(
        snakefile,
        "code/Snakefile",
        main=True,
        lang="snakemake",
        lang_version=metadata.version("snakemake"),
        properties=_facts(snakefile),
    )
    # add_workflow names its profile as that of the file of metadata, where only RO-Crate's own belongs
    crate.metadata["conformsTo"] = {"@id": "https://w3id.org/ro/crate/1.1"}
    trained = ", ".join(
        commit_in_words(git) if git["commit"] is None else git["commit"] + (" with changes" if git["dirty"] else "")
        for git in commits
    )
    workflow["name"] = "altfreeze"
    workflow["description"] = f"The workflow as it was when the results were described. Trained at commit: {trained}."
    workflow["version"] = VERSION
    workflow["license"] = crate.license
    others = [path for path in code_files(results / "code") if path != Path("Snakefile")]
    workflow["hasPart"] = [_add_file(crate, results, results / "code" / path) for path in others]
    workflow["softwareRequirements"] = _software(crate)
    return workflow


def code_files(checkout: Path) -> list[Path]:
    """Return the files of the workflow that the crate copies, relative to its folder; none hidden or half written.

    Parameters
    ----------
    checkout : pathlib.Path
        Folder of the workflow.

    Returns
    -------
    list of pathlib.Path
    """
    found = [
        path.relative_to(checkout)
        for name in CODE
        for path in ([checkout / name] if (checkout / name).is_file() else sorted((checkout / name).rglob("*")))
        if path.is_file()
    ]
    return [path for path in found if not _BYPRODUCT.search(path.as_posix())]


def _copy_code(checkout: Path, target: Path) -> None:
    """Put the code of a checkout where the crate has it, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".code-") as folder:
        for path in code_files(checkout):
            copy = Path(folder, "code", path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(checkout / path, copy)
        shutil.rmtree(target, ignore_errors=True)
        Path(folder, "code").rename(target)


def _facts(path: Path) -> dict[str, str]:
    """Return what the crate says of a file's content."""
    encoding = _ENCODINGS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
    return {"contentSize": str(path.stat().st_size), "sha256": sha256_of_file(path), "encodingFormat": encoding}


def _add_file(crate: ROCrate, results: Path, path: Path) -> File:
    name = path.relative_to(results).as_posix()
    return crate.add_file(path, name, properties={"name": name, **_facts(path)})


def _parameters(crate: ROCrate, workflow: ComputationalWorkflow, study: Study) -> list[ContextEntity]:
    """Add every key of the configuration as a parameter of the workflow, and return their values."""
    values = []
    for key, part in keys().items():
        text = (
            study.config[key] if isinstance(study.config[key], str) else json.dumps(study.config[key], sort_keys=True)
        )
        parameter = crate.add_formal_parameter(
            key,
            _TYPES.get(str(part.get("type")), "Text"),
            f"#parameter-{key}",
            description=part["description"],
        )
        value = crate.add(
            ContextEntity(
                crate,
                f"#value-{key}",
                {"@type": "PropertyValue", "name": key, "value": text, "exampleOfWork": {"@id": parameter.id}},
            )
        )
        parameter["workExample"] = value
        workflow.append_to("input", parameter)
        values.append(value)
    return values


def _sources(crate: ROCrate, study: Study) -> list[ContextEntity]:
    """Add the user's data files, which lie outside of the crate, by name and hash."""
    paths = sorted({path for name in study.datasets for path in paths_of(study.sources[name])})
    return [
        crate.add(
            ContextEntity(
                crate,
                f"#source-{number}",
                {"@type": "CreativeWork", "name": path, "sha256": sha256_of_file(path)},
            )
        )
        for number, path in enumerate(paths, 1)
    ]


def _software(crate: ROCrate) -> list[ContextEntity]:
    """Add every installed distribution."""
    found = {distribution.metadata["Name"]: distribution.version for distribution in metadata.distributions()}

    def application(name: str) -> ContextEntity:
        url = f"https://pypi.org/project/{name}/{found[name]}/"
        facts = {"@type": "SoftwareApplication", "name": name, "softwareVersion": found[name], "url": url}
        return crate.add(ContextEntity(crate, url, facts))

    return [application(name) for name in sorted(found, key=str.lower)]
