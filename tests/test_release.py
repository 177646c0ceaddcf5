"""What stands beside the code: the answer in README.md, the lock, the version, and what calls the tests."""

import importlib.util
import json
import re
import subprocess
from fnmatch import fnmatch
from importlib import metadata

import yaml
from altfreeze.version import VERSION
from builders import ROOT
from packaging.specifiers import SpecifierSet


def module(path):
    """Return a script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def test_readme_shows_the_answer_of_the_default_study_as_it_is():
    refresh = module(ROOT / "docs" / "refresh.py")
    shown = json.loads(refresh.STUDY.read_text(encoding="utf-8"))
    assert shown["config"] == refresh.default_configuration(), "call snakemake, then make readme"
    readme = refresh.README.read_text(encoding="utf-8")
    assert refresh.with_section(readme, shown["answer"], refresh.address()) == readme, "make readme"
    # a figure's title ends with the answer
    for figure in refresh.FIGURES:
        assert f'"{figure.relative_to(ROOT)}"' in readme
        assert shown["answer"] in figure.read_text(encoding="utf-8")


def test_the_walkthrough_opens_and_installs_from_the_one_address_of_the_repository():
    refresh = module(ROOT / "docs" / "refresh.py")
    notebook = refresh.NOTEBOOK.read_text(encoding="utf-8")
    assert refresh.with_package(notebook, refresh.address()) == notebook, "make readme"
    assert refresh.badge("") == ""
    place = "https://github.com/someone/altfreeze"
    opened = "https://colab.research.google.com/github/someone/altfreeze/blob/main/workflow/notebooks/walkthrough.ipynb"
    assert refresh.badge(place).strip().endswith(f"]({opened})")
    there = refresh.with_package(notebook, place)
    first = next(cell for cell in json.loads(there)["cells"] if cell["cell_type"] == "code")
    assert f'package = "git+{place}"\n' in first["source"]
    assert refresh.with_package(there, "") == refresh.with_package(notebook, "")


def test_the_lock_has_the_version_of_all_that_is_needed():
    lock = module(ROOT / "tests" / "lock.py")
    lines = lock.requirements(ROOT / "requirements.lock")
    locked = {line.name: str(line.specifier).removeprefix("==") for line in lines}
    direct = {requirement.name: str(requirement.specifier) for requirement in lock.requirements()}
    assert {name: f"=={locked.get(name)}" for name in direct} == direct
    assert lock.locked(lock.requirements()).items() <= locked.items(), "make lock"


def test_the_lock_asks_the_oldest_python_for_nothing_that_it_cannot_have():
    lock = module(ROOT / "tests" / "lock.py")
    oldest = {"python_full_version": lock.OLDEST}
    asked = [
        line
        for line in lock.requirements(ROOT / "requirements.lock")
        if not line.marker or line.marker.evaluate(oldest)
    ]
    needed = {line.name: SpecifierSet(metadata.metadata(line.name).get("Requires-Python") or "") for line in asked}
    assert {name: str(python) for name, python in needed.items() if not python.contains(lock.OLDEST)} == {}


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["version"] == VERSION
    assert changes.partition("\n## ")[2].startswith(f"{VERSION}\n")


def test_make_notebook_opens_the_walkthrough():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    root, opened = (re.search(rf"{key}=(\S+)", text)[1] for key in ("root_dir", "default_url"))
    assert (ROOT / root / opened.removeprefix("/lab/tree/")).is_file()
    # a container's user is root, whom Jupyter refuses
    assert "jupyter lab --allow-root" in text


def test_what_others_run_is_what_is_run_here():
    actions = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    steps = actions["jobs"]["test"]["steps"]
    assert steps[-1] == {"run": ".ci/run"}
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == ["make lint"]
    container = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "--constraint requirements.lock" in container


def test_the_image_has_all_that_git_tracks():
    # else each of its results would say that it was made with changes
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    def left_out(name):
        matching = [line for line in lines if fnmatch(name, line.lstrip("!"))]
        return bool(matching) and not matching[-1].startswith("!")

    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "results/README.md" in tracked
    assert [name for name in tracked if left_out(name)] == []
