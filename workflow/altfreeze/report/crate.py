"""Describe a finished study as a Workflow Run RO-Crate: inputs, code, parameters, software, outputs, all hashed."""

import json
import mimetypes
import re
import shutil
import tempfile
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate

from altfreeze.study.schema import keys
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file, write_json
from altfreeze.version import VERSION

METADATA = "ro-crate-metadata.json"
# what a study makes; logs and benchmarks are named as folders
OUTPUTS = ("answer.txt", "data", "figures", "notebooks", "report.html", "runs", "tables", "tuning")
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


def write_crate(study, results, checkout):
    """Write ``ro-crate-metadata.json`` into the folder of results, and the code that made them beside it, to ``code``.

    Profile: Workflow Run Crate 0.5 (https://w3id.org/ro/wfrun/workflow/0.5) on RO-Crate 1.1.

    Parameters
    ----------
    study : altfreeze.study.grid.Study
    results : path
        Folder of the finished study.
    checkout : path
        Folder of the workflow, with the Snakefile.

    Raises
    ------
    InputError
        If the folder of results is not that of a finished study, or the checkout has no Snakefile.
    """
    results, checkout = Path(results), Path(checkout)
    if not (checkout / "Snakefile").is_file():
        raise InputError(f"{checkout}: holds no Snakefile; allowed: the folder of the workflow")
    record = results / "tables" / "study.json"
    try:
        provenance = json.loads(record.read_text(encoding="utf-8"))["provenance"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{record}: not the study's record: {type(error).__name__}: {error}") from None
    _copy_code(checkout, results / "code")
    outputs = [path for name in OUTPUTS for path in _files(results / name)]
    if not outputs:
        raise InputError(f"{results}: holds no results; allowed: the folder of a finished study")
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
    crate.license = crate.add(
        ContextEntity(
            crate,
            LICENSE,
            {
                "@type": "CreativeWork",
                "name": "MIT License",
                "description": "The licence of the workflow and its results.",
            },
        )
    )
    engine = metadata.version("snakemake")
    workflow = crate.add_workflow(
        results / "code" / "Snakefile",
        "code/Snakefile",
        main=True,
        lang="snakemake",
        lang_version=engine,
        properties=_facts(results / "code" / "Snakefile"),
    )
    # add_workflow names its profile as that of the file of metadata, where only RO-Crate's own belongs
    crate.metadata["conformsTo"] = {"@id": "https://w3id.org/ro/crate/1.1"}
    commits = ", ".join(
        "no git checkout" if git["commit"] is None else git["commit"] + (" with changes" if git["dirty"] else "")
        for git in provenance["git"]
    )
    workflow["name"] = "altfreeze"
    workflow["description"] = f"The workflow as it was when the results were described. Trained at commit: {commits}."
    workflow["version"] = VERSION
    workflow["license"] = crate.license
    workflow["hasPart"] = [
        _add_file(crate, results, path) for path in _files(results / "code") if path.name != "Snakefile"
    ]
    workflow["softwareRequirements"] = _software(crate)
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


def _files(path):
    """Return a file, or all files below a folder, in the order of their names; none that is half written."""
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    return [
        part for part in found if part.is_file() and not _BYPRODUCT.search(part.relative_to(path.parent).as_posix())
    ]


def _copy_code(checkout, target):
    """Put the code of a checkout where the crate has it, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".code-") as folder:
        for name in CODE:
            for path in _files(checkout / name):
                copy = Path(folder, "code", path.relative_to(checkout))
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)
        shutil.rmtree(target, ignore_errors=True)
        Path(folder, "code").rename(target)


def _facts(path):
    """Return what the crate says of a file's content."""
    encoding = _ENCODINGS.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
    return {"contentSize": str(path.stat().st_size), "sha256": sha256_of_file(path), "encodingFormat": encoding}


def _add_file(crate, results, path):
    name = path.relative_to(results).as_posix()
    return crate.add_file(path, name, properties={"name": name, **_facts(path)})


def _parameters(crate, workflow, study):
    """Add every key of the configuration as a parameter of the workflow, and return their values."""
    values = []
    for key, part in keys().items():
        text = (
            study.config[key] if isinstance(study.config[key], str) else json.dumps(study.config[key], sort_keys=True)
        )
        parameter = crate.add_formal_parameter(
            key,
            _TYPES.get(part.get("type"), "Text"),
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


def _sources(crate, study):
    """Add the user's data files, which lie outside of the crate, by name and hash."""
    paths = sorted({study.sources[name]["path"] for name in study.datasets if "path" in study.sources[name]})
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


def _software(crate):
    """Add every installed distribution."""
    found = {distribution.metadata["Name"]: distribution.version for distribution in metadata.distributions()}

    def application(name):
        url = f"https://pypi.org/project/{name}/{found[name]}/"
        facts = {"@type": "SoftwareApplication", "name": name, "softwareVersion": found[name], "url": url}
        return crate.add(ContextEntity(crate, url, facts))

    return [application(name) for name in sorted(found, key=str.lower)]
