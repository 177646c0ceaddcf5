"""A log or manifest that is damaged, or another study's, is refused in a line that names it."""

import json

import pytest
from altfreeze.support.errors import InputError
from altfreeze.support.files import sha256_of_file
from altfreeze.tables.collect import collect
from altfreeze.tables.logs import RUN_FACTS
from builders import (
    RESULTS_CONFIG,
    RESULTS_STUDY,
    change_json,
    change_text,
    make_study,
    results_workload,
    write_results,
)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: None, "missing"),
        (lambda text: "", "SHA-256"),
        (lambda text: text.replace("0.5", "0.6", 1), "SHA-256"),
    ],
)
def test_damaged_gradient_flow_stops_the_collection(tmp_path, damage, words):
    study = make_study(**RESULTS_CONFIG | {"gradient_flow": True, "datasets": ["iris"]})
    results = write_results(tmp_path / "results", study)
    path = results / "runs" / "iris" / "depth4" / "random_half" / "primary" / "seeds3-5.flow.csv"
    text = damage(path.read_text())
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        collect(study, results, results / "tables")
    assert str(path) in str(caught.value)
    assert all(map(str.isprintable, caught.value.args))


def change_log(log, change):
    lines = log.read_text().splitlines()
    log.write_text("\n".join(change(lines)) + "\n")
    change_json(log.with_suffix(".json"), log_sha256=sha256_of_file(log))


def move_a_row(lines):
    return [*lines[:-1], lines[-1].replace("5,3,", "5,2.5,", 1)]


def decide_otherwise(log):
    phases = [{"layers": "1-4", "for": 2.0}, {"layers": "2-4", "for": 1.0}]
    change_json(
        log.with_suffix(".json"), decided={"name": "phases", "phases": phases, "unit": "epoch", "repeat": False}
    )


def state_less_work(log):
    change_json(log.with_suffix(".json"), workload=results_workload(4)._replace(rows=95)._asdict())


def state_no_work(log):
    change_json(log.with_suffix(".json"), workload={"sizes": 3})


@pytest.mark.parametrize(
    ("damage", "named", "words"),
    [
        (lambda log: log.unlink(), "seeds3-5.csv", "missing"),
        (lambda log: log.with_suffix(".json").unlink(), "seeds3-5.json", "missing"),
        (
            lambda log: change_text(log, lambda text: text.replace("0.8", "0.9", 1)),
            "seeds3-5.csv",
            "the log was changed",
        ),
        (lambda log: change_text(log, lambda text: text[:-20]), "seeds3-5.csv", "the log was changed"),
        (lambda log: change_log(log, lambda lines: [*lines[:-1], lines[1]]), "seeds3-5.csv", "epoch 1 stands twice"),
        (lambda log: change_log(log, lambda lines: lines[:-1]), "seeds3-5.csv", "8 rows, but its manifest says 9"),
        (lambda log: change_log(log, move_a_row), "seeds3-5.csv", "its rows are not those"),
        (lambda log: log.with_suffix(".json").write_text("{"), "seeds3-5.json", "not a manifest"),
        (lambda log: log.with_suffix(".json").write_text("[]"), "seeds3-5.json", "not a manifest"),
        (lambda log: change_json(log.with_suffix(".json"), seeds=[0, 1]), "seeds3-5.json", "seeds is not what"),
        (lambda log: change_json(log.with_suffix(".json"), cell={}), "seeds3-5.json", "cell is not what"),
        (lambda log: change_json(log.with_suffix(".json"), data_sha256=""), "seeds3-5.json", "data_sha256 is not"),
        (decide_otherwise, "seeds3-5.json", "decided is not that of the packs before"),
        (state_less_work, "seeds3-5.json", "workload is not that of the packs before"),
        (state_no_work, "seeds3-5.json", "workload is none"),
        (lambda log: change_json(log.with_suffix(".json"), decided={"name": "x"}), "seeds3-5.json", "decided no plan"),
        (lambda log: change_json(log.with_suffix(".json"), decided="all"), "seeds3-5.json", "decided no plan"),
    ],
)
def test_damage_stops_the_collection_with_a_line_that_names_the_file(results, damage, named, words):
    log = results / "runs" / "wine" / "depth4" / "standard" / "primary" / "seeds3-5.csv"
    damage(log)
    with pytest.raises(InputError) as caught:
        collect(RESULTS_STUDY, results, results / "tables")
    message = str(caught.value)
    assert all(map(str.isprintable, caught.value.args))
    assert str(log.with_name(named)) in message
    assert words in message
    assert [path.name for path in (results / "tables").iterdir()] == ["timing.csv"]


@pytest.mark.parametrize("name", RUN_FACTS)
def test_a_manifest_without_a_fact_is_named(results, name):
    path = results / "runs" / "wine" / "depth4" / "standard" / "primary" / "seeds3-5.json"
    content = json.loads(path.read_text())
    del content[name]
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"seeds3-5\.json: .*run snakemake again"):
        collect(RESULTS_STUDY, results, results / "tables")
