"""Where a result comes from: versions, commit, and a fingerprint of the code that decides numbers."""

import ast
import functools
import hashlib
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).parent
# the modules that decide a run's numbers: a change of code in one makes every run stale
NUMERIC_MODULES = ("cost", "data", "gradient_flow", "models", "plans", "randomness", "schedules", "training")
# those that make the tables of the runs, and those that make pages of the tables
TABLE_MODULES = (
    "config",
    "cost",
    "data",
    "plans",
    "processes",
    "randomness",
    "reference",
    "schedules",
    "statistics",
    "tables",
)
COMPARISON_MODULES = ("comparisons", "inference", *TABLE_MODULES)
PAGE_MODULES = (*COMPARISON_MODULES, "discussion", "explorer", "failures", "methods", "notebooks", "plots", "report")
# those whose docstrings are on pages
DOCUMENTED_MODULES = (*NUMERIC_MODULES, "comparisons", "reference", "statistics")


def _without_docstrings(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and (
            ast.get_docstring(node, clean=False) is not None
        ):
            node.body = node.body[1:]
    return tree


def _structure(node):
    """Return a syntax tree as nested lists that are the same in every version of Python."""
    if isinstance(node, ast.AST):
        # versions differ in the fields that they leave empty
        fields = [[name, _structure(value)] for name, value in ast.iter_fields(node) if value not in (None, [])]
        return [type(node).__name__, fields]
    if isinstance(node, list):
        return [_structure(part) for part in node]
    return repr(node)


@functools.cache
def _code(source, docstrings):
    """Return the code of a module without comments and layout; modules stand in many fingerprints."""
    tree = ast.parse(source)
    return repr(_structure(tree if docstrings else _without_docstrings(tree))).encode()


def fingerprint(*modules, docstrings=False):
    """Return a hash of the code of some modules that ignores comments and layout.

    Parameters
    ----------
    *modules : str
        Names of modules or subpackages of this package.
    docstrings : bool
        Whether a change of a docstring changes the hash.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for module in sorted(set(modules)):
        for path in sorted((PACKAGE / module).glob("*.py")) or [PACKAGE / f"{module}.py"]:
            digest.update(_code(path.read_text(encoding="utf-8"), docstrings))
    return digest.hexdigest()[:16]


def _git(*arguments):
    try:
        answer = subprocess.run(["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def git_state():
    """Return the commit of the checkout that runs and whether tracked files differ from it.

    Returns
    -------
    dict
        ``commit`` (40 hexadecimal digits) and ``dirty`` (bool); both None outside of a
        git checkout.
    """
    commit = _git("rev-parse", "HEAD")
    status = _git("status", "--porcelain", "--untracked-files=no") if commit else None
    return {"commit": commit, "dirty": None if status is None else bool(status)}


def versions(*packages):
    """Return the versions of Python, this package and the named distributions.

    Parameters
    ----------
    *packages : str
        Names of installed distributions.

    Returns
    -------
    dict of str to str
    """
    from altfreeze import __version__

    found = {name: metadata.version(name) for name in packages}
    return {"python": platform.python_version(), "altfreeze": __version__, **found}


def gpu_is_here():
    """Return whether this machine has an NVIDIA GPU, without importing torch.

    Returns
    -------
    bool
    """
    return any(Path("/dev").glob("nvidia[0-9]*"))
