"""Bad input of every kind: exit status not 0, a line a mistake that begins with altfreeze:, no traceback, no output."""

import hashlib
import io
import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from altfreeze import cli
from altfreeze.data.dataset import save_dataset
from altfreeze.data.sources import load_dataset
from altfreeze.study.grid import Study
from altfreeze.study.reading import complete, load
from altfreeze.support.errors import InputError
from altfreeze.support.files import write_json
from builders import ROOT, make_study

DEFAULT = ROOT / "config" / "config.yaml"
TUNED = "learning_rate=tuned"
RATES = {"variations": [{"learning_rate": "tuned"}], "learning_rates_to_try": [0.1]}
STUDY = make_study(datasets=["iris"], seeds=2, calibration_seeds=1, primary_depth=4, **RATES)
CELL = STUDY.cell("iris", 4, "alternating-0.5", TUNED)
UNWRITABLE = "/proc/altfreeze"
MANY_DIGITS = "9" * 5000


def listing(folder: Path) -> dict[str, str | None]:
    """Return every path below a folder but Snakemake's own, and the hash of every file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
        for path in folder.rglob("*")
        if ".snakemake" not in path.parts and path.name != "__pycache__"
    }


def is_one_line(message: str) -> bool:
    return message.isprintable() and len(message) > 10


# configuration files

FILES = {
    # not YAML, or no keys
    "empty": ("", "top level: null"),
    "only a comment": ("# seeds: 3\n", "top level: null"),
    "a word": ("seeds", "top level"),
    "a number": ("42", "top level: 42"),
    "a list": ("- seeds: 3\n", "top level"),
    "an open bracket": ("depths: [4, 6\n", "line 2"),
    "two colons": ("seeds: 3: 4\n", "line 1"),
    "a tab": ("sources:\n\tiris: {kind: iris}\n", "line 2"),
    "an open quote": ('study: "mine\n', "line 2"),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "cannot be read as YAML"),
    "latin-1": ("study: größe\n".encode("latin-1"), "cannot be read as YAML"),
    "utf-16": ("seeds: 3\n".encode("utf-16"), "cannot be read as YAML"),
    "zero bytes": (b"seeds: 3\x00\n", "cannot be read as YAML"),
    "two documents": ("seeds: 3\n---\nseeds: 4\n", "cannot be read as YAML"),
    "an object of Python": ("study: !!python/object/apply:os.system [exit]\n", "line 1"),
    "an unknown anchor": ("depths: *mine\n", "mine"),
    "no such day": ("study: 2020-13-45\n", "month"),
    "more digits than Python reads": (f"seeds: {MANY_DIGITS}\n", "cannot be read as YAML"),
    "a list as a key": ("? [1, 2]\n: 3\n", "line 1"),
    "too deep": ("depths: " + "[" * 3000 + "]" * 3000 + "\n", "cannot be read as YAML"),
    # anchors
    "a list in itself": ("depths: &a [4, *a]\n", "depths: has more than"),
    "keys in themselves": ("sources: &a {iris: *a}\n", "sources: has more than"),
    "a billion laughs": (
        "\n".join([f"- &a{n} [{', '.join([f'*a{n - 1}' if n else '1'] * 9)}]" for n in range(12)]).join(
            ["depths:\n", "\n"]
        ),
        "depths: has more than",
    ),
    # keys
    "a key twice": ("seeds: 3\nwidth: 8\nseeds: 4\n", "the key seeds stands twice"),
    "a key twice in JSON": ('{"seeds": 3,\n\t"seeds": 4}', "the key seeds stands twice"),
    "a data set twice": ("sources:\n  a: {kind: iris}\n  a: {kind: wine}\n", "the key a stands twice"),
    "one letter": ("x: 1\n", "x: unknown key"),
    "a near miss": ("learning_rates: 0.1\n", "did you mean learning_rate?"),
    "another near miss": ("epoch_standard: 3\n", "did you mean epochs_standard?"),
    "a capital": ("Seeds: 3\n", "did you mean seeds?"),
    "a number as a key": ("1: 2\n", "[1]: unknown key"),
    "true as a key": ("true: 2\n", "unknown key"),
    "nothing as a key": ("? \n: 2\n", "unknown key"),
    "a line end in a key": ('"a\\nb": 2\n', "unknown key"),
    "a number as a data set": ("sources: {1: {kind: iris}}\n", "this name is not allowed"),
    # numbers
    "nothing": ("seeds:\n", "seeds: null"),
    "an exponent that YAML takes for text": ("learning_rate: 1e-3\n", "as a number it is 0.001"),
    "a quoted number": ("seeds: '3'\n", "as a number it is 3"),
    "nan": ("learning_rate: .nan\n", "learning_rate: NaN"),
    "infinity": ("learning_rate: .inf\n", "learning_rate: Infinity"),
    "minus infinity": ("weight_decay: -.inf\n", "weight_decay: -Infinity"),
    "beyond the largest float": (f"learning_rate: {'9' * 400}\n", "learning_rate: 999"),
    "negative": ("learning_rate: -0.1\n", "> 0"),
    "yes": ("seeds: yes\n", "seeds: true"),
    "off": ("dropout: off\n", "dropout: false"),
    "a boolean in a list": ("freeze_ratios: [true]\n", "freeze_ratios[0]: true"),
    "a fraction": ("epochs_standard: 2.0\n", "a whole number"),
    "no epoch": ("epochs_alternating: 0\n", "≥ 1"),
    "too many epochs": ("epochs_standard: 1000000000000\n", "≤ 1000000"),
    "too wide": ("width: 1000000000000\n", "≤ 1000000"),
    "too large a batch": (f"batch_size: {'9' * 40}\n", "≤ 1000000000"),
    "too large a seed": (f"seed: {2**63}\n", "seed: 9223372036854775808"),
    "a negative seed": ("seed: -1\n", "≥ 0"),
    "too large a period": (f"freeze_period: {'9' * 40}\n", "≤ 1000000000"),
    "too many seeds in a job": ("seeds_per_job: 1000000000\n", "≤ 1000000"),
    "too many rows": (
        "sources: {a: {kind: moons, samples: 1000000000000, noise: 0}}\n",
        "sources.a.samples: 1000000000000",
    ),
    # lists
    "text for a list": ("datasets: iris\n", "a list"),
    "keys for a list": ("depths: {a: 4}\n", "a list"),
    "an empty list": ("freeze_ratios: []\n", "not empty"),
    "a depth twice": ("depths: [4, 6, 4]\n", "twice"),
    "a rate twice": ("learning_rates_to_try: [0.1, 0.1]\n", "twice"),
    "nothing in a list": ("depths: [4,,6]\n", "line 1"),
    "null in a list": ("depths: [4, null]\n", "depths[1]: null"),
    "a list in a list": ("datasets: [[iris]]\n", "datasets[0]"),
    "a level above 1": ("target_levels: [1.5]\n", "≤ 1"),
    "text for strategies": ("strategies: alternating\n", "a list"),
    # sources
    "sources as a list": ("sources: [iris]\n", "keys with values"),
    "a source as text": ("sources: {iris: iris}\n", "sources.iris"),
    "a source as nothing": ("sources: {iris: }\n", "sources.iris: null"),
    "a kind as a list": ("sources: {iris: {kind: [iris]}}\n", "sources.iris.kind"),
    "two characters between columns": (
        "sources: {a: {kind: csv, path: a, target: b, separator: '::'}}\n",
        "of 1 character",
    ),
    "two notations in one": (
        "sources: {a: {kind: csv, path: a, target: b, thousands: '.'}}\n",
        "decimal (unless stated, a dot) and thousands that differ",
    ),
    "a header as a number": ("sources: {a: {kind: csv, path: a, target: b, header: 0, columns: [b]}}\n", "none"),
    "no header and no names": (
        "sources: {a: {kind: csv, path: a, target: b, header: none}}\n",
        "`header: none` and columns",
    ),
    "names beside a header": (
        "sources: {a: {kind: csv, path: a, target: b, columns: [b]}}\n",
        "`header: none` and columns",
    ),
    "a mark that is nothing": (
        "sources: {a: {kind: csv, path: a, target: b, missing: [null]}}\n",
        "sources.a.missing[0]",
    ),
    "no path in a list": ("sources: {a: {kind: csv, path: [], target: b}}\n", "sources.a.path"),
    "a path twice": ("sources: {a: {kind: csv, path: [a, a], target: b}}\n", "each once"),
    "a column to drop as text": ("sources: {a: {kind: csv, path: a, target: b, drop: c}}\n", "a list"),
    "no name of a column": ("sources: {a: {kind: csv, path: a, target: ''}}\n", "1 to 1000 characters"),
    "a wildcard in a path": ("sources: {a: {kind: csv, path: '{dataset}.csv', target: b}}\n", "none of { }"),
    "a line end in a path": ('sources: {a: {kind: csv, path: "a\\n", target: b}}\n', "none of { }"),
    "a zero byte in a path": ('sources: {a: {kind: csv, path: "a\\0", target: b}}\n', "none of { }"),
    "id and name of OpenML": ("sources: {a: {kind: openml, id: 1, name: b, version: 1}}\n", "either id"),
}

HOSTILE_NAMES = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/a",
    "-x",
    "a b",
    "ü",
    "x" * 300,
    "{dataset}",
    "<results>",
    "$(touch x)",
    "`touch x`",
    "a;touch x",
    "a'b",
    'a"b',
    "a\nb",
    "a\n",
    "a\0b",
    "a\x1b[31m",
    "a\u2028b",
    "*",
    "~",
]
HOSTILE_RESULTS = [
    "",
    ".",
    "./",
    "..",
    "/",
    "results/..",
    "workflow",
    "workflow/x",
    "results/../workflow",
    "-x",
    "~/x",
    "x" * 300,
    "é" * 150,
    "{x}",
    "a/{dataset}",
    "<logs>",
    "a\nb",
    "a\n",
    "a\0b",
    "a\x1b[31m",
]


def refused_by_config(folder: Path, content: str | bytes) -> str:
    """Return the one line that a configuration file is refused with."""
    file = folder / "mine.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    before = listing(folder)
    with pytest.raises(InputError) as caught:
        load(DEFAULT, file)
    (message,) = caught.value.args
    assert message.startswith(f"{file}: ")
    assert is_one_line(message)
    assert len(message) < 2000
    assert listing(folder) == before
    return message


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES)
def test_a_configuration_file_that_cannot_be_used_is_one_line(content, words, tmp_path):
    assert words in refused_by_config(tmp_path, content)


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
@pytest.mark.parametrize("place", ["dataset", "source", "label"])
def test_a_hostile_name_is_one_line(place, name, tmp_path):
    wrong = {
        "dataset": {"datasets": [name], "sources": {"iris": {"kind": "iris"}}},
        "source": {"sources": {name: {"kind": "iris"}}},
        "label": {"strategies": ["alternating", {"name": "lisa", "label": name}]},
    }
    assert "allowed: " in refused_by_config(tmp_path, json.dumps(wrong[place]))


@pytest.mark.parametrize("name", [name for name in HOSTILE_NAMES if name != "a b"], ids=ascii)
def test_a_hostile_name_of_the_study_is_one_line(name, tmp_path):
    assert "study: " in refused_by_config(tmp_path, json.dumps({"study": name}))


@pytest.mark.parametrize("folder", HOSTILE_RESULTS, ids=ascii)
def test_a_folder_of_results_that_cannot_be_used_is_one_line(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "results: " in refused_by_config(tmp_path, json.dumps({"results": folder}))


def test_the_working_directory_by_its_absolute_path_is_no_folder_of_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "folder of the workflow" in refused_by_config(tmp_path, json.dumps({"results": str(tmp_path)}))


@pytest.mark.parametrize("folder", ["a b", "ü/x", "../x", "/tmp/a b", "it's", "$HOME", "*", "x" * 200, "workflows"])
def test_a_folder_of_results_may_have_any_other_name(folder):
    assert complete({"results": folder})["results"] == folder


def test_anchors_and_merged_keys_are_read(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "sources:\n  a: &a {kind: moons, samples: 100, noise: 0.1}\n  b: {<<: *a, noise: 0.2}\n"
        "depths: &depths [4, 6]\ndatasets: [a, b]\n"
    )
    sources = load(DEFAULT, file)["sources"]
    assert (sources["a"]["noise"], sources["b"]["noise"], sources["b"]["samples"]) == (0.1, 0.2, 100)


def test_json_indented_by_tabs_is_read(tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"seeds": 3, "study": "mine"}, indent="\t"))
    assert load(DEFAULT, file)["seeds"] == 3


@pytest.mark.parametrize("file", ["none.yaml", ".", "none/mine.yaml", "x" * 300], ids=lambda name: name[:10])
def test_a_configuration_file_that_is_not_there_is_one_line(file, tmp_path):
    with pytest.raises(InputError) as caught:
        load(DEFAULT, tmp_path / file)
    assert is_one_line(str(caught.value))


# command lines


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with data sets that are good."""
    monkeypatch.chdir(tmp_path)
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    save_dataset(load_dataset("iris", {"kind": "iris"}, 1), "iris", {"kind": "iris"}, "iris.npz", "iris.json")
    write_json("tuning.json", {"cell": CELL.as_dict(), "learning_rate": "fast", "trials": []})
    write_json("study.json", STUDY.config)
    write_json("wide.json", STUDY.config | {"width": 3})
    write_json("untuned.json", STUDY.config | {name: [] for name in RATES})
    Path("page.html").write_text("<title>Page</title>")
    Path("a_folder").mkdir()
    return tmp_path


def refused(arguments, folder, capsys, status=2, mistakes=1):
    """Return what a command is refused with: a line for each mistake."""
    before = listing(folder)
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    assert caught.value.code == status
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert len(lines) == mistakes, said.err
    assert all(line.startswith("altfreeze: ") and is_one_line(line) for line in lines)
    assert listing(folder) == before
    return said.err


def options(command: str, **changed: Any) -> list[str]:
    """Return a good command line of `command` with some options changed; None leaves one out."""
    pack = {"data": "iris.npz", "dataset": "iris", "depth": 4, "strategy": "alternating-0.5", "device": "cpu"}
    good = {
        "data": {"name": "iris", "output": "out.npz", "manifest": "out.json"},
        "train": pack | {"recipe": "primary", "seeds": "0-1", "output": "out.csv", "manifest": "out.json"},
        "tune": pack | {"recipe": TUNED, "output": "out.json"},
        "timing": {"data": ".", "device": "cpu", "output": "out.csv"},
        "collect": {"results": "results", "tables": "tables"},
        "compare": {"tables": "tables"},
        "page": {"notebook": "page.ipynb", "output": "out.html"},
        "report": {"tables": "tables", "pages": "page.html", "output": "out.html"},
        "crate": {"results": "results", "files": "results/report.html", "checkout": str(ROOT)},
    }[command]
    given = ({} if command == "page" else {"study": "study.json"}) | good | changed
    stated = {name: value for name, value in given.items() if value is not None}
    return [command, *(f"--{name.replace('_', '-')}={value}" for name, value in stated.items())]


PACK = ["study", "data", "dataset", "depth", "strategy", "device"]
NEEDED = {
    "data": ["study", "name", "output", "manifest"],
    "train": [*PACK, "recipe", "seeds", "output", "manifest"],
    "tune": [*PACK, "recipe", "output"],
    "timing": ["study", "data", "device", "output"],
    "collect": ["study", "results", "tables"],
    "compare": ["study", "tables"],
    "page": ["notebook", "output"],
    "report": ["study", "tables", "pages", "output"],
    "crate": ["study", "results", "files", "checkout"],
}
LINES = {
    "no command": ([], "COMMAND"),
    "an unknown command": (["trian"], "invalid choice: 'trian'"),
    "an unknown option": ([*options("compare"), "--fast"], "--fast"),
    "an option without a value": (["compare", "--study"], "--study: expected one argument"),
    "a word too many": ([*options("compare"), "now"], "now"),
    "a line end in a word": (["a\nb"], "invalid choice"),
    # data
    "a hostile name": (options("data", name="../x"), '--name: "../x" is not of the study in study.json'),
    "a name with a line end": (options("data", name="x\n"), "is not of the study"),
    "a near miss of a name": (options("data", name="iri"), "did you mean iris? allowed: iris"),
    "a folder as the output": (options("data", output="a_folder"), "--output: 'a_folder' is a folder"),
    "a folder as the manifest": (options("data", manifest="a_folder"), "--manifest: 'a_folder' is a folder"),
    "no name of an output": (options("data", output=""), "--output"),
    "one file for both outputs": (options("data", manifest="out.npz"), "written twice"),
    # train and tune
    "another data set": (options("train", dataset="wine"), '--dataset: "wine" is not of the study'),
    "another depth": (options("train", depth=5), "--depth: 5 is not of the study in study.json; allowed: 4, 6, 8"),
    "a depth that is text": (options("train", depth="four"), "--depth: 'four'"),
    "a negative depth": (options("tune", depth=-4), "--depth"),
    "a depth of many digits": (options("train", depth=MANY_DIGITS), "--depth"),
    "another strategy": (options("train", strategy="lisa"), '--strategy: "lisa" is not of the study'),
    "a near miss of a strategy": (options("tune", strategy="alternatng-0.5"), "did you mean alternating-0.5?"),
    "a strategy without its ratio": (options("train", strategy="alternating"), "allowed: standard, alternating-0.3"),
    "an unknown recipe": (
        options("train", recipe="learning_rate=tund"),
        f"did you mean {TUNED}? allowed: primary, {TUNED}",
    ),
    "a recipe that the study has not": (
        options("train", study="untuned.json", recipe=TUNED, tuning="tuning.json"),
        f'--recipe: "{TUNED}" is not of the study in untuned.json; allowed: primary',
    ),
    "tuned without a tuning": (options("train", recipe=TUNED), "--tuning: is needed"),
    "a tuning beside a rate": (options("train", tuning="tuning.json"), "--tuning: is needed"),
    "tuning without rates": (options("tune", study="untuned.json", recipe="primary"), "allowed: none"),
    "tuning of the wrong recipe": (
        options("tune", recipe="primary"),
        f'"primary" has a learning rate; allowed: {TUNED}',
    ),
    "a depth that a variation has not": (
        options("tune", depth=6),
        "allowed: depth 4 and standard, alternating-0.5, standard_half_updates, standard_matched_flops-0.5",
    ),
    "seeds that are reversed": (options("train", seeds="9-0"), "--seeds: '9-0'"),
    "one seed": (options("train", seeds="3"), "--seeds"),
    "seeds without an end": (options("train", seeds="0-"), "--seeds"),
    "negative seeds": (options("train", seeds="-2-1"), "--seeds"),
    "seeds that are text": (options("train", seeds="a-b"), "--seeds"),
    "seeds with a line end": (options("train", seeds="0-1\n"), "--seeds"),
    "seeds in other digits": (options("train", seeds="٠-٣"), "--seeds"),
    "too many seeds": (options("train", seeds="0-999999999"), "1000000 seeds at most"),
    "an unknown device": (options("train", device="tpu"), "'tpu'"),
    "no thread": (options("train", threads=0), "--threads"),
    "negative threads": (options("train", threads=-1), "--threads"),
    "half a thread": (options("train", threads=1.5), "--threads"),
    "too many threads": (options("train", threads=100000), "--threads"),
    "data that are not there": (options("train", data="none.npz"), "none.npz"),
    "a log that is a folder": (options("train", output="a_folder"), "is a folder"),
    "a flow that is the log": (options("train", gradient_flow="out.csv"), "written twice"),
    "a tuning that is not there": (options("train", recipe=TUNED, tuning="none.json"), "none.json"),
    "a tuning that is none": (
        options("train", recipe=TUNED, tuning="iris.npz"),
        "iris.npz: not the record of a tuning",
    ),
    "a tuning of another cell": (
        options("train", study="wide.json", recipe=TUNED, tuning="tuning.json"),
        "another cell",
    ),
    "a tuning without a number": (options("train", recipe=TUNED, tuning="tuning.json"), "learning_rate"),
    # timing, collect, compare, page, report
    "timing without data": (options("timing", data="none"), "none/iris.npz"),
    "comparing without tables": (options("compare"), "not a table"),
    "a page of nothing": (options("page"), "page.ipynb: not a notebook"),
    "a page of a page": (options("page", notebook="page.html"), "page.html: not a notebook"),
    "a page of a folder": (options("page", notebook="a_folder"), "a_folder: not a notebook"),
    "a page of a list": (options("page", notebook="list.ipynb"), "list.ipynb: not a notebook"),
    "reporting without tables": (options("report"), "tables"),
    "a crate of nothing": (options("crate"), "results"),
}
LINES |= {
    f"{command} without {name}": (options(command, **{name: None}), f"--{name.replace('_', '-')}")
    for command, names in NEEDED.items()
    for name in names
}


@pytest.mark.parametrize(("arguments", "words"), LINES.values(), ids=LINES)
def test_a_command_line_that_cannot_be_used_is_one_line(arguments, words, folder, capsys):
    Path("list.ipynb").write_text("[]")
    assert words in refused(arguments, folder, capsys)


def test_collecting_without_anything_is_a_line_for_each_file_that_is_missing(folder, capsys):
    Path("tables").mkdir()
    said = refused(options("collect"), folder, capsys, mistakes=2)
    for name in ("results/data/iris.npz", "results/tables/timing.csv"):
        assert f"{name}: missing" in said


# what stands in the file of --study


def study(**changed: Any) -> str:
    return json.dumps(STUDY.config | changed)


def of_source(source: Any) -> str:
    return study(datasets=["mine"], sources={"mine": source})


MOONS = {"kind": "moons", "samples": 50, "noise": 0.1}
STUDIES = {
    "nothing": (b"", "not the study's record"),
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00\xff\xfe", "not the study's record"),
    "utf-16": (study().encode("utf-16"), "not the study's record"),
    "YAML": ("seeds: 3\n", "not the study's record"),
    "cut": (study()[:-1], "not the study's record"),
    "too much": (study() + "}", "not the study's record"),
    "too deep to read": ("[" * 100_000, "not the study's record"),
    "more digits than Python reads": (f'{{"seeds": {MANY_DIGITS}}}', "not the study's record"),
    "a list": ("[]", "top level: []"),
    "a number": ("7", "top level: 7"),
    "null": ("null", "top level: null"),
    "no key": ("{}", "is missing"),
    "a part": ('{"seed": 1}', "is missing"),
    "all but one key": (json.dumps({k: v for k, v in STUDY.config.items() if k != "momentum"}), "momentum is missing"),
    "an unknown key": (study(widht=3), "widht: unknown key; did you mean width?"),
    "too deep": (study(depths=[[[[[[[[[[4]]]]]]]]]]), "depths: has more than"),
    "text for a number": (study(seeds="two"), 'seeds: "two"'),
    "text for a depth": (study(depths=["4"]), "depths[0]"),
    "NaN": (study(learning_rate=float("nan")), "learning_rate: NaN"),
    "no width": (study(width=0), "width: 0"),
    "no depth": (study(depths=[]), "depths"),
    "a seed that is text": (study(seed="one"), 'seed: "one"'),
    "a negative seed": (study(seed=-1), "seed: -1"),
    "no strategy": (study(strategies=None), "strategies: null"),
    "an unknown strategy": (study(strategies=["alternating", "x"]), "strategies[1]"),
    "a wrong parameter": (study(strategies=["alternating", {"name": "lisa", "layers": 0}]), "strategies[1].layers: 0"),
    "a source that is text": (of_source("{kind: iris}"), "keys with values"),
    "a source that is a list": (of_source([]), "keys with values"),
    "a source that is null": (of_source(None), "null"),
    "an unknown kind": (of_source({"kind": "mnist"}), "kind"),
    "no kind": (of_source({}), "kind is missing"),
    "no noise": (of_source({"kind": "moons", "samples": 50}), "noise is missing"),
    "noise that is NaN": (of_source(MOONS | {"noise": float("nan")}), "noise: NaN"),
}


@pytest.mark.parametrize(("content", "words"), STUDIES.values(), ids=STUDIES)
@pytest.mark.parametrize("command", ["data", "train", "tune", "timing", "collect", "compare", "report", "crate"])
def test_a_file_that_is_no_study_is_one_line(command, content, words, folder, capsys):
    Path("wrong.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refused(options(command, study="wrong.json"), folder, capsys)
    assert message.startswith("altfreeze: wrong.json: ")
    assert words in message


@pytest.mark.parametrize("path", ["none.json", "a_folder", "study.json/x", "x" * 300], ids=lambda path: path[:10])
def test_a_study_that_cannot_be_read_is_one_line(path, folder, capsys):
    assert "not the study's record" in refused(options("compare", study=path), folder, capsys)


MADE = {
    "huge noise": (MOONS | {"noise": 1e200}, "not finite"),
    "too few features": (
        {"kind": "classification", "samples": 50, "features": 1, "informative": 2, "classes": 2},
        "no classification set can be made",
    ),
    "more classes than rows": ({"kind": "spirals", "samples": 20, "arms": 19, "turns": 1, "noise": 0}, "class"),
    "more memory than there is": (
        {"kind": "gaussian_quantiles", "samples": 10_000_000, "features": 100_000, "classes": 2},
        "no gaussian_quantiles set can be made",
    ),
}


@pytest.mark.parametrize(("source", "words"), MADE.values(), ids=MADE)
def test_a_set_that_cannot_be_made_is_one_line(source, words, folder, capsys):
    Path("mine.json").write_text(of_source(source))
    assert words in refused(options("data", study="mine.json", name="mine"), folder, capsys)


# several mistakes


def refused_at_once(folder: Path, content: dict[str, Any]) -> list[str]:
    """Return the lines that a configuration file is refused with, without the name of the file."""
    file = folder / "mine.yaml"
    file.write_text(json.dumps(content))
    with pytest.raises(InputError) as caught:
        load(DEFAULT, file)
    assert str(caught.value).splitlines() == list(caught.value.args)
    assert all(is_one_line(message) and message.startswith(f"{file}: ") for message in caught.value.args)
    return [message.removeprefix(f"{file}: ").partition(": ")[0] for message in caught.value.args]


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path):
    wrong = {
        "seeds": 0,
        "widht": 3,
        "optimizer": "adm",
        "depths": [1, "four", 6],
        "datasets": ["iris", "mnist", "all"],
        "sources": {"a": {"kind": "moons", "samples": 3, "nois": 1}, "b": {"kind": "excel"}, "c d": {"kind": "iris"}},
        "strategies": ["alternatin", {"name": "lisa", "layers": 0, "switch": 3}, 7],
    }
    assert sorted(refused_at_once(tmp_path, wrong)) == sorted(
        [
            *("seeds", "widht", "optimizer", "depths[0]", "depths[1]"),
            *("sources.a.samples", "sources.a", "sources.a.nois", "sources.b.kind", "sources.c d"),
            *("strategies[0]", "strategies[1].layers", "strategies[1].switch", "strategies[2]"),
        ]
    )


def test_every_phase_that_cannot_be_is_told_at_once(tmp_path):
    def phases(*listed, **keys):
        return {"name": "phases", "phases": [{"layers": layers, "for": length} for layers, length in listed], **keys}

    wrong = {
        "depths": [4, 6],
        "strategies": [
            "alternating",
            phases(("1-5", 0.3), ("none", 0.4), ("top", 0.3), ("3-1", 0.2)),
            phases(("all", 0.5), ("all", 0.3)),
            phases(("1 3", 2), ("last", 0.5), unit="epoch"),
            phases((1, 0.1), ("", 0.1), (0, 0.8)),
        ],
    }
    grammar = "allowed: all, or numbers and ranges as 1-3 5 or 4-last"
    allowed = "which is always trained; allowed: a phase that freezes a layer"
    expected = {
        "strategies[1].phases[0].layers": '"1-5" names layer 5, unknown at depth 4; allowed: 1 to 4',
        "strategies[1].phases[1].layers": '"none" freezes all layers; allowed: at least one that learns',
        "strategies[1].phases[2].layers": f'"top" names no layers; {grammar}',
        "strategies[1].phases[3].layers": '"3-1" names no layer by 3-1 at depth 4; allowed: the lower layer first',
        "strategies[1].phases": "its shares of the training add up to 1.2; allowed: 1 at most",
        "strategies[2].phases": f"is standard training at depth 4, {allowed}",
        "strategies[3].phases[1].for": "0.5 is no number of epochs; allowed: a whole number",
        "strategies[4].phases[1].layers": '"" freezes all layers; allowed: at least one that learns',
        "strategies[4].phases[2].layers": "0 names layer 0, unknown at depth 4; allowed: 1 to 4",
    }
    file = tmp_path / "mine.yaml"
    file.write_text(json.dumps(wrong))
    with pytest.raises(InputError) as caught:
        load(DEFAULT, file)
    assert list(caught.value.args) == [f"{file}: {key}: {sentence}" for key, sentence in expected.items()]


def test_phases_by_their_name_alone_or_with_a_long_label_are_refused(tmp_path):
    assert refused_at_once(tmp_path, {"strategies": ["alternating", "phases"]}) == ["strategies[1]"]
    assert refused_at_once(tmp_path, {"strategies": ["alternating", {"name": "phases"}]}) == ["strategies[1]"]
    many = [{"layers": 1 + number % 4, "for": 0.05} for number in range(20)]
    entry = {"name": "phases", "phases": many}
    assert refused_at_once(tmp_path, {"strategies": ["alternating", entry]}) == ["strategies"]
    file = tmp_path / "mine.yaml"
    file.write_text(json.dumps({"strategies": ["alternating", entry | {"label": "mine"}]}))
    assert "mine" in Study(load(DEFAULT, file)).strategies


def test_keys_that_contradict_one_another_are_told_beside_those_that_are_wrong_by_themselves(tmp_path):
    wrong = {"seeds": 0, "datasets": ["iris", "mnist", "all"], "primary_depth": 5, "family": ["lisa", "random_half"]}
    assert sorted(refused_at_once(tmp_path, wrong)) == [
        "datasets[1]",
        "datasets[2]",
        "family[0]",
        "primary_depth",
        "seeds",
    ]


def test_seeds_that_are_compared_are_none_of_calibration(tmp_path):
    assert refused_at_once(tmp_path, {"first_seed": 999_996, "seeds": 5}) == ["first_seed"]
    (tmp_path / "mine.yaml").write_text(json.dumps({"first_seed": 999_995, "seeds": 5}))
    assert load(DEFAULT, tmp_path / "mine.yaml")["first_seed"] == 999_995


def test_no_mistake_is_told_that_only_follows_from_another(tmp_path):
    assert refused_at_once(tmp_path, {"sources": {"iris": 3}, "datasets": ["iris", "mnist"]}) == ["sources.iris"]
    assert refused_at_once(tmp_path, {"strategies": ["alternatin"], "family": ["alternating-0.5"]}) == ["strategies[0]"]


def test_each_of_several_files_is_blamed_for_its_own_mistakes(tmp_path):
    files = [tmp_path / "first.yaml", tmp_path / "second.yaml"]
    for file, keys in zip(files, ({"seeds": 0, "width": 0}, {"width": 3, "depths": []}), strict=True):
        file.write_text(json.dumps(keys))
    with pytest.raises(InputError) as caught:
        load(DEFAULT, *files)
    blamed = [message.split(": ")[:2] for message in caught.value.args]
    assert sorted(blamed) == [[str(files[0]), "seeds"], [str(files[1]), "depths"]]


def test_a_wrong_command_line_is_told_whole(folder, capsys):
    with pytest.raises(SystemExit):
        cli.main(options("train", dataset="wine", depth=5, strategy="lisa", recipe="best"))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in lines] == ["--dataset", "--depth", "--strategy", "--recipe"]


# what the machine refuses


@pytest.mark.parametrize("width", [400_000, 1_000_000])
def test_a_network_that_memory_cannot_hold_is_one_line(width, folder, capsys):
    # 400,000 x 400,000 weights are 640 GB, which no machine that runs this has
    write_json("wide.json", STUDY.config | {"width": width, "cache_activations": "off"})
    arguments = options("train", study="wide.json", seeds="0-0")
    assert "memory" in refused(arguments, folder, capsys)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_one_line(folder, capsys):
    assert "cuda" in refused(options("train", device="cuda"), folder, capsys)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody can write")
@pytest.mark.parametrize(
    "arguments",
    [
        options("data", output=f"{UNWRITABLE}/out.npz"),
        options("data", output="iris.npz/out.npz"),
        options("data", output="x" * 300),
    ],
    ids=["a read-only folder", "a file as the folder", "a name that is too long"],
)
def test_an_output_that_cannot_be_written_is_one_line_with_the_systems_word(arguments, folder, capsys):
    message = refused(arguments, folder, capsys, status=1)
    assert re.search(r"(No such file or directory|Not a directory|File name too long|File exists)$", message)
    assert arguments[3].removeprefix("--output=") in message


# stored data sets


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def zipped(**contents):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in contents.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


X, Y = np.arange(80.0).reshape(20, 4), np.repeat([0, 1], 10)
GOOD = npz(X=X, y=Y)
STORED = {
    "empty": b"",
    "text": b"not an npz",
    "a page": b"<html></html>",
    "only a magic number": b"PK\x03\x04",
    "cut at a tenth": GOOD[: len(GOOD) // 10],
    "cut at half": GOOD[: len(GOOD) // 2],
    "cut at the end": GOOD[:-1],
    "a byte changed": GOOD.replace(X.tobytes()[80:88], b"\x01" * 8, 1),
    "one array alone": npy(X),
    "no arrays": npz(),
    "no classes": npz(X=X),
    "no features": npz(y=Y),
    "pickled objects": npz(X=np.array([{}, "x"], dtype=object), y=Y),
    "text as an array": zipped(X=b"text", y=b"text"),
    "an array cut in the file": zipped(X=npy(X)[:-9], y=npy(Y)),
    "one dimension": npz(X=X[:, 0], y=Y),
    "no columns": npz(X=X[:, :0], y=Y),
    "no rows": npz(X=X[:0], y=Y[:0]),
    "rows that differ": npz(X=X, y=Y[:-1]),
    "features of text": npz(X=X.astype(str), y=Y),
    "complex": npz(X=X.astype(complex), y=Y),
    "classes as floats": npz(X=X, y=Y.astype(float)),
    "one class": npz(X=X, y=0 * Y),
    "a negative class": npz(X=X, y=Y - 1),
    "a class left out": npz(X=X, y=2 * Y),
    "a class of few rows": npz(X=X, y=np.repeat([0, 1], [18, 2])),
    "a huge class": npz(X=X, y=Y * 10**15),
    "infinite": npz(X=np.where(X == 3, np.inf, X), y=Y),
}


@pytest.mark.parametrize("content", STORED.values(), ids=STORED)
@pytest.mark.parametrize("command", ["train", "tune", "timing"])
def test_a_stored_data_set_that_cannot_be_used_is_one_line(command, content, folder, capsys):
    Path("iris.npz").write_bytes(content)
    assert "iris.npz: not a stored data set: " in refused(options(command), folder, capsys)


def test_a_folder_as_a_stored_data_set_is_one_line(folder, capsys):
    assert "a_folder: not a stored data set: " in refused(options("train", data="a_folder"), folder, capsys)


# files of data


def rows(count=20, **columns):
    return {
        "a": np.arange(count) / 7,
        "b": np.arange(count) % 5,
        "y": ["u" if index % 2 else "v" for index in range(count)],
    } | columns


def csv(**columns):
    return pd.DataFrame(rows(**columns)).to_csv(index=False).encode()


def parquet(table=None, **columns):
    buffer = io.BytesIO()
    pq.write_table(pa.table(rows(**columns)) if table is None else table, buffer)
    return buffer.getvalue()


INFINITE = [1.0] * 19 + [np.inf]
DATA = {
    "empty": ("csv", b"", "empty"),
    "blank lines": ("csv", b"\n\n\n", "column"),
    "only a header": ("csv", b"a,b,y\n", "no rows"),
    "rows of one class": ("csv", b"a,b,y\n0.5,1,u\n1.5,1,u\n", "class"),
    "one class": ("csv", csv(y=["u"] * 20), "class"),
    "a row of each class": ("csv", csv(y=[f"c{index}" for index in range(20)]), "class"),
    "few rows of a class": ("csv", csv(y=["u"] * 17 + ["v"] * 3), "class"),
    "a class that is missing": ("csv", csv(y=["u", None] * 10), "10 missing values"),
    "a target of fractions": ("csv", csv(y=[0.5, 1.5] * 10), "classification"),
    "one column": ("csv", b"y\n" + b"u\nv\n" * 10, "no feature columns"),
    "no target": ("csv", csv().replace(b"y\n", b"z\n", 1), "no target column 'y'"),
    "a target of another case": ("csv", csv().replace(b"y\n", b"Y\n", 1), "no target column 'y'"),
    "columns of one name": ("csv", csv().replace(b"a,b", b"a,a", 1), "share a name"),
    "a column without a name": ("csv", csv().replace(b"a,b", b",b", 1), "has no name"),
    "free text": ("csv", csv(count=250, a=[f"word {index}" for index in range(250)]), "categories"),
    "dates": ("csv", csv(a=[f"2020-01-{index + 1:02}" for index in range(20)]), "dates"),
    "infinite": ("csv", csv(a=INFINITE), "1 infinite value"),
    "beyond every variance": ("csv", csv(a=[1.0] * 19 + [1e200]), "1e+200"),
    "beyond the largest float": ("csv", csv(a=["1"] * 19 + ["9" * 400]), "1"),
    "no value in any column": ("csv", csv(a=[None] * 20, b=[None] * 20), "no feature columns"),
    "constant": ("csv", csv(a=[1] * 20, b=[2] * 20), "constant"),
    "a short row": ("csv", csv() + b"1,2\n", "line 22 has 2 fields"),
    "a long row": ("csv", csv() + b"1,2,u,4\n", "line 22 has 4 fields"),
    "another separator": ("csv", csv().replace(b",", b";"), "no target column"),
    "an open quote": ("csv", csv() + b'1,2,"u\n', "not a CSV file"),
    "latin-1": ("csv", csv(y=["ü", "v"] * 10).decode().encode("latin-1"), "UTF-8"),
    "utf-16": ("csv", csv().decode().encode("utf-16"), "UTF-8"),
    "zero bytes": ("csv", csv() + b"\0,\0,u\n", "binary"),
    "a picture": ("csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "UTF-8"),
    "Parquet as CSV": ("csv", parquet(), "UTF-8"),
    "CSV as Parquet": ("parquet", csv(), "not a readable Parquet file"),
    "empty Parquet": ("parquet", b"", "not a readable Parquet file"),
    "only a magic number": ("parquet", b"PAR1PAR1", "not a readable Parquet file"),
    "cut Parquet": ("parquet", parquet()[:-20], "not a readable Parquet file"),
    "half of a Parquet": ("parquet", parquet()[: len(parquet()) // 2], "not a readable Parquet file"),
    "Parquet of zeros inside": (
        "parquet",
        b"PAR1" + bytes(len(parquet()) - 8) + b"PAR1",
        "not a readable Parquet file",
    ),
    "Parquet without rows": ("parquet", parquet(pa.table(rows()).slice(0, 0)), "no rows"),
    "Parquet without columns": ("parquet", parquet(pa.table({})), "target column"),
    "Parquet with columns of one name": (
        "parquet",
        parquet(pa.table([[1, 2], [3, 4], ["u", "v"]], names=["a", "a", "y"])),
        "share a name",
    ),
    "Parquet with lists": ("parquet", parquet(a=[[1, 2]] * 20), "list"),
    "Parquet with dates": ("parquet", parquet(a=pd.date_range("2020", periods=20)), "date"),
    "Parquet with bytes": ("parquet", parquet(a=[b"x", b"y"] * 10), "bytes"),
    "Parquet with keys": ("parquet", parquet(a=[{"k": index} for index in range(20)]), "dict"),
    "Parquet with infinity": ("parquet", parquet(a=INFINITE), "infinite"),
    "Parquet without a class": ("parquet", parquet(y=["u", None] * 10), "10 missing values"),
}


def data_arguments(kind: str, path: str = "mine.data", **source: Any) -> list[str]:
    """Write a study whose data set is of a file, and return the command line that stores the data set."""
    of_file = {"kind": kind, "path": path, "target": "y"} | source
    write_json("mine.json", STUDY.config | {"datasets": ["mine"], "sources": {"mine": of_file}})
    return options("data", study="mine.json", name="mine")


@pytest.mark.parametrize(("kind", "content", "words"), DATA.values(), ids=DATA)
def test_a_file_of_data_that_cannot_be_used_is_one_line(kind, content, words, folder, capsys):
    Path("mine.data").write_bytes(content)
    message = refused(data_arguments(kind), folder, capsys)
    assert "mine.data" in message
    assert words in message


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("none.csv", "does not exist"),
        ("none/mine.csv", "does not exist"),
        ("a_folder", "is a directory"),
        ("/dev/zero", "is a directory or a device"),
        ("page.html/x", "cannot be read"),
        ("x" * 300, "cannot be read"),
        pytest.param(
            "/proc/self/mem",
            "cannot be read",
            marks=pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read"),
        ),
    ],
)
def test_a_path_that_cannot_be_read_is_one_line(kind, path, words, folder, capsys):
    assert words in refused(data_arguments(kind, path), folder, capsys)


@pytest.mark.parametrize("seed", range(40))
def test_a_parquet_file_with_changed_bytes_is_read_or_is_one_line(seed, folder, capsys):
    generator = np.random.default_rng(seed)
    content = np.frombuffer(parquet(), np.uint8).copy()
    content[generator.integers(len(content), size=5)] = generator.integers(256, size=5)
    Path("mine.data").write_bytes(content.tobytes())
    try:
        cli.main(data_arguments("parquet"))
    except SystemExit as error:
        assert error.code == 2
        assert capsys.readouterr().err.count("\n") == 1


# the workflow


@pytest.fixture(scope="module")
def clone(tmp_path_factory, copy_clone):
    return copy_clone(tmp_path_factory.mktemp("bad") / "alt freeze")


def by_snakemake(clone, *arguments):
    """Return what Snakemake says of bad input, and check that it wrote nothing."""
    before = listing(clone)
    command = ["snakemake", "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    assert listing(clone) == before
    lines = [line for line in done.stderr.splitlines() if line.startswith("altfreeze: ")]
    assert len(lines) == 1, done.stderr
    # before it, Snakemake names the profile and the files
    assert len(done.stderr.splitlines()) <= 3
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "content", "words"),
    [
        ([], "learning_rates: 0.1\n", "mine.yaml: learning_rates: unknown key; did you mean learning_rate?"),
        ([], "seeds: 3\nseeds: 4\n", "mine.yaml: cannot be read as YAML: line 2: the key seeds stands twice"),
        ([], "depths: &a [4, *a]\n", "mine.yaml: depths: has more than"),
        ([], 'datasets: ["iris\\n"]\n', "mine.yaml: datasets[0]"),
        ([], "sources: {1: {kind: iris}}\n", "mine.yaml: sources[1]: this name is not allowed"),
        ([], "results: '{dataset}'\n", "mine.yaml: results"),
        (
            [],
            "datasets: [a]\nsources: {a: {kind: csv, path: none.csv, target: y}}\n",
            'mine.yaml: sources.a.path: "none.csv" is not a file',
        ),
        (["--config", "learning_rate=nan"], None, "--config: learning_rate: NaN"),
        (["--config", "study=$(touch x)"], None, '--config: study: "$(touch x)"'),
        (["--config", "datasets=iris"], None, '--config: datasets: "iris"'),
        (["--config", "results=.git"], None, '--config: results: ".git" lies in .git, a folder of other'),
        (
            ["--config", "results=.venv/x"],
            None,
            '--config: results: ".venv/x" lies in .venv, a folder of other programs',
        ),
        (["--config", "results=workflow"], None, '--config: results: "workflow" holds the workflow itself'),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_wrong_study_is_one_line_of_ours_before_anything_runs(arguments, content, words, clone):
    if content is not None:
        (clone / "mine.yaml").write_text(content)
        arguments = ["--configfile", "mine.yaml"]
    assert words in by_snakemake(clone, *arguments)


def test_a_study_with_several_mistakes_is_a_line_of_ours_for_each(clone):
    (clone / "mine.yaml").write_text("seeds: many\ndepths: [1]\nwidht: 3\n")
    done = subprocess.run(
        ["snakemake", "--cores", "1", "--configfile", "mine.yaml"],
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith(f"altfreeze: {clone / 'mine.yaml'}: ")]
    assert [line.split(": ")[2] for line in lines] == ["depths[0]", "seeds", "widht"]
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= len(lines) + 2


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which nobody can write")
def test_a_folder_in_which_the_study_cannot_be_written_is_one_line_and_no_job_starts(clone):
    command = ["snakemake", "--cores", "1", "--config", f"results={UNWRITABLE}"]
    # a second time, so that no lock was left
    for _ in range(2):
        done = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=300)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        ours = [line for line in done.stderr.splitlines() if line.startswith("altfreeze: ")]
        assert ours == [f"altfreeze: {UNWRITABLE}/study.json: No such file or directory"]
        assert done.stderr.splitlines()[-1] == ours[0]


def test_a_study_with_hostile_columns_and_paths_runs(clone):
    columns = {"{dataset}": "a", "<results>": "b", "$(touch x)": "c", 'it\'s "y"': "y"}
    frame = pd.DataFrame(rows(c=np.arange(20) % 3)).rename(columns={old: new for new, old in columns.items()})
    frame.to_csv(clone / "my $(touch x) 'data'.csv", index=False)
    results = "results/ü $(touch x) 'q' *"
    given = {
        "results": results,
        "datasets": ["mine.1_-"],
        "sources": {
            "mine.1_-": {
                "kind": "csv",
                "path": "my $(touch x) 'data'.csv",
                "target": 'it\'s "y"',
                "drop": ["{dataset}", "<results>"],
            }
        },
        "depths": [4],
        "primary_depth": 4,
        "variations": [],
        "seeds": 1,
        "epochs_standard": 1,
        "strategies": [{"name": "alternating", "freeze_ratio": "primary"}],
    }
    (clone / "hostile.json").write_text(json.dumps(given))
    pack = f"{results}/runs/mine.1_-/depth4/standard/primary/seeds0-0"
    command = ["snakemake", "--cores", "1", "--configfile=hostile.json", f"{pack}.csv"]
    # of the whole study
    dry = subprocess.run([*command[:-1], "--dry-run"], cwd=clone, capture_output=True, text=True, timeout=300)
    assert dry.returncode == 0, dry.stdout + dry.stderr
    done = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (clone / f"{pack}.json").is_file()
    assert not (clone / "x").exists()
