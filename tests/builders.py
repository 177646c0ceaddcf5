"""What tests build: studies, cells, data, finished tables and pages; no test module imports another."""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from altfreeze.study.cell import Cell
from altfreeze.study.grid import Study

ROOT = Path(__file__).parents[1]


# ---- programs that a test needs


def need(programs: list[str], script: str, path: str | None = None) -> list[str]:
    """Find programs, installed by a script of this folder where that is possible.

    Where they cannot be had the test is skipped, but in CI it fails.

    Parameters
    ----------
    programs : list of str
    script : str
    path : str, optional
        Folders to look in, as in PATH.

    Returns
    -------
    list of str
        Where they are.
    """

    def find():
        return [shutil.which(program, path=path) for program in programs]

    if not all(find()) and os.geteuid() == 0 and shutil.which("apt-get"):
        # tests that run side by side install one after the other
        with open(Path(tempfile.gettempdir(), "altfreeze-tests-install.lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not all(find()):
                subprocess.run([Path(__file__).with_name(script)], check=False, timeout=900)
    if not all(find()):
        absent = [program for program, place in zip(programs, find(), strict=True) if not place]
        reason = f"{', '.join(absent)} not found; tests/{script} installs what is needed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return find()


# ---- studies and cells


def make_study(**keys: Any) -> Study:
    """Return a study of the default configuration with some keys changed."""
    return Study.of(keys)


def make_small_study(**keys: Any) -> Study:
    """Return a study of 4 epochs on wine with some keys changed."""
    small = {"datasets": ["wine"], "depths": [4], "primary_depth": 4, "freeze_ratios": [0, 0.5, 1]}
    small |= {"epochs_standard": 4, "epochs_alternating": 4, "width": 16, "learning_rate": 0.02, "weight_decay": 0.01}
    return make_study(**(small | {"sources": {"wine": {"kind": "wine"}}} | keys))


def make_cell(strategy: str = "alternating-0.5", study: Study | None = None, **keys: Any) -> Cell:
    """Return a cell of a small study on wine, or of another one.

    Parameters
    ----------
    strategy : str
        Label of the strategy.
    study : Study, optional
        Where the cell is from: its first data set and depth.
    **keys
        Keys of the configuration, or values of the cell.
    """
    of_cell = {name: keys.pop(name) for name in ("dataset", "depth", "epochs", "strategy") if name in keys}
    study = study or make_small_study(**keys)
    return replace(study.cell(study.datasets[0], study.depths[0], strategy), **of_cell)


def write_study(folder: Path, study: Study) -> Path:
    """Write a study as jobs read it, to a file of its own; return the file."""
    path = Path(tempfile.mkstemp(".json", "study-", folder)[1])
    path.write_text(json.dumps(study.config), encoding="utf-8")
    return path


def cell_options(folder: Path, study: Study, strategy: str, data: Path) -> list[str]:
    """Return the options of a job's command that say what it trains: a strategy on a study's first data set, depth."""
    options = {"study": write_study(folder, study), "data": data, "dataset": study.datasets[0]}
    options |= {"depth": study.depths[0], "strategy": strategy, "device": "cpu"}
    return [word for key, value in options.items() for word in (f"--{key}", str(value))]


# ---- data


# ---- logs, manifests and finished tables


# ---- pages in a browser
