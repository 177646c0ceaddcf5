"""The description of a study as an RO-Crate: it validates, and its hashes and values are those of the files."""

import importlib.resources
import json
import shutil
from pathlib import Path

import pytest
import requests
import rocrate
from altfreeze.report.crate import code_files, write_crate
from altfreeze.study.reading import study_of
from altfreeze.study.schema import keys
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file
from builders import ROOT
from rocrate_validator.models import Severity
from rocrate_validator.services import ValidationSettings, validate
from rocrate_validator.utils.http import HttpRequester

# of a study that was run in the same folder before, and of a job that was killed
LEFT_OVER = (
    "data/other.npz",
    "notebooks/dynamics-other.html",
    "runs/mine/depth6/standard/primary/seeds0-9.csv",
    "runs/mine/depth4/standard/primary/.seeds0-9.csv.1.tmp",
)
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
# the context that comes with rocrate is that of version 1.3, which gave these terms other addresses
VERSION_1_1 = {
    "ComputationalWorkflow": "https://bioschemas.org/ComputationalWorkflow",
    "FormalParameter": "https://bioschemas.org/FormalParameter",
    "input": "https://bioschemas.org/ComputationalWorkflow#input",
    "output": "https://bioschemas.org/ComputationalWorkflow#output",
}


@pytest.fixture
def offline(monkeypatch):
    """Give the validator RO-Crate's context from this machine, and nothing else."""
    terms = json.loads(importlib.resources.files(rocrate).joinpath("data/ro-crate.jsonld").read_text("utf8"))
    terms["@context"] |= VERSION_1_1

    def get(requester, url, **options):
        response = requests.Response()
        response.url, response.status_code = url, 200 if url == CONTEXT else 404
        response.headers["Content-Type"] = "application/ld+json"
        response._content = json.dumps(terms).encode()
        return response

    monkeypatch.setattr(HttpRequester, "get", get, raising=False)


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """A folder that looks like a finished study of one data set of the user's, and what there is beside its packs."""
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("a,b\n1,x\n")
    study = study_of(
        {
            "study": "mine",
            "datasets": ["mine"],
            "depths": [4],
            "primary_depth": 4,
            "sources": {"mine": {"kind": "csv", "path": "mine.csv", "target": "b"}},
            "learning_rate": "tuned",
            "learning_rates_to_try": [0.1, 0.01],
        }
    )
    results = Path("results")
    files = {
        "answer.txt": "Undecided: nothing was run.\n",
        "report.html": "<!DOCTYPE html>\n",
        "tables/runs.csv": "a\n",
        "tables/study.json": json.dumps(
            {"config": study.config, "provenance": {"git": [{"commit": "c0ffee", "dirty": True}]}}
        ),
    }
    packs = {f"runs/{pack.stem}{suffix}": pack.seeds for pack in study.packs for suffix in (".csv", ".json")}
    packs |= {f"data/mine{suffix}": "mine" for suffix in (".npz", ".json")}
    packs |= {f"tuning/mine/depth4/{label}/primary.json": label for label in study.strategies}
    others = {name: "" for name in (*LEFT_OVER, "logs/collect.log")}
    for name, text in {**files, **packs, **others}.items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text(text)
    return study, results, [results / name for name in files]


def entities(results):
    graph = json.loads((results / "ro-crate-metadata.json").read_text())["@graph"]
    return {entity["@id"]: entity for entity in graph}


def test_it_validates_as_a_workflow_run_crate(finished, offline):
    study, results, files = finished
    write_crate(study, results, files, ROOT)
    settings = ValidationSettings(
        rocrate_uri=str(results),
        profile_identifier="workflow-run-crate",
        requirement_severity=Severity.REQUIRED,
    )
    result = validate(settings)
    assert len(result.executed_checks) > 50
    assert [(issue.check.identifier, issue.message) for issue in result.get_issues()] == []


def test_a_crate_without_its_run_does_not_validate(finished, offline):
    study, results, files = finished
    write_crate(study, results, files, ROOT)
    path = results / "ro-crate-metadata.json"
    path.write_text(path.read_text().replace('"CreateAction"', '"Thing"'))
    settings = ValidationSettings(rocrate_uri=str(results), profile_identifier="workflow-run-crate")
    assert not validate(settings).passed()


def test_every_file_of_the_study_and_of_the_code_is_there_with_its_hash(finished):
    study, results, files = finished
    write_crate(study, results, files, ROOT)
    found = entities(results)
    described = {name for name, entity in found.items() if "File" in entity["@type"]}
    there = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    assert described == there - {*LEFT_OVER, "ro-crate-metadata.json", "logs/collect.log"}
    for name in described:
        assert found[name]["sha256"] == sha256_of_file(results / name)
        assert found[name]["contentSize"] == str((results / name).stat().st_size)
    made = {entity["@id"] for entity in found["#run"]["result"]}
    assert made == {name for name in described if not name.startswith("code/")}
    assert (results / "code/Snakefile").read_bytes() == (ROOT / "Snakefile").read_bytes()
    copied = {path.relative_to(results / "code") for path in (results / "code").rglob("*") if path.is_file()}
    assert copied == set(code_files(ROOT))


def test_every_key_of_the_configuration_and_the_users_data_are_its_inputs(finished):
    study, results, files = finished
    write_crate(study, results, files, ROOT)
    found = entities(results)
    inputs = [found[entity["@id"]] for entity in found["#run"]["object"]]
    values = {entity["name"]: entity["value"] for entity in inputs if entity["@type"] == "PropertyValue"}
    assert set(values) == set(keys())
    assert (values["study"], values["datasets"]) == ("mine", '["mine"]')
    (source,) = [entity for entity in inputs if entity["@type"] == "CreativeWork"]
    assert (source["name"], source["sha256"]) == ("mine.csv", sha256_of_file("mine.csv"))


def test_the_same_study_gives_the_same_bytes(finished):
    study, results, files = finished
    write_crate(study, results, files, ROOT)
    first = (results / "ro-crate-metadata.json").read_bytes()
    write_crate(study, results, files, ROOT)
    assert (results / "ro-crate-metadata.json").read_bytes() == first


def test_a_folder_without_the_workflow_is_refused_in_one_line(finished, tmp_path):
    study, results, files = finished
    with pytest.raises(InputError, match="holds no Snakefile"):
        write_crate(study, results, files, tmp_path)


@pytest.mark.parametrize("name", ["answer.txt", "tuning/mine/depth4/standard/primary.json", "data/mine.npz"])
def test_a_study_that_lacks_a_file_is_refused_in_one_line(finished, name):
    study, results, files = finished
    (results / name).unlink()
    with pytest.raises(InputError, match=rf"{name}: no file of results; allowed: a finished study"):
        write_crate(study, results, files, ROOT)
    assert not (results / "code").exists()


def test_a_file_that_lies_elsewhere_is_refused_in_one_line(finished):
    study, results, files = finished
    with pytest.raises(InputError, match=r"mine\.csv: no file of results"):
        write_crate(study, results, [*files, Path("mine.csv")], ROOT)


def test_what_python_and_editors_leave_is_no_code(tmp_path):
    for name in ("Snakefile", "workflow/a.py", "workflow/__pycache__/a.pyc", "workflow/.a.py.swp", "other/b.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert code_files(tmp_path) == [Path("Snakefile"), Path("workflow/a.py")]


def test_a_folder_without_a_study_is_refused_in_one_line(finished):
    study, results, files = finished
    shutil.rmtree(results / "tables")
    with pytest.raises(InputError, match=r"study\.json: not the study's record"):
        write_crate(study, results, files, ROOT)
