"""What counts as a change of code: all that is run, followed through its imports, and nothing beside it."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import nbformat
import pytest
from altfreeze.support import provenance
from altfreeze.support.provenance import closure, fingerprint
from builders import ROOT
from nbconvert import PythonExporter

PACKAGE = ROOT / "workflow" / "altfreeze"
NOTEBOOKS = ROOT / "workflow" / "notebooks"


def modules():
    """Return the names of all modules of the package."""
    names = [path.relative_to(PACKAGE.parent).with_suffix("").parts for path in sorted(PACKAGE.rglob("*.py"))]
    return [".".join(parts).removesuffix(".__init__") for parts in names]


def path_of(package, module):
    """Return the file of a module."""
    path = package.parent.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package in which a test changes what it wants."""
    copy = tmp_path / "altfreeze"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "PACKAGE", copy)
    return copy


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A function that writes a package of a few modules, of which `altfreeze.a` is one; returns the hash of that."""
    folder = tmp_path / "small" / "altfreeze"
    monkeypatch.setattr(provenance, "PACKAGE", folder)

    def write(**files):
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in {"__init__": "", "wing/__init__": "", "wing/b": "B = 1", "c": "C = 1", **files}.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.py").write_text(text)
        return fingerprint("altfreeze.a")

    return write


# what some code runs


# imports each module in a process that has loaded the libraries, but nothing of this package
IMPORTING = """
import json, os, sys

def ours():
    return [name for name in sys.modules if name.split(".")[0] == "altfreeze"]

names, loaded = json.loads(sys.stdin.read()), {}
for name in names:
    __import__(name)
for name in ours():
    del sys.modules[name]
for name in names:
    reading, writing = os.pipe()
    if os.fork() == 0:
        __import__(name)
        os.write(writing, json.dumps(ours()).encode())
        os._exit(0)
    os.close(writing)
    loaded[name] = json.loads(os.read(reading, 65536) or "null")
    os.close(reading)
    os.wait()
print(json.dumps(loaded))
"""


def test_all_that_python_loads_for_a_module_is_in_its_closure():
    # it runs the command line when it is imported
    names = [name for name in modules() if name != "altfreeze.__main__"]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", IMPORTING]
    done = subprocess.run(command, input=json.dumps(names), env=environment, capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert {name: sorted(set(loaded[name]) - set(closure(name))) for name in names} == {name: [] for name in names}


class ImportGraph:
    """The imports of the package and the notebooks as grimp sees them."""

    def __init__(self, folder):
        pages = folder / "pages_of_notebooks"
        pages.mkdir()
        (pages / "__init__.py").write_text("")
        for path in NOTEBOOKS.glob("*.ipynb"):
            (pages / f"{path.stem}.py").write_text(PythonExporter().from_filename(str(path))[0])
        sys.path.insert(0, str(folder))
        try:
            self.graph = grimp.build_graph("altfreeze", pages.name, cache_dir=None)
        finally:
            sys.path.remove(str(folder))

    def closure(self, *roots):
        """Return what some roots import, directly or not; Python runs the packages around a module with it."""
        found = set()
        waiting = [f"pages_of_notebooks.{Path(root).stem}" if root.endswith(".ipynb") else root for root in roots]
        while waiting:
            module = waiting.pop()
            if module not in found:
                found.add(module)
                waiting += [
                    *self.graph.find_modules_directly_imported_by(module),
                    *filter(None, [module.rpartition(".")[0]]),
                ]
        return sorted(name for name in found if name.split(".")[0] == "altfreeze")


@pytest.fixture(scope="module")
def import_graph(tmp_path_factory):
    return ImportGraph(tmp_path_factory.mktemp("grimp"))


def test_a_closure_is_what_another_reader_of_imports_finds(import_graph):
    roots = [*modules(), *map(str, NOTEBOOKS.glob("*.ipynb"))]
    assert {root: closure(root) for root in roots} == {root: import_graph.closure(root) for root in roots}


def test_a_closure_follows_imports_of_every_form_wherever_they_stand(small):
    forms = {
        "import altfreeze.wing.b": ["altfreeze.wing", "altfreeze.wing.b"],
        "import altfreeze.wing.b as x": ["altfreeze.wing", "altfreeze.wing.b"],
        "from altfreeze.wing import b": ["altfreeze.wing", "altfreeze.wing.b"],
        "from altfreeze.wing.b import B": ["altfreeze.wing", "altfreeze.wing.b"],
        "from altfreeze import c": ["altfreeze.c"],
        "def one():\n    from altfreeze import c": ["altfreeze.c"],
        "try:\n    import altfreeze.c\nexcept ImportError:\n    pass": ["altfreeze.c"],
        # it is not run, but what it says may be read: to be on the safe side
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from altfreeze import c": ["altfreeze.c"],
        "import altfreeze_plots, os.path": [],
    }
    for text, names in forms.items():
        small(a=text)
        assert closure("altfreeze.a") == sorted(["altfreeze", "altfreeze.a", *names]), text


def test_what_is_imported_in_a_circle_is_followed_once(small):
    small(a="from altfreeze import c", c="def one():\n    from altfreeze import a")
    assert closure("altfreeze.a") == closure("altfreeze.c") == ["altfreeze", "altfreeze.a", "altfreeze.c"]


def test_a_name_that_is_no_module_is_refused(small):
    small(a="")
    for name in ("altfreeze.z", "os", "altfreeze.a.b"):
        with pytest.raises(ValueError, match=f"{name} is no module of altfreeze"):
            closure(name)


# what changes a hash


CODE = '''"""A module."""

import math

LIMIT = 3


def one(x: int = 1) -> int:
    """Return one."""
    return math.floor(x) + LIMIT


class Two:
    """Two."""

    three: int = 4
'''


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"""A module."""\n', ""),
        ('"""A module."""', '"""Another text."""'),
        ('    """Return one."""\n', ""),
        ('"""Two."""', "'''Of class two.\n\n    In many lines.\n    '''"),
        ("LIMIT = 3", "# a comment\nLIMIT = 3  # another"),
        ("LIMIT = 3", "LIMIT=(\n    3\n)"),
        # what documents a constant, and is not run either
        ("LIMIT = 3", 'LIMIT = 3\n"""The most."""'),
        ("\n\n\n", "\n"),
    ],
)
def test_comments_layout_and_docstrings_are_no_part_of_the_code(before, after, small):
    assert before in CODE
    for name in ("a", "wing/b", "__init__"):
        files = {"a": "from altfreeze.wing import b"} | {name: CODE}
        assert small(**files) == small(**files | {name: CODE.replace(before, after)})


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("LIMIT = 3", "LIMIT = '3'"),
        ("LIMIT = 3", "LIMIT = 3\nUNUSED = 1"),
        ("x: int = 1", "x: int = 2"),
        ("floor", "ceil"),
        (" + LIMIT", " - LIMIT"),
        ("import math", "import cmath as math"),
        ("three: int", "four: int"),
        ("    return", '    f"{x}"\n    return'),
        ("class Two", "@staticmethod\nclass Two"),
    ],
)
def test_any_other_change_of_what_is_run_is_a_change_of_the_code(before, after, small):
    assert before in CODE
    for name in ("a", "wing/b", "wing/__init__", "__init__"):
        files = {"a": "from altfreeze.wing import b"} | {name: CODE}
        assert small(**files) != small(**files | {name: CODE.replace(before, after)})


def test_a_new_import_is_followed_from_then_on(small):
    assert small(a="A = 1", c="C = 1") == small(a="A = 1", c="C = 2")
    assert small(a="import altfreeze.c", c="C = 1") != small(a="import altfreeze.c", c="C = 2")


def test_a_hash_is_the_same_wherever_the_package_lies_and_whatever_names_it_first(package):
    roots = ("altfreeze.training.trainer", "altfreeze.tables.collect")
    copied = fingerprint(*roots)
    assert copied == fingerprint(*reversed(roots)) == fingerprint(*roots, "altfreeze")
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "PYTHONHASHSEED": "7"}
    code = f"from altfreeze.support.provenance import fingerprint; print(fingerprint(*{roots}))"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == copied


# notebooks


def notebook(path, *cells):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.cells.append(nbformat.v4.new_markdown_cell("from altfreeze import study"))
    nbformat.write(book, path)
    return str(path)


@pytest.mark.parametrize(
    "cell",
    [
        "%matplotlib inline\nfrom altfreeze import c",
        "!ls -l\nfrom altfreeze import c",
        "files = !ls\nfrom altfreeze import c",
        "if True:\n    %time from_nothing = 1\n    from altfreeze import c",
        "%%time\nfrom altfreeze import c",
        "%%bash\nfor name in *; do echo $name; done",
        "print?\nfrom altfreeze import c",
        "rest = (7\n% 3)\nfrom altfreeze import c",
        'text = """\n%s of\n!"""\nfrom altfreeze import c',
    ],
)
def test_a_notebook_may_hold_commands_of_ipython(cell, small, tmp_path):
    small(a="")
    path = notebook(tmp_path / "page.ipynb", "import os", cell)
    expected = [] if cell.startswith("%%bash") else ["altfreeze", "altfreeze.c"]
    assert closure(path) == expected


def test_of_a_notebook_the_hash_holds_what_it_imports_and_not_its_own_code(small, tmp_path):
    one = notebook(tmp_path / "one.ipynb", "from altfreeze import c\nprint(1)")
    other = notebook(tmp_path / "other.ipynb", "print(2)", "from altfreeze import c")
    small(a="")
    before = fingerprint(one)
    assert before == fingerprint(other)
    small(a="", c="C = 2")
    assert fingerprint(one) != before


# what makes which rule stale


# plans the smoke study with roots in place of hashes, and prints each job's rule, command and roots
PLANNING = """
import contextlib, io, json, sys
from pathlib import Path
from altfreeze.support import provenance

provenance.fingerprint = lambda *roots: json.dumps(roots)
from snakemake.api import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings, SnakemakeApi

with SnakemakeApi(OutputSettings(dryrun=True)) as api:
    files, cores = ConfigSettings(configfiles=[Path(name) for name in sys.argv[1:]]), ResourceSettings(cores=1)
    planned = api.workflow(resource_settings=cores, config_settings=files, snakefile=Path("Snakefile"))
    with contextlib.redirect_stdout(io.StringIO()):
        planned.dag(DAGSettings(forceall=True, targets=["all", "crate"])).summary()
    jobs = [(job.rule.name, job.shellcmd or "", job.params.get("code")) for job in planned._workflow.dag.jobs]
print(json.dumps([(rule, command, json.loads(roots or "[]")) for rule, command, roots in jobs]))
"""


@pytest.fixture(scope="module")
def jobs(tmp_path_factory, copy_clone):
    """Each job of the smoke study: its rule, its command and the roots of its code."""
    folder = copy_clone(tmp_path_factory.mktemp("planned") / "altfreeze")
    command = [sys.executable, "-c", PLANNING, "config/studies/smoke.yaml"]
    environment = os.environ | {"PYTHONPATH": str(folder / "workflow")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_job_that_runs_the_package_names_the_code_that_it_runs(jobs):
    ours = {rule: roots for rule, command, roots in jobs if re.search(r"-m altfreeze\b", command)}
    assert ours.keys() == {"data", "train", "tune", "timing", "collect", "compare", "page", "report", "crate"}
    assert [rule for rule, roots in ours.items() if not roots] == []


@pytest.fixture
def roots_of(jobs, monkeypatch):
    """The roots of the code of each rule; notebooks as from the checkout's root."""
    monkeypatch.chdir(ROOT)
    return {(rule, tuple(roots)) for rule, _, roots in jobs if roots}


def test_nothing_that_prints_is_code_that_decides_numbers(roots_of):
    stages = {rule: closure(*roots) for rule, roots in roots_of if rule in ("data", "train", "timing", "collect")}
    assert len(stages) == 4
    for module in {module for names in stages.values() for module in names}:
        tree = ast.parse(path_of(PACKAGE, module).read_text())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not names & {"print", "tqdm"}, module


def test_a_change_of_a_module_makes_those_rules_stale_that_import_it(package, roots_of, import_graph):
    before = {roots: fingerprint(*roots) for _, roots in roots_of}
    reached = {roots: import_graph.closure(*roots) for _, roots in roots_of}
    seen = set()
    for module in modules():
        path = path_of(package, module)
        kept = path.read_text()
        path.write_text(f"{kept}\nUNUSED = 1\n")
        changed = {(rule, roots) for rule, roots in roots_of if fingerprint(*roots) != before[roots]}
        path.write_text(kept)
        assert changed == {(rule, roots) for rule, roots in roots_of if module in reached[roots]}, module
        seen |= changed
    assert seen == roots_of


# the commit


def test_a_checkout_that_git_does_not_read_is_told_apart_from_none(tmp_path, monkeypatch):
    package = tmp_path / "altfreeze"
    package.mkdir()
    monkeypatch.setattr(provenance, "PACKAGE", package)
    # as if it were another user's, and no configuration allowed it
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    outside = provenance.git_state()
    assert outside == {"commit": None, "dirty": None}
    assert provenance.commit_in_words(outside) == "no git checkout"
    subprocess.run(["git", "init", "--quiet", package], check=True)
    refused = provenance.git_state()
    assert refused == {"commit": None, "dirty": None, "refused": str(package)}
    assert provenance.commit_in_words(refused) == (
        f"unknown, as {package} belongs to another user (git config --global --add safe.directory {package})"
    )
