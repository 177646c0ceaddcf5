"""What stands beside the code: the answer in README.md, the lock, the version, and what calls the tests."""

import importlib.util
import json

import yaml
from altfreeze.version import VERSION
from builders import ROOT


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
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = dict(line.split("==") for line in lines if not line.startswith("#"))
    direct = {requirement.name: str(requirement.specifier) for requirement in lock.requirements()}
    assert {name: f"=={locked.get(name)}" for name in direct} == direct
    assert lock.locked(lock.requirements()).items() <= locked.items(), "make lock"


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert citation["version"] == VERSION
    assert changes.partition("\n## ")[2].startswith(f"{VERSION}\n")


def test_what_others_run_is_what_is_run_here():
    actions = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))
    steps = actions["jobs"]["test"]["steps"]
    assert steps[-1] == {"run": ".ci/run"}
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == ["make lint"]
    container = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert "--constraint requirements.lock" in container
