"""The description of a study as an RO-Crate: it validates, and its hashes and values are those of the files."""

import importlib.resources
import json
import shutil
from pathlib import Path

import pytest
import requests
import rocrate
from altfreeze.report.crate import write_crate
from altfreeze.study.grid import load, load_schema
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file
from rocrate_validator.models import Severity
from rocrate_validator.services import ValidationSettings, validate
from rocrate_validator.utils.http import HttpRequester

ROOT = Path(__file__).parents[2]
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
    """A folder that looks like a finished study of one data set of the user's."""
    monkeypatch.chdir(tmp_path)
    Path("mine.csv").write_text("a,b\n1,x\n")
    Path("mine.yaml").write_text(
        "datasets: [mine]\nsources: {mine: {kind: csv, path: mine.csv, target: b}}\nstudy: mine\n"
    )
    study = load("mine.yaml")
    results = tmp_path / "results"
    files = {
        "answer.txt": "Undecided: nothing was run.\n",
        "report.html": "<!DOCTYPE html>\n",
        "data/mine.json": "{}\n",
        "runs/mine/depth6/standard/configured/seeds0-9.csv": "seed\n",
        "runs/mine/depth6/standard/configured/.seeds0-9.csv.1.tmp": "half",
        "tables/runs.csv": "a\n",
        "tables/study.json": json.dumps(
            {"config": study, "provenance": {"git": [{"commit": "c0ffee", "dirty": True}]}}
        ),
        "logs/collect.log": "",
    }
    for name, text in files.items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text(text)
    return study, results


def entities(results):
    graph = json.loads((results / "ro-crate-metadata.json").read_text())["@graph"]
    return {entity["@id"]: entity for entity in graph}


def test_it_validates_as_a_workflow_run_crate(finished, offline):
    study, results = finished
    write_crate(study, results, ROOT)
    settings = ValidationSettings(
        rocrate_uri=str(results),
        profile_identifier="workflow-run-crate",
        requirement_severity=Severity.REQUIRED,
    )
    result = validate(settings)
    assert len(result.executed_checks) > 50
    assert [(issue.check.identifier, issue.message) for issue in result.get_issues()] == []


def test_a_crate_without_its_run_does_not_validate(finished, offline):
    study, results = finished
    write_crate(study, results, ROOT)
    path = results / "ro-crate-metadata.json"
    path.write_text(path.read_text().replace('"CreateAction"', '"Thing"'))
    settings = ValidationSettings(rocrate_uri=str(results), profile_identifier="workflow-run-crate")
    assert not validate(settings).passed()


def test_every_file_of_the_study_and_of_the_code_is_there_with_its_hash(finished):
    study, results = finished
    write_crate(study, results, ROOT)
    found = entities(results)
    described = {name for name, entity in found.items() if "File" in entity["@type"]}
    there = {path.relative_to(results).as_posix() for path in results.rglob("*") if path.is_file()}
    hidden = {"runs/mine/depth6/standard/configured/.seeds0-9.csv.1.tmp"}
    assert described == there - hidden - {"ro-crate-metadata.json", "logs/collect.log"}
    for name in described:
        assert found[name]["sha256"] == sha256_of_file(results / name)
        assert found[name]["contentSize"] == str((results / name).stat().st_size)
    made = {entity["@id"] for entity in found["#run"]["result"]}
    assert made == {name for name in described if not name.startswith("code/")}
    assert (results / "code/Snakefile").read_bytes() == (ROOT / "Snakefile").read_bytes()


def test_every_key_of_the_configuration_and_the_users_data_are_its_inputs(finished):
    study, results = finished
    write_crate(study, results, ROOT)
    found = entities(results)
    inputs = [found[entity["@id"]] for entity in found["#run"]["object"]]
    values = {entity["name"]: entity["value"] for entity in inputs if entity["@type"] == "PropertyValue"}
    assert set(values) == set(load_schema()["properties"])
    assert (values["study"], values["datasets"]) == ("mine", '["mine"]')
    (source,) = [entity for entity in inputs if entity["@type"] == "CreativeWork"]
    assert (source["name"], source["sha256"]) == ("mine.csv", sha256_of_file("mine.csv"))


def test_the_same_study_gives_the_same_bytes(finished):
    study, results = finished
    write_crate(study, results, ROOT)
    first = (results / "ro-crate-metadata.json").read_bytes()
    write_crate(study, results, ROOT)
    assert (results / "ro-crate-metadata.json").read_bytes() == first


def test_a_folder_without_the_workflow_is_refused_in_one_line(finished, tmp_path):
    study, results = finished
    with pytest.raises(InputError, match="holds no Snakefile"):
        write_crate(study, results, tmp_path)


def test_a_folder_without_a_study_is_refused_in_one_line(finished):
    study, results = finished
    shutil.rmtree(results / "tables")
    with pytest.raises(InputError, match=r"study\.json: not the study's record"):
        write_crate(study, results, ROOT)
