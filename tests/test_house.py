"""The code stays within its limits, and the figures of `tests/house.py` see what breaks them."""

import subprocess
import sys
from pathlib import Path

import house
import pytest
from builders import ROOT


@pytest.mark.parametrize("law", house.LAWS, ids=lambda law: law.words)
def test_the_code_keeps_within_its_limits(law):
    assert house.broken(law, ROOT) == []


def lines_of_code(number):
    return "x = 1\n" * number


# what a checkout of few lines holds, and what is said of it
BREACHES = {
    "modules of a folder": (
        {f"workflow/altfreeze/study/m{number}.py": "" for number in range(13)},
        "13 workflow/altfreeze/study",
    ),
    "lines of a module": (
        {"workflow/altfreeze/study/grid.py": lines_of_code(401)},
        "401 workflow/altfreeze/study/grid.py",
    ),
    "lines of a module of statistics": (
        {"workflow/altfreeze/statistics/paired.py": lines_of_code(701)},
        "701 workflow/altfreeze/statistics/paired.py",
    ),
    "lines of a function": (
        {"workflow/altfreeze/cli.py": "def one():\n" + "    pass\n" * 61},
        "61 workflow/altfreeze/cli.py:1 one",
    ),
    "complexity of a function": (
        {"workflow/progress.py": "def one(x):\n" + "    if x:\n        x = 1\n" * 12},
        "13 workflow/progress.py:1 one",
    ),
    "imports that run backwards": (
        {
            "workflow/altfreeze/support/__init__.py": "",
            "workflow/altfreeze/support/files.py": "def one():\n    from altfreeze.study import grid\n",
            "workflow/altfreeze/study/__init__.py": "",
            "workflow/altfreeze/study/grid.py": "from altfreeze.support import files\n",
        },
        "altfreeze.support.files imports altfreeze.study.grid",
    ),
    "names that stand twice in a wing": (
        {
            "workflow/altfreeze/report/page.py": "def _points():\n    pass\n",
            "workflow/altfreeze/report/figures/across.py": "_points: int = 1\n",
            "workflow/altfreeze/study/grid.py": "_points = 1\n",
        },
        "_points: report/figures/across.py, report/page.py",
    ),
    "tests that import tests": (
        {"tests/test_a.py": "", "tests/study/test_b.py": "from test_a import x\n"},
        "tests/study/test_b.py:1 imports test_a",
    ),
}
WITHIN = {
    **{f"workflow/altfreeze/study/m{number}.py": "" for number in range(12)},
    "workflow/altfreeze/study/__init__.py": lines_of_code(400),
    "workflow/altfreeze/statistics/__init__.py": "",
    "workflow/altfreeze/statistics/paired.py": lines_of_code(699),
    "workflow/altfreeze/vocabulary.py": 'def one():\n    """Say.\n\n    More.\n    """\n' + "    pass\n" * 60,
    "workflow/progress.py": "def one(x):\n" + "    if x:\n        x = 1\n" * 11,
    "workflow/altfreeze/report/__init__.py": "from altfreeze.statistics import paired\n",
    "tests/test_a.py": "from builders import x\n",
}


def say(folder, files):
    """Return the exit status and the lines of `tests/house.py` on a checkout of some files."""
    for name, text in {"workflow/altfreeze/__init__.py": "", **files}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    command = [sys.executable, ROOT / "tests" / "house.py", folder]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={"PATH": _path()})
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, done.stdout.splitlines()


def _path():
    # ruff stands beside the interpreter
    return str(Path(sys.executable).parent)


def test_a_checkout_within_its_limits_passes(tmp_path):
    status, said = say(tmp_path, WITHIN)
    assert (status, [line for line in said if line.startswith("  ")]) == (0, [])


@pytest.mark.parametrize("law", house.LAWS, ids=lambda law: law.words)
def test_a_limit_that_is_broken_is_told_with_its_place(law, tmp_path):
    files, told = BREACHES[law.words]
    status, said = say(tmp_path, files)
    assert (status, [line for line in said if line.startswith("  ")]) == (1, [f"  {told}"])
