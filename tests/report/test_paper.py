"""What a paper needs: the main table, the sources and the checklist, from made tables."""

import json
import re

import pandas as pd
import pytest
from altfreeze.report import paper
from altfreeze.report.answer.first import primary_row
from builders import make_endpoints, make_runs, make_small_study, make_tables


@pytest.fixture
def provenance(tmp_path):
    make_tables(tmp_path, make_small_study())
    return json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))["provenance"]


def test_the_main_table_has_both_endpoints_of_each_data_set_and_of_all():
    study = make_small_study()
    endpoints = make_endpoints(study)
    text = paper.main_table(study, endpoints)
    rows = [
        line.removesuffix(r" \\").split(" & ")
        for line in text.splitlines()
        if line.startswith(("iris", "wine", "mean"))
    ]
    assert [row[0] for row in rows] == ["iris", "wine", "mean of all"]
    for name, row in zip(["iris", "wine", "all"], rows, strict=True):
        end, time = (primary_row(study, endpoints, endpoint, name) for endpoint in ("end", "time"))
        assert row[2::2] == [end.verdict, time.verdict]
        shown = [float(number) for number in re.findall(r"[-+]?\d+\.?\d*", row[1])]
        assert shown == pytest.approx([100 * end.effect, 100 * end.low, 100 * end.high], abs=0.051)
        assert float(row[3].strip("$").split()[0]) == pytest.approx(100 * (time.effect - 1), abs=0.51)
    assert text.count(r"\midrule") == 2


def test_the_sources_are_entries_of_bibtex_of_different_names(provenance):
    text = paper.bibliography(provenance)
    names = re.findall(r"^@\w+\{(\w+),", text, re.MULTILINE)
    assert names[0] == "altfreeze"
    assert len(set(names)) == len(names) == text.count("\n@") + 1
    assert text.count("{") == text.count("}")


def test_the_checklist_says_what_the_record_says(provenance):
    study = make_small_study()
    runs = make_runs(study)
    runs.loc[0, "status"] = "diverged"
    answers = dict(paper.checklist(study, provenance, runs))
    assert answers["Are failed runs reported?"] == f"yes: 1 run of {len(runs)}; none is imputed"
    assert answers["Is the code of the results available?"].startswith("not wholly")
    assert answers["Was all run by the same code?"] == "yes"
    clean = provenance | {"git": [{"commit": "a" * 40, "dirty": False}], "code": ["a", "b"]}
    answers = dict(paper.checklist(study, clean, pd.DataFrame(runs)))
    assert answers["Is the code of the results available?"].startswith("yes")
    assert answers["Was all run by the same code?"] == "no: 2 fingerprints"
