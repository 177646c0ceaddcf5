"""What a call of Snakemake finds around it: an interpreter with packages, and the moment before its jobs start.

Imports nothing that is not Python's own, as it says what is missing.
"""

import importlib.util
import logging
import re
import shlex
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

# packages that are imported by another name than they are installed by
_IMPORTED_AS = {"pyyaml": "yaml", "scikit-learn": "sklearn", "vl-convert-python": "vl_convert"}


def missing_packages(project: Path) -> list[str]:
    """Return the packages that a project depends on and this interpreter lacks.

    Parameters
    ----------
    project : pathlib.Path
        A ``pyproject.toml``.

    Returns
    -------
    list of str
        Names by which they are installed.
    """
    with open(project, "rb") as file:
        required = [re.split(r"[^\w.-]", each)[0] for each in tomllib.load(file)["project"]["dependencies"]]
    return [name for name in required if not importlib.util.find_spec(_IMPORTED_AS.get(name, name.replace("-", "_")))]


def refuse_missing_packages(repository: Path) -> None:
    """End with one line if this interpreter lacks a package that jobs import, which names them and what installs them.

    Parameters
    ----------
    repository : pathlib.Path
        Folder of the workflow, with ``pyproject.toml`` and ``requirements.txt``.
    """
    missing = missing_packages(repository / "pyproject.toml")
    if missing:
        install = shlex.join([sys.executable, "-m", "pip", "install", "-r", str(repository / "requirements.txt")])
        sys.exit(f"altfreeze: {sys.executable} lacks {', '.join(missing)}; this installs what is needed: {install}")


def shell_prefix(package_root: Path, own_interpreter: bool) -> str:
    """Return what comes before each command of a job.

    Parameters
    ----------
    package_root : pathlib.Path
        Folder of the package, which need not be installed.
    own_interpreter : bool
        Whether commands run with the interpreter that runs Snakemake here, whatever is first on PATH; if not, with
        that of the environment that Snakemake activates for the job.

    Returns
    -------
    str
        For ``shell.prefix``, which formats it.
    """
    # the package, notebooks and what they read and write are UTF-8, and a kernel is that of the environment
    exports = {"PYTHONPATH": f"{shlex.quote(str(package_root))}${{PYTHONPATH:+:$PYTHONPATH}}", "PYTHONUTF8": "1"}
    exports["JUPYTER_PREFER_ENV_PATH"] = "1"
    if own_interpreter:
        exports["PATH"] = f"{shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    prefix = f"set -euo pipefail; export {' '.join(f'{name}={value}' for name, value in exports.items())}; "
    return prefix.replace("{", "{{").replace("}", "}}")


class BeforeJobs(logging.Handler):
    """Call a function when Snakemake has told which jobs it will run, before the first of them.

    An ``onstart`` does that too, but not where the workflow is a module of another.

    Parameters
    ----------
    logger : logging.Logger
        Snakemake's.
    act : callable
    """

    def __init__(self, logger: logging.Logger, act: Callable[[], Any]) -> None:
        super().__init__()
        self._act = act
        logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Call the function if this is the event.

        Parameters
        ----------
        record : logging.LogRecord
        """
        if getattr(record, "event", None) == "run_info":
            self._act()
