"""What a paper needs: the main table, the sources and the checklist, from made tables."""

import json
import re

import pandas as pd
import pytest
from altfreeze.report import paper
from altfreeze.report.answer.first import primary_row
from altfreeze.report.claims.register import read_claims
from altfreeze.report.templates import TEMPLATES
from altfreeze.study.sources import origin_of
from builders import ROOT, make_endpoints, make_runs, make_small_study, make_tables


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
        shown, longer = ([float(number) for number in re.findall(r"[-+]?\d+\.?\d*", cell)] for cell in row[1::2])
        assert shown == pytest.approx([100 * end.effect, 100 * end.low, 100 * end.high], abs=0.051)
        assert longer == pytest.approx([100 * (ratio - 1) for ratio in (time.effect, time.low, time.high)], abs=0.051)
    # what is compared, for who finds the file alone
    said = " ".join(line.removeprefix("% ") for line in text.splitlines() if line.startswith("%"))
    assert f"{study.primary_strategy} at depth {study.primary_depth} against {end.reference} at the end" in said
    assert f"against {time.reference} on the way; 95 % intervals" in said
    assert text.count(r"\midrule") == 2


def sources():
    """Return the fields of each entry of the file of sources, by key, without TeX."""
    text = (TEMPLATES / "references.bib").read_text(encoding="utf-8")
    for tex, letter in {
        r"{\o}": "ø",
        r"{\"u}": "ü",
        r"{\"e}": "ë",
        r"{\"o}": "ö",
        r"{\v s}": "š",
        r"{\l}": "ł",
    }.items():
        text = text.replace(tex, letter)
    for tex, letter in {r"\'a": "á", r"\'e": "é", r"\'u": "ú"}.items():
        text = text.replace(tex, letter)
    entries = {}
    for line in text.splitlines():
        key, fields = re.fullmatch(r"@\w+\{(\w+), (.*)\}", line).groups()
        found = re.findall(r"(\w+) = \{((?:[^{}]|\{[^{}]*\})*)\}(?:, |$)", fields)
        assert ", ".join(f"{name} = {{{value}}}" for name, value in found) == fields, key
        entries[key] = {name: re.sub("[{}]", "", value) for name, value in found}
    return entries


def addresses(entry):
    """Return the addresses at which a source is found."""
    places = {"eprint": "https://arxiv.org/abs/", "doi": "https://doi.org/", "url": ""}
    found = {place + entry[name] for name, place in places.items() if name in entry}
    # the page of a paper at its society has the same last part
    return found | {text.replace("doi.org/10.18653/v1", "aclanthology.org") for text in found}


def test_the_sources_are_those_that_the_code_and_the_claims_cite():
    files = [
        *(ROOT / "workflow" / "altfreeze").rglob("*.py"),
        ROOT / "workflow" / "claims.yaml",
        *ROOT.glob("docs/*.md"),
    ]
    text = " ".join(" ".join(file.read_text(encoding="utf-8").split()) for file in files)
    kinds = "doi.org|arxiv.org|www.jmlr.org|proceedings.mlr.press|www.jstor.org|openreview.net|aclanthology.org"
    cited = {found.rstrip(".,;:") for found in re.findall(rf"https://(?:{kinds})/[^\s)\"]+", text)}
    known = sources()
    assert cited - set().union(*map(addresses, known.values())) == set()
    # where the question and the data are from, and the software
    own = {"goodfellow2014", "paszke2019", "molder2021", "pedregosa2011", "alcala2011"}
    unused = {
        key for key, entry in known.items() if not any(place in text for place in {*addresses(entry), entry["title"]})
    }
    assert unused == own


def test_sources_and_claims_say_the_same_of_a_work():
    for claim in read_claims(ROOT / "workflow" / "claims.yaml"):
        (entry,) = (entry for entry in sources().values() if claim.address in addresses(entry))
        assert (entry["title"].lower(), entry["year"]) == (claim.title.lower(), str(claim.year))
        names = [" ".join(reversed(name.split(", "))) for name in entry["author"].split(" and ")]
        assert ", ".join(names) == claim.who


def test_each_bundled_data_set_is_credited_as_its_licence_asks():
    credited = {entry["title"] for entry in sources().values() if entry.get("howpublished", "").startswith("UCI")}
    origins = {
        origin_of({"kind": kind})["origin"].removeprefix("UCI, ")
        for kind in ("iris", "wine", "breast_cancer", "digits")
    }
    assert {re.split("[:;]", origin)[0] for origin in origins} == credited


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
    # at one commit, but nobody else knows where
    assert answers["Is the code of the results available?"].startswith("not yet")
    assert answers["Was all run by the same code?"] == "no: 2 fingerprints"


def test_code_is_available_where_the_citation_says_so(provenance, monkeypatch, tmp_path):
    study = make_small_study()
    (tmp_path / "CITATION.cff").write_text("repository-code: https://example.org/a\n", encoding="utf-8")
    monkeypatch.setattr(paper, "CITATION", tmp_path / "CITATION.cff")
    one = {"commit": "a" * 40, "dirty": False}
    for git, code, again in (
        ([one], "yes: https://example.org/a", "that is"),
        ([one, one | {"dirty": True}], "not", "not"),
    ):
        answers = dict(paper.checklist(study, provenance | {"git": git}, make_runs(study)))
        assert answers["Is the code of the results available?"].startswith(code)
        assert answers["Does it come out again (artefact: reproduced)?"].startswith(again)


@pytest.mark.parametrize(
    ("keys", "question", "words"),
    [
        ({}, "Is the data available?", "yes: 2 data sets (kinds of source: iris, wine)"),
        ({"mine": {"kind": "npz", "path": "a.npz"}}, "Is the data available?", "not wholly: mine from files of the"),
        ({}, "Are the licences of the data stated?", "yes: see"),
        ({"mine": {"kind": "npz", "path": "a.npz"}}, "Are the licences of the data stated?", "of 2 of 3 data sets;"),
        ({"seeds": 4}, "Are there error bars, and of what?", "no: an interval takes 5 seeds, and there are 4"),
        ({"seeds": 5}, "Are there error bars, and of what?", "95 % intervals of 9,999 resamples of seeds within data"),
        ({"datasets": ["iris"]}, "Is there a test of the claims beyond these data sets?", "no: it is one data set"),
        ({}, "Is there a test of the claims beyond these data sets?", "the smallest p-value there can be is 0.5"),
    ],
)
def test_an_answer_of_the_checklist_is_no_better_than_the_study(provenance, keys, question, words):
    keys = dict(keys)
    sources = {"iris": {"kind": "iris"}, "wine": {"kind": "wine"}}
    sources |= {name: keys.pop(name) for name in ("mine",) if name in keys}
    study = make_small_study(**{"datasets": list(sources), "sources": sources} | keys)
    assert words in dict(paper.checklist(study, provenance, make_runs(study)))[question]
